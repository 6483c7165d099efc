import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AssertionError } from "../assert.js";
import { BlockPool } from "./block-pool.js";

const SEED = Number(process.env.RINGLOOM_SEED ?? Date.now() % 0x7fff_ffff);

function takeAll(pool: BlockPool, sizeClass: number): number[] {
  const units: number[] = [];
  for (let unit = pool.take(sizeClass); unit >= 0; unit = pool.take(sizeClass)) units.push(unit);
  return units;
}

describe("BlockPool", () => {
  it("gives out every block of a region once", () => {
    const pool = new BlockPool(3, 8);
    assert.deepEqual(takeAll(pool, 1), [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]);
    assert.equal(pool.takenCount, 12);
    assert.equal(pool.take(0), -1);
  });

  it("has no block larger than a chunk", () => {
    const pool = new BlockPool(3, 8);
    assert.equal(pool.classFor(8), 3);
    assert.equal(pool.take(pool.classFor(9)), -1);
    assert.equal(pool.unitsOf(pool.take(3)), 8);
  });

  it("lets every size have the room that another one has left", () => {
    const pool = new BlockPool(2, 8);
    for (const unit of takeAll(pool, 0)) pool.putBack(unit);
    assert.equal(takeAll(pool, 3).length, 2);
  });

  it("markTaken() keeps a chunk closed until its marked blocks are back", () => {
    const pool = new BlockPool(2, 4);
    pool.markTaken(4);
    pool.markTaken(6);
    assert.deepEqual(takeAll(pool, 2), [0]);
    pool.putBack(6);
    assert.equal(pool.take(0), -1);
    pool.putBack(4);
    assert.equal(pool.take(2), 4);
  });

  it("asserts that what comes back was taken", () => {
    const pool = new BlockPool(1, 4);
    const unit = pool.take(0);
    pool.putBack(unit);
    assert.throws(() => pool.putBack(unit), AssertionError);
    assert.throws(() => pool.putBack(3), AssertionError);
  });

  it(`never lets two blocks overlap, and takes all of the region again at the end (RINGLOOM_SEED=${SEED})`, () => {
    const step = fc.oneof(fc.record({ take: fc.nat(4) }), fc.record({ back: fc.nat(1000) }));
    const property = fc.property(fc.array(step, { maxLength: 300 }), fc.array(fc.nat(63), { maxLength: 4 }), run);
    fc.assert(property, { seed: SEED, numRuns: 300 });
  });
});

type Step = { take: number } | { back: number };

function run(steps: readonly Step[], marks: readonly number[]): void {
  const pool = new BlockPool(4, 16);
  const held: { unit: number; units: number }[] = [];
  for (const unit of new Set(marks)) {
    pool.markTaken(unit);
    held.push({ unit, units: 1 });
  }
  for (const step of steps) {
    if ("take" in step) {
      const unit = pool.take(step.take);
      if (unit < 0) continue;
      const units = 1 << step.take;
      assert.equal(pool.unitsOf(unit), units);
      const overlapping = held.find((other) => unit < other.unit + other.units && other.unit < unit + units);
      assert.equal(overlapping, undefined);
      held.push({ unit, units });
    } else if (held.length > 0) {
      const [block] = held.splice(step.back % held.length, 1);
      pool.putBack(block?.unit ?? -1);
    }
    assert.equal(pool.takenCount, held.length);
  }
  for (const { unit } of held) pool.putBack(unit);
  assert.equal(takeAll(pool, 4).length, 4, "everything is free again");
}
