import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { randomRun } from "../../test/support/random-run.js";
import { SlotSet, slotSetLength } from "./slot-set.js";
import { SharedWords } from "./words.js";

test("SlotSet is a set: what was inserted is taken once, whatever the order and the depth of its tree", () => {
  const step = fc.oneof(
    fc.record({ insert: fc.nat({ max: 39 }) }),
    fc.record({ take: fc.integer({ min: 1, max: 8 }) }),
  );
  fc.assert(
    fc.property(fc.constantFrom(1, 2, 3, 5), fc.array(step, { maxLength: 200 }), (wordShift, steps) => {
      const { set } = setOf(40, wordShift);
      const expected = new Set<number>();
      const into = new Int32Array(8);
      for (const one of steps) {
        if ("insert" in one) {
          set.insert(one.insert);
          expected.add(one.insert);
          continue;
        }
        const count = set.takeMany(into, one.take);
        assert.equal(count === 0, expected.size === 0, "nothing is found only if nothing is there");
        for (const slot of into.subarray(0, count)) assert.ok(expected.delete(slot), `${slot} was there`);
      }
      assert.equal(set.isEmpty(), expected.size === 0);
      while (expected.size > 0) assert.ok(expected.delete(set.take()));
      assert.equal(set.take(), -1);
    }),
    randomRun("SlotSet", 300),
  );
});

test("SlotSet.take() reaches every slot within one sweep, whatever is inserted behind it", () => {
  fc.assert(
    fc.property(fc.constantFrom(1, 2, 5), fc.uniqueArray(fc.nat({ max: 63 }), { minLength: 1 }), (wordShift, slots) => {
      const { set } = setOf(64, wordShift);
      for (const slot of slots) set.insert(slot);
      const waiting = new Set(slots);
      // Whatever is taken comes back at once: a taker that began at the lowest slot again would see no other.
      for (let n = 0; n < slots.length; n++) {
        const slot = set.take();
        waiting.delete(slot);
        set.insert(slot);
      }
      assert.deepEqual([...waiting], []);
    }),
    randomRun("SlotSet", 300),
  );
});

test("SlotSet.takeMany() takes what shares a word by one step and no more than asked for", () => {
  const { set } = setOf(64, 5);
  for (const slot of [3, 4, 31, 32]) set.insert(slot);
  const into = new Int32Array(4);
  assert.equal(set.takeMany(into, 2), 2);
  assert.deepEqual([...into.subarray(0, 2)], [3, 4]);
  assert.equal(set.takeMany(into, 4), 1);
  assert.equal(into[0], 31);
  assert.equal(set.takeMany(into, 4), 1);
  assert.equal(into[0], 32);
});

test("SlotSet.take() gets over summary bits that a dead thread has left", () => {
  for (const wordShift of [1, 2, 5]) {
    const { set, words } = setOf(40, wordShift);
    for (let slot = 0; slot < 40; slot++) set.insert(slot);
    // As if a thread had died after taking all of level 0, before it cleared any bit above.
    const level0 = slotSetLength(40, wordShift) - wholeLine(Math.ceil(40 / (1 << wordShift)));
    for (let at = level0; at < words.length; at++) words.store(at, 0);
    assert.equal(set.take(), -1);
    assert.ok(set.isEmpty());
    set.insert(17);
    assert.equal(set.take(), 17);
  }
});

function wholeLine(count: number): number {
  return Math.ceil(count / 16) * 16;
}

test("SlotSet.insert() mends the bits above a word in which a dead thread has left a slot", () => {
  const { set, words } = setOf(64, 5);
  set.insert(3);
  // As a thread leaves it that dies within its insert.
  words.store(0, 0);
  assert.ok(set.isEmpty(), "who looks from the top finds nothing");
  set.insert(7);
  assert.ok(!set.isEmpty());
  assert.deepEqual([set.take(), set.take(), set.take()], [3, 7, -1]);
});

function setOf(capacity: number, wordShift: number) {
  const length = slotSetLength(capacity, wordShift);
  const words = new SharedWords(new SharedArrayBuffer(length * 4));
  return { set: new SlotSet(words, { base: 0, capacity, wordShift }), words };
}
