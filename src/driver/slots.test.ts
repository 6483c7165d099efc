import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { randomRun } from "../../test/support/random-run.js";
import { AssertionError } from "../assert.js";
import { CONNECTIONS_MAX, GENERATION_MAX } from "../constants.js";
import { SlotTable } from "./slots.js";

test("SlotTable.acquire() returns -1 when every slot is taken, and slots again when one is released", () => {
  const table = new SlotTable(2);
  assert.deepEqual([table.acquire(), table.acquire(), table.acquire()], [0, 1, -1]);
  table.release(0);
  assert.equal(table.acquire(), 0);
  assert.equal(table.acquire(), -1);
});

test("SlotTable.release() throws when the slot is free", () => {
  const table = new SlotTable(2);
  assert.throws(() => table.release(0), AssertionError);
  table.acquire();
  table.release(0);
  assert.throws(() => table.release(0), AssertionError);
});

test("SlotTable.generations start again at 1 when they have reached their maximum", () => {
  const table = new SlotTable(1);
  table.acquire();
  table.generations[0] = GENERATION_MAX;
  table.release(0);
  assert.equal(table.generations[0], 1);
});

test("SlotTable.isLive() is false for numbers that are no slot", () => {
  const table = new SlotTable(4);
  for (const slot of [-1, 4, 1000]) assert.equal(table.isLive(slot), false);
});

test("SlotTable refuses a capacity that does not fit the slot bits", () => {
  assert.throws(() => new SlotTable(0), AssertionError);
  assert.throws(() => new SlotTable(CONNECTIONS_MAX + 1), AssertionError);
});

test("SlotTable keeps to a model of a set under random acquires and releases", () => {
  const steps = fc.array(fc.record({ acquire: fc.boolean(), pick: fc.nat() }), { maxLength: 200 });
  const property = fc.property(fc.integer({ min: 1, max: 12 }), steps, (capacity, plan) => {
    const table = new SlotTable(capacity);
    const taken: number[] = [];
    const generations = new Map<number, number>();
    for (const { acquire, pick } of plan) {
      if (acquire) {
        const slot = table.acquire();
        assert.equal(slot === -1, taken.length === capacity);
        if (slot === -1) continue;
        assert.equal(taken.includes(slot), false);
        assert.notEqual(table.generations[slot], generations.get(slot), "a reused slot has another generation");
        generations.set(slot, table.generations[slot]!);
        taken.push(slot);
      } else if (taken.length > 0) {
        const [slot] = taken.splice(pick % taken.length, 1);
        table.release(slot!);
        assert.notEqual(
          table.generations[slot!],
          generations.get(slot!),
          "a kept generation is stale from the release on",
        );
      }
      assert.equal(table.count, taken.length);
      assert.deepEqual([...table.live.subarray(0, table.count)].sort(), [...taken].sort());
      for (let slot = 0; slot < capacity; slot++) assert.equal(table.isLive(slot), taken.includes(slot));
    }
  });
  fc.assert(property, randomRun("SlotTable", 300));
});

test("SlotTable.setReferenced() counts slots out until they are released", () => {
  const slots = new SlotTable(4);
  const [first, second] = [slots.acquire(), slots.acquire()];
  slots.setReferenced(first, false);
  slots.setReferenced(first, false);
  assert.equal(slots.referencedCount, 1);
  slots.setReferenced(first, true);
  assert.equal(slots.referencedCount, 2);
  slots.setReferenced(second, false);
  slots.release(second);
  slots.setReferenced(second, false);
  assert.equal(slots.referencedCount, 1);
  assert.equal(slots.acquire(), second);
  assert.equal(slots.referencedCount, 2);
});
