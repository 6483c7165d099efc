/** Lanes, hot counters, slab and codec between two real threads. What can go wrong in between is for the model checker; this shows that the real memory behaves as its model does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { Cargo } from "../../src/scheduler/cargo.js";
import { HotCounterReceiver } from "../../src/shared/hot-counter.js";
import { LaneReceiver } from "../../src/shared/lane.js";
import { lifeOf, Slab } from "../../src/shared/slab.js";
import { SharedWords } from "../../src/shared/words.js";
import { COUNTER, CREDIT, LANE, LENGTH, MESSAGES, messageOf, payloadOf, SLAB, SLOTS } from "./exchange.js";

const DEADLINE_MS = 120_000;

/** Looks, and lets the other thread go on, until `isDone`. */
async function until(isDone: () => boolean, what: string): Promise<void> {
  for (const startedMs = performance.now(); !isDone(); await setTimeout(0)) {
    assert.ok(performance.now() - startedMs < DEADLINE_MS, `${what} did not come to its end`);
  }
}

test("two threads exchange messages, sums and values in order and without a loss", async () => {
  const memory = new SharedArrayBuffer(LENGTH * 4);
  const words = new SharedWords(memory);
  // The counters of the lane wrap on the way.
  words.store(LANE.base, 0x7fff_ff00);
  words.store(LANE.base + 16, 0x7fff_ff00);
  for (const thread of [0, 1]) words.store(SLAB.lives + thread, lifeOf(thread, 1));
  const worker = new Worker(new URL("./fixtures/lane-thread.js", import.meta.url), { workerData: memory });
  const failed = new Promise<never>((_, reject) => worker.once("error", reject));
  try {
    await Promise.race([failed, receive(words, memory)]);
  } finally {
    await worker.terminate();
  }
});

async function receive(words: SharedWords, memory: SharedArrayBuffer): Promise<void> {
  const lane = new LaneReceiver(words, LANE);
  const counter = new HotCounterReceiver(words, COUNTER);
  let count = 0;
  await until(() => {
    for (; count < MESSAGES && lane.next(); count++) {
      const [first, second] = messageOf(count);
      if (lane.first !== first || lane.second !== second) assert.fail(`message ${count} came damaged`);
      if (count % 64 === 0) lane.release();
    }
    lane.release();
    return count === MESSAGES;
  }, "the messages");
  const sum = (BigInt(MESSAGES) * BigInt(MESSAGES + 1)) / 2n;
  assert.ok(sum > 0xffff_ffffn, "the sum needs more than one chunk");
  await until(() => {
    counter.take();
    return counter.total >= sum;
  }, "the counter");
  assert.equal(counter.total, sum);
  await receiveValues(words, memory, lane);
}

async function receiveValues(words: SharedWords, memory: SharedArrayBuffer, lane: LaneReceiver): Promise<void> {
  const slab = new Slab(words, SLAB, 1);
  const cargo = new Cargo(words, slab, memory);
  let count = 0;
  await until(() => {
    while (count < SLOTS.values && lane.next()) {
      assert.equal(lane.first, count);
      const slot = lane.second;
      assert.deepEqual(cargo.read(words.load(slot)), payloadOf(count));
      assert.equal(slab.releaseAt(slot), true);
      count += 1;
      lane.release();
    }
    return count === SLOTS.values;
  }, "the values");
  await until(() => words.load(CREDIT) > 0, "the way home of the blocks");
  assert.ok(words.load(CREDIT) > 1, "the region was full at times, so that the sender had to collect");
}
