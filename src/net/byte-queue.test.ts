import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { ByteQueue } from "./byte-queue.js";

/** What is done to the queue; lengths are taken modulo what makes sense. */
const step = fc.oneof(
  fc.record({ kind: fc.constant("append" as const), length: fc.integer({ min: 1, max: 9_000 }) }),
  fc.record({ kind: fc.constant("take" as const), length: fc.integer({ min: 0, max: 12_000 }) }),
  fc.record({ kind: fc.constant("moveTo" as const), length: fc.integer({ min: 0, max: 12_000 }) }),
  fc.record({ kind: fc.constant("unshift" as const), length: fc.integer({ min: 1, max: 3_000 }) }),
  fc.record({ kind: fc.constant("clear" as const), length: fc.constant(0) }),
);

test("ByteQueue does what a plain array of bytes does, also beside other queues that use the same free blocks", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), step), { maxLength: 60 }), (steps) => {
      const queues = [new ByteQueue(), new ByteQueue()] as const;
      const models: [Buffer, Buffer] = [Buffer.alloc(0), Buffer.alloc(0)];
      let value = 0;
      for (const [isSecond, { kind, length }] of steps) {
        const at = isSecond ? 1 : 0;
        const queue = queues[at];
        const bytes = Buffer.alloc(length + 5, (value += 7));
        if (kind === "append") {
          queue.append(bytes, 5, length);
          models[at] = Buffer.concat([models[at], bytes.subarray(5)]);
        } else if (kind === "unshift") {
          queue.unshift(bytes);
          models[at] = Buffer.concat([bytes, models[at]]);
        } else if (kind === "take") {
          assert.ok(queue.take(length).equals(models[at].subarray(0, length)));
          models[at] = models[at].subarray(length);
        } else if (kind === "moveTo") {
          const target = Buffer.alloc(length + 3);
          const count = queue.moveTo(target, 3, length);
          assert.ok(target.subarray(3, 3 + count).equals(models[at].subarray(0, length)));
          models[at] = models[at].subarray(count);
        } else {
          queue.clear();
          models[at] = Buffer.alloc(0);
        }
        assert.equal(queue.length, models[at].length);
      }
      for (const at of [0, 1] as const) assert.ok(queues[at].take(queues[at].length).equals(models[at]));
    }),
  );
});

test("ByteQueue keeps no large memory for later", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  const before = process.memoryUsage().arrayBuffers;
  const queue = new ByteQueue();
  const bytes = new Uint8Array(8 * 1024 * 1024);
  for (let count = 0; count < 5; count++) queue.append(bytes, 0, bytes.length);
  queue.clear();
  const keptNow = (): number => process.memoryUsage().arrayBuffers - before - bytes.length;
  // Array buffers are freed beside the program.
  for (let tries = 0; tries < 100 && keptNow() >= bytes.length; tries++) {
    collect();
    await setTimeout(1);
  }
  assert.ok(keptNow() < bytes.length, `${keptNow()} bytes are kept`);
});
