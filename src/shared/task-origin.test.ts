import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { randomRun } from "../../test/support/random-run.js";
import { AssertionError } from "../assert.js";
import { layoutOf } from "./layout.js";
import { Segment } from "./segment.js";
import { ORIGIN_CLOSED, ORIGIN_FULL } from "./task-origin.js";
import { CANCELLED, FAILED, generationOf, JOIN_INTEREST, PINNED, TASK_GENERATIONS } from "./task-state.js";
import { TASK_COLD_WORDS, TASK_PAYLOAD_WORDS } from "./task-table.js";
import { SharedWords } from "./words.js";

test("a task goes from its origin to another thread and back, with everything it carries", () => {
  const { client, worker, origin } = pair();
  const slot = origin.open();
  client.table.setCall(slot, 7, -20);
  for (let n = 0; n < TASK_PAYLOAD_WORDS; n++) client.table.setPayload(slot, n, n);
  for (let n = 0; n < TASK_COLD_WORDS; n++) client.table.setCold(slot, n, 100 + n);
  const queued = origin.publish(slot, JOIN_INTEREST);
  const claimed = worker.table.claim(slot, 1);
  assert.equal(generationOf(claimed), generationOf(queued));
  assert.deepEqual([worker.table.functionOf(slot), worker.table.argumentOf(slot)], [7, -20]);
  assert.equal(worker.table.payloadOf(slot, TASK_PAYLOAD_WORDS - 1), TASK_PAYLOAD_WORDS - 1);
  assert.equal(worker.table.coldOf(slot, TASK_COLD_WORDS - 1), 100 + TASK_COLD_WORDS - 1);
  worker.table.setResult(slot, 5);
  worker.table.complete(slot, claimed, FAILED);
  assert.equal(origin.nextSettled(), -1, "nobody has told the origin yet");
  worker.settle(slot);
  assert.ok(origin.hasSettled());
  assert.equal(origin.nextSettled(), slot);
  assert.ok((client.table.stateOf(slot) & FAILED) !== 0);
  assert.equal(client.table.resultOf(slot), 5);
  origin.free(slot);
  assert.equal(origin.liveCount, 0);
  assert.equal(generationOf(client.table.stateOf(slot)), generationOf(queued) + 1);
});

test("TaskTable.claim() gives a task to one thread, a pinned one to its own, a cancelled one to none", () => {
  const { client, worker, origin } = pair();
  const table = worker.table;
  const shared = origin.open();
  origin.publish(shared, 0);
  assert.notEqual(table.claim(shared, 1), 0);
  assert.equal(table.claim(shared, 0), 0);
  const pinned = origin.open();
  origin.publish(pinned, PINNED, 1);
  assert.equal(table.claim(pinned, 0), 0);
  assert.notEqual(table.claim(pinned, 1), 0);
  const cancelled = origin.open();
  const state = origin.publish(cancelled, JOIN_INTEREST);
  assert.equal(table.cancel(cancelled, generationOf(state)), "dequeued");
  assert.equal(table.claim(cancelled, 1), 0);
  assert.equal(client.table.cancel(cancelled, generationOf(state)), "late");
});

test("TaskTable.cancel() asks a task that runs, and is late for one of another generation", () => {
  const { client, worker, origin } = pair();
  const slot = origin.open();
  const generation = generationOf(origin.publish(slot, JOIN_INTEREST));
  const claimed = worker.table.claim(slot, 1);
  assert.equal(client.table.cancel(slot, generation + 1), "late");
  assert.equal(client.table.stateOf(slot) & CANCELLED, 0);
  assert.equal(client.table.cancel(slot, generation), "requested");
  assert.equal(client.table.cancel(slot, generation), "requested");
  const done = worker.table.complete(slot, claimed);
  assert.notEqual(done & CANCELLED, 0, "who completes it sees that it was asked to end");
});

test("TaskOrigin refuses at once when it is full or closed, and takes back what was never published", () => {
  const { origin } = pair();
  const slots = Array.from({ length: 4 }, () => origin.open());
  assert.equal(origin.open(), ORIGIN_FULL);
  origin.abandon(slots[2]!);
  assert.equal(origin.open(), slots[2]);
  origin.close();
  assert.equal(origin.open(), ORIGIN_CLOSED);
});

