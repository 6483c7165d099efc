import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { randomRun } from "../../test/support/random-run.js";
import { Injector, injectorLength } from "./injector.js";
import { SharedWords } from "./words.js";

test("Injector gives every hint once to one of its takers, whichever shard it went to", () => {
  const step = fc.oneof(
    fc.record({ insert: fc.nat({ max: 39 }) }),
    fc.record({ by: fc.nat({ max: 9 }), take: fc.integer({ min: 1, max: 8 }) }),
  );
  fc.assert(
    fc.property(fc.constantFrom(1, 2, 8, 32), fc.array(step, { maxLength: 200 }), (shards, steps) => {
      const views = injectorsOf(shards);
      const expected = new Set<number>();
      const into = new Int32Array(8);
      for (const one of steps) {
        if ("insert" in one) {
          // Always by the same thread, so always into the same shard: in two shards a hint would be there twice.
          views[one.insert % views.length]!.insert(one.insert);
          expected.add(one.insert);
          continue;
        }
        const count = views[one.by]!.takeMany(into, one.take);
        assert.equal(count === 0, expected.size === 0);
        assert.ok(count <= one.take);
        for (const slot of into.subarray(0, count)) assert.ok(expected.delete(slot), `${slot} was there`);
      }
      assert.equal(views[0]!.isEmpty(), expected.size === 0);
    }),
    randomRun("Injector", 300),
  );
});

test("Injector.insertMany() adds a batch, Injector.take() begins at the taker's own shard", () => {
  const [first, second] = injectorsOf(2);
  first!.insertMany(Int32Array.of(1, 2, 3), 2);
  second!.insert(30);
  assert.equal(second!.take(), 30);
  assert.equal(second!.take(), 1);
  assert.equal(first!.take(), 2);
  assert.equal(first!.take(), -1);
});

test("Injector.insert() mends the mask that a dead thread has left cleared", () => {
  const words = new SharedWords(new SharedArrayBuffer(injectorLength(SMALL) * 4));
  const injector = new Injector(words, { base: 0, ...SMALL }, 0);
  injector.insert(5);
  words.store(0, 0);
  assert.equal(injector.take(), -1);
  injector.insert(6);
  assert.deepEqual([injector.take(), injector.take(), injector.take()], [5, 6, -1]);
});

const SMALL = { capacity: 40, shards: 2, wordShift: 5 };

function injectorsOf(shards: number): Injector[] {
  const shape = { base: 0, capacity: 40, shards, wordShift: 2 };
  const words = new SharedWords(new SharedArrayBuffer(injectorLength(shape) * 4));
  return Array.from({ length: 10 }, (_, thread) => new Injector(words, shape, thread));
}
