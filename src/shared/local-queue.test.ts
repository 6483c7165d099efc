import assert from "node:assert/strict";
import { test } from "node:test";
import { layoutOf } from "./layout.js";
import { isLifoEmpty, stealLifo } from "./lifo-slots.js";
import { Segment } from "./segment.js";
import { SharedWords } from "./words.js";

test("LocalQueue.pop() gives the newest first, and after three of them the oldest", () => {
  const { queue } = queueWith(1);
  for (let slot = 0; slot < 4; slot++) queue.push(slot);
  const order = [];
  for (let slot = 10; slot < 14; slot++) {
    order.push(queue.pop());
    queue.push(slot);
  }
  // 3 was the newest; then each newly pushed one comes at once, twice, and then 0, the oldest, has its turn.
  assert.deepEqual(order, [3, 10, 11, 0]);
  assert.equal(queue.isEmpty(), false);
});

test("LocalQueue.pushBackMany() adds a part of a list in its order, and what does not fit elsewhere", () => {
  const { queue, segment } = queueWith(0);
  const { queueCapacity } = segment.layout.options;
  const slots = Int32Array.from({ length: queueCapacity + 3 }, (_, index) => index);
  queue.pushBackMany(slots, 1, 3);
  assert.deepEqual([queue.pop(), queue.pop(), queue.pop()], [1, 2, -1]);
  queue.pushBackMany(slots, 0, slots.length);
  assert.equal(queue.overflowCount, 3);
  const order = Array.from({ length: queueCapacity }, () => queue.pop());
  assert.deepEqual(order, [...slots.subarray(0, queueCapacity)]);
  const overflowed = [segment.injector.take(), segment.injector.take(), segment.injector.take()];
  assert.deepEqual(overflowed, [...slots.subarray(queueCapacity)]);
});

test("LocalQueue.pop() is a queue without LIFO slots, a stack of four with four", () => {
  const plain = queueWith(0).queue;
  for (let slot = 0; slot < 4; slot++) plain.push(slot);
  assert.deepEqual([plain.pop(), plain.pop(), plain.pop(), plain.pop(), plain.pop()], [0, 1, 2, 3, -1]);
  const stack = queueWith(4).queue;
  for (let slot = 0; slot < 6; slot++) stack.push(slot);
  assert.deepEqual([stack.pop(), stack.pop(), stack.pop()], [5, 4, 3]);
  assert.deepEqual([stack.pop(), stack.pop(), stack.pop(), stack.pop()], [0, 2, 1, -1], "0 and 1 were displaced");
});

test("LocalQueue.push() overflows to the injector and never fails", () => {
  const { queue, segment } = queueWith(1);
  for (let slot = 0; slot < 12; slot++) queue.push(slot);
  assert.equal(queue.overflowCount, 12 - 1 - 8);
  const seen = new Set<number>();
  for (let slot = queue.pop(); slot !== -1; slot = queue.pop()) seen.add(slot);
  for (let slot = segment.injector.take(); slot !== -1; slot = segment.injector.take()) seen.add(slot);
  assert.equal(seen.size, 12);
});

test("a hint in a LIFO slot can be stolen, once", () => {
  const { queue, segment, words } = queueWith(4);
  queue.push(5);
  const { lifo } = segment.layout.threads[0]!;
  const thief = new Segment(words, segment.layout, 1);
  assert.equal(thief.stealFrom(0, thief.openQueue(), 8), 5);
  assert.ok(isLifoEmpty(words, lifo));
  assert.equal(stealLifo(words, lifo), -1);
  assert.equal(queue.pop(), -1);
  queue.push(6);
  assert.equal(queue.pop(), 6);
});

function queueWith(lifoSlots: number) {
  const layout = layoutOf({ threads: 2, slotsPerThread: 16, queueCapacity: 8, lifoSlots });
  const words = new SharedWords(new SharedArrayBuffer(layout.length * 4));
  const segment = new Segment(words, layout, 0);
  return { queue: segment.openQueue(), segment, words };
}
