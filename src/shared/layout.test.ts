import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { randomRun } from "../../test/support/random-run.js";
import { createSegment, layoutOf, readLayout } from "./layout.js";
import { runQueueLength } from "./run-queue.js";
import { slotSetLength } from "./slot-set.js";
import { taskTableLength } from "./task-table.js";
import { SharedWords } from "./words.js";

const sizes = fc.record({
  threads: fc.integer({ min: 1, max: 64 }),
  slotsPerThread: fc.integer({ min: 1, max: 3000 }),
  queueCapacity: fc.constantFrom(2, 16, 256, 1024),
  lifoSlots: fc.integer({ min: 0, max: 4 }),
  injectorShards: fc.integer({ min: 1, max: 32 }),
  form: fc.constantFrom("fetch" as const, "compare-and-swap" as const),
});

test("layoutOf() gives each structure cache lines of its own", () => {
  fc.assert(
    fc.property(sizes, (options) => {
      const layout = layoutOf(options);
      const capacity = options.threads * options.slotsPerThread;
      const pieces = layout.threads.flatMap((thread) => [
        [thread.settled.base, slotSetLength(options.slotsPerThread)],
        [thread.inbox.base, slotSetLength(capacity)],
        [thread.lifo.base, 4],
        [thread.queue.base, runQueueLength(options.queueCapacity)],
      ]);
      pieces.push([layout.tasks.base, taskTableLength(options)]);
      pieces.sort((a, b) => a[0]! - b[0]!);
      for (const [n, [base, length]] of pieces.entries()) {
        assert.equal(base! % 16, 0);
        assert.ok(base! + length! <= (pieces[n + 1]?.[0] ?? layout.length));
      }
    }),
    randomRun("layoutOf", 50),
  );
});

test("readLayout() gets from the memory what createSegment() was told", () => {
  const layout = layoutOf({ threads: 3, slotsPerThread: 5, lifoSlots: 4, injectorShards: 8, form: "compare-and-swap" });
  assert.deepEqual(readLayout(new SharedWords(createSegment(layout))), layout);
  assert.throws(() => readLayout(new SharedWords(new SharedArrayBuffer(4096))), /a scheduler's segment/);
});

test("layoutOf() refuses sizes that cannot be, by their name", () => {
  for (const [options, message] of [
    [{ threads: 0 }, /threads is 0, not an integer from 1 to 64/],
    [{ threads: 65 }, /threads is 65/],
    [{ threads: 1.5 }, /threads is 1.5/],
    [{ threads: 1, queueCapacity: 3 }, /queueCapacity is 3, no power of two/],
    [{ threads: 1, lifoSlots: 5 }, /lifoSlots is 5/],
    [{ threads: 1, injectorShards: 0 }, /injectorShards is 0/],
    [{ threads: 64, slotsPerThread: 1 << 20 }, /67108864 task slots, at most 1048576/],
  ] as const) {
    assert.throws(() => layoutOf(options), { name: "RangeError", message });
  }
});
