import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { randomRun } from "../../test/support/random-run.js";
import { RunQueue, type RunQueueShape, RunQueueThief, runQueueLength } from "./run-queue.js";
import { SharedWords } from "./words.js";

const step = fc.oneof(
  { weight: 4, arbitrary: fc.constant("push" as const) },
  { weight: 2, arbitrary: fc.constant("pop" as const) },
  { weight: 2, arbitrary: fc.constant("pop newest" as const) },
  { weight: 1, arbitrary: fc.constant("steal one" as const) },
  { weight: 1, arbitrary: fc.constant("steal half" as const) },
);

test("RunQueue is a bounded queue, also when its indexes wrap all the time", () => {
  const shape = fc.constantFrom(
    { capacity: 2, indexBits: 2 },
    { capacity: 4, indexBits: 3 },
    { capacity: 4, indexBits: 31 },
    { capacity: 32, indexBits: 6 },
  );
  fc.assert(
    fc.property(shape, fc.array(step, { maxLength: 300 }), ({ capacity, indexBits }, steps) => {
      const { queue, thief } = queueOf(capacity, indexBits);
      const mine = queueOf(capacity, indexBits).queue;
      const expected: number[] = [];
      let next = 0;
      for (const one of steps) {
        if (one === "push") {
          assert.equal(queue.push(next), expected.length < capacity);
          if (expected.length < capacity) expected.push(next);
          next++;
        } else if (one === "steal half") {
          const wanted = Math.ceil(expected.length / 2);
          const got = [thief.stealHalf(mine, capacity)];
          for (let slot = mine.pop(); slot !== -1; slot = mine.pop()) got.push(slot);
          if (expected.length === 0) assert.deepEqual(got, [-1]);
          else {
            // Half of what lies between the indexes, of which the thief may have emptied some before.
            assert.ok(got.length >= Math.min(wanted, 1) && got.length <= capacity);
            assert.deepEqual(got, expected.splice(0, got.length));
          }
        } else if (one === "pop newest") {
          assert.equal(queue.popNewest(), expected.pop() ?? -1);
        } else {
          assert.equal(one === "pop" ? queue.pop() : thief.stealOne(), expected.shift() ?? -1);
        }
        assert.equal(queue.isEmpty(), expected.length === 0);
        assert.equal(thief.isEmpty(), expected.length === 0);
        assert.ok(queue.depth >= expected.length && queue.depth <= capacity);
      }
    }),
    randomRun("RunQueue", 300),
  );
});

test("RunQueue.stage() shows thieves nothing before publish()", () => {
  const { queue, thief } = queueOf(4);
  assert.ok(queue.stage(1));
  assert.ok(queue.stage(2));
  assert.equal(thief.stealOne(), -1);
  queue.publish();
  assert.equal(thief.stealOne(), 1);
  assert.equal(queue.pop(), 2);
});

test("RunQueueThief.stealHalf() takes half, rounded up, the limit at most, and stops when its own queue is full", () => {
  const { queue, thief } = queueOf(8);
  for (let slot = 0; slot < 7; slot++) queue.push(slot);
  const own = queueOf(2).queue;
  assert.equal(thief.stealHalf(own, 8), 0, "of 7 it wants 4");
  assert.deepEqual([own.pop(), own.pop(), own.pop()], [1, 2, -1], "but has room for the first and 2 more");
  assert.equal(thief.stealHalf(own, 1), 3);
  assert.equal(own.pop(), -1);
  assert.deepEqual([queue.pop(), queue.pop(), queue.pop(), queue.pop()], [4, 5, 6, -1]);
});

test("RunQueue continues where a dead owner was, after the reaper has emptied it", () => {
  const { queue, thief, again } = queueOf(2, 2);
  for (let round = 0; round < 9; round++) {
    queue.push(round);
    if (round % 2 === 0) queue.pop();
    else thief.stealOne();
  }
  queue.stage(77);
  const successor = again();
  assert.equal(successor.pop(), -1);
  // What the dead one had not published is overwritten or, if the indexes come by first, found: it is a hint.
  assert.ok(successor.push(1));
  assert.equal(thief.stealOne(), 1);
});

test("RunQueue refuses shapes that it could not tell full from empty in", () => {
  assert.throws(() => queueOf(4, 2), /tell a full queue from an empty one/);
  assert.throws(() => queueOf(3), /power of two/);
});

function queueOf(capacity: number, indexBits?: number) {
  const words = new SharedWords(new SharedArrayBuffer(runQueueLength(capacity) * 4));
  const shape: RunQueueShape = indexBits === undefined ? { base: 0, capacity } : { base: 0, capacity, indexBits };
  return {
    queue: new RunQueue(words, shape),
    thief: new RunQueueThief(words, shape),
    again: () => new RunQueue(words, shape),
  };
}