test("TaskOrigin.cancelAll() shows every task that had not begun, and counts those that run", () => {
  const { worker, origin } = pair();
  const slots = Array.from({ length: 3 }, () => origin.open());
  for (const slot of slots) origin.publish(slot, JOIN_INTEREST);
  const claimed = worker.table.claim(slots[1]!, 1);
  origin.close();
  assert.equal(origin.cancelAll(), 1);
  const shown = [origin.nextSettled(), origin.nextSettled(), origin.nextSettled()];
  assert.deepEqual(shown, [slots[0], slots[2], -1]);
  for (const slot of shown.slice(0, 2)) origin.free(slot);
  assert.equal(origin.liveCount, 1);
  worker.table.complete(slots[1]!, claimed);
  worker.settle(slots[1]!);
  assert.equal(origin.nextSettled(), slots[1]);
  origin.free(slots[1]!);
  assert.equal(origin.liveCount, 0);
});

test("misuse throws: freeing twice or too early, publishing twice, completing what another thread has claimed", () => {
  const { client, worker, origin } = pair();
  const slot = origin.open();
  assert.throws(() => origin.free(slot), AssertionError);
  origin.publish(slot, 0);
  assert.throws(() => origin.publish(slot, 0), AssertionError);
  assert.throws(() => origin.abandon(slot), AssertionError);
  const claimed = worker.table.claim(slot, 1);
  assert.throws(() => client.table.complete(slot, client.table.stateOf(slot) ^ (1 << 2)), AssertionError);
  worker.table.complete(slot, claimed);
  assert.throws(() => worker.table.complete(slot, claimed), AssertionError);
  worker.settle(slot);
  origin.free(origin.nextSettled());
  assert.throws(() => origin.free(slot), AssertionError);
});

test("a slot is told twice and settled once, and its generations start again after the last", () => {
  const { client, worker, origin } = pair();
  for (let round = 0; round < 8; round++) {
    const slot = origin.open();
    origin.publish(slot, JOIN_INTEREST);
    worker.table.complete(slot, worker.table.claim(slot, 1));
    worker.settle(slot);
    assert.equal(origin.nextSettled(), slot);
    worker.settle(slot);
    assert.equal(origin.nextSettled(), -1);
    origin.free(slot);
    worker.settle(slot);
    assert.equal(origin.nextSettled(), -1);
  }
  assert.equal(origin.staleCount, 16);
  assert.equal(generationOf(client.table.stateOf(0)), 2, "four slots took turns");
  assert.equal(TASK_GENERATIONS, 1 << 18);
});

test("TaskOrigin conserves its slots, whatever becomes of the tasks", () => {
  const step = fc.constantFrom("spawn", "abandon", "run", "run by itself", "cancel", "settle");
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const { client, worker, origin } = pair();
      const queued: number[] = [];
      let live = 0;
      for (const one of steps) {
        if (one === "spawn") {
          const slot = origin.open();
          assert.equal(slot === ORIGIN_FULL, live === 4);
          if (slot === ORIGIN_FULL) continue;
          origin.publish(slot, JOIN_INTEREST);
          queued.push(slot);
          live++;
        } else if (one === "abandon") {
          const slot = origin.open();
          if (slot !== ORIGIN_FULL) origin.abandon(slot);
        } else if (one === "settle") {
          for (let slot = origin.nextSettled(); slot !== -1; slot = origin.nextSettled()) {
            origin.free(slot);
            live--;
          }
        } else {
          const slot = queued.shift();
          if (slot === undefined) continue;
          const state = client.table.stateOf(slot);
          if (one === "cancel") {
            assert.equal(origin.cancel(slot, generationOf(state)), "dequeued");
            origin.free(slot);
            live--;
            continue;
          }
          const segment = one === "run" ? worker : client;
          segment.table.complete(slot, segment.table.claim(slot, segment.self));
          segment.settle(slot);
        }
        assert.equal(origin.liveCount, live);
      }
    }),
    randomRun("TaskOrigin", 200),
  );
});

function pair() {
  const layout = layoutOf({ threads: 2, slotsPerThread: 4, queueCapacity: 2 });
  const words = new SharedWords(new SharedArrayBuffer(layout.length * 4));
  const client = new Segment(words, layout, 0);
  return { client, worker: new Segment(words, layout, 1), origin: client.openOrigin() };
}
