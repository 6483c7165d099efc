/** The structures under real threads: what is spawned has an end, once, whoever dies. `RINGLOOM_SEED` repeats the choices, though not the timing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { createSegment, layoutOf, type SegmentOptions } from "../../src/shared/layout.js";
import { Reaper } from "../../src/shared/reaper.js";
import { Segment } from "../../src/shared/segment.js";
import { FREE, phaseOf } from "../../src/shared/task-state.js";
import { SharedWords } from "../../src/shared/words.js";
import { seedOf } from "../support/random.js";
import type { StressCounts, StressData } from "./fixtures/stress-thread.js";

const THREADS = 3;
const TASKS = 60_000;
const MAIN = new URL("./fixtures/stress-thread.js", import.meta.url);
const SMALL = { slotsPerThread: 100, queueCapacity: 8 } as const;

for (const options of [
  { ...SMALL, lifoSlots: 0, injectorShards: 1, form: "fetch" },
  { ...SMALL, lifoSlots: 1, injectorShards: 8, form: "compare-and-swap" },
  { slotsPerThread: 2000, queueCapacity: 256, lifoSlots: 4, injectorShards: 1, form: "fetch" },
] as const) {
  test(`${THREADS} threads spawn, steal, cancel and sleep: every task ends once (${JSON.stringify(options)})`, async () => {
    const { counts, segment } = await runThreads(options, 0);
    for (const one of counts) {
      assert.equal(one.spawned, TASKS);
      assert.deepEqual([one.wrong, one.lost], [0, 0]);
      assert.equal(one.results + one.cancelled, TASKS);
    }
    const ran = counts.reduce((sum, one) => sum + one.ran, 0);
    const results = counts.reduce((sum, one) => sum + one.results, 0);
    assert.equal(ran, results, "what was run has its result, and nothing was run twice");
    mustBeEmpty(segment);
  });
}

test("threads die again and again and have successors: every task of a living thread ends once", async () => {
  const { counts, deaths, segment } = await runThreads({ ...SMALL, lifoSlots: 1 }, 4000);
  assert.ok(deaths > 0, "somebody has died");
  for (const one of counts) {
    assert.equal(one.spawned, TASKS);
    assert.equal(one.wrong, 0);
    assert.equal(one.results + one.cancelled + one.lost, TASKS);
  }
  // What a dead thread ran can only be lost once for each death.
  assert.ok(counts.reduce((sum, one) => sum + one.lost, 0) <= deaths * (1 + SMALL.slotsPerThread * THREADS));
  mustBeEmpty(segment);
});

/** Runs the threads to their end. With `dieAfter`, thread 1 dies after so many tasks, has a successor that dies too, and the fifth one lives. */
async function runThreads(options: Omit<SegmentOptions, "threads">, dieAfter: number) {
  const layout = layoutOf({ ...options, threads: THREADS + 1 });
  const buffer = createSegment(layout);
  const finished = new SharedArrayBuffer(4);
  const segment = new Segment(new SharedWords(buffer), layout, THREADS);
  const seed = seedOf();
  console.log(`stress: RINGLOOM_SEED=${seed}`);
  let deaths = 0;
  async function live(self: number): Promise<StressCounts> {
    const mayDie = dieAfter > 0 && self === 1 && deaths < 4;
    const data: StressData = {
      buffer,
      finished,
      self,
      threads: THREADS,
      tasks: TASKS,
      seed: seed + self + 10 * deaths,
      dieAfter: mayDie ? dieAfter : 0,
    };
    const counts = await endOf(new Worker(MAIN, { workerData: data }));
    if (counts !== undefined) return counts;
    assert.ok(mayDie, "a thread dies only when told to");
    deaths++;
    new Reaper(segment).reap(self, { isReplaced: true });
    return live(self);
  }
  const counts = await Promise.all(Array.from({ length: THREADS }, (_, self) => live(self)));
  return { counts, deaths, segment };
}

/** What a thread has counted, or undefined if it has died. */
function endOf(worker: Worker): Promise<StressCounts | undefined> {
  return new Promise((resolve, reject) => {
    let counts: StressCounts | undefined;
    worker.on("message", (message: StressCounts) => {
      counts = message;
    });
    worker.on("error", reject);
    worker.on("exit", () => resolve(counts));
  });
}

function mustBeEmpty(segment: Segment): void {
  const { table } = segment;
  for (let slot = 0; slot < table.capacity; slot++) assert.equal(phaseOf(table.stateOf(slot)), FREE);
}
