import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  BARRIER_BUSY,
  BarrierCells,
  type BarrierShape,
  barrierGathering,
  barrierLength,
  buryBarrierThread,
} from "./barrier-cells.js";
import { joinGathering } from "./gathering.js";
import { SharedWords } from "./words.js";

function barriers(parties: number) {
  const shape: BarrierShape = { base: 0, threads: 3, parties, generationBits: 3 };
  const words = new SharedWords(new SharedArrayBuffer(barrierLength(shape) * 4));
  for (let thread = 0; thread < 3; thread++)
    joinGathering(words, barrierGathering(shape), { thread, life: thread + 1 });
  const [first, second, third] = [0, 1, 2].map((thread) => new BarrierCells(words, shape, thread));
  return { first: first!, second: second!, third: third!, bury: (n: number) => buryBarrierThread(words, shape, n) };
}

describe("BarrierCells", () => {
  test("opens when all have arrived, and fills again when all have left", () => {
    const { first, second, third } = barriers(3);
    for (let round = 0; round < 20; round++) {
      assert.deepEqual([first.arrive(), second.arrive()], [0, 1]);
      assert.equal(second.phase, "filling");
      assert.equal(third.arrive(), 2);
      assert.equal(first.phase, "open");
      first.leave();
      assert.equal(first.arrive(), BARRIER_BUSY);
      second.leave();
      assert.equal(first.arrive(), BARRIER_BUSY);
      third.leave();
    }
  });

  test("is broken by one that gives up, but not when it is open", () => {
    const { first, second } = barriers(2);
    first.arrive();
    assert.equal(first.giveUp(), true);
    assert.equal(second.arrive(), BARRIER_BUSY);
    assert.equal(first.phase, "broken-by-giving-up");
    first.leave();
    assert.equal(second.arrive(), 0);
    first.arrive();
    assert.equal(second.giveUp(), false);
    assert.equal(second.phase, "open");
  });

  test("is broken by the death of one that waits, and not by that of another one", () => {
    const { first, second, third, bury } = barriers(3);
    first.arrive();
    bury(2);
    assert.equal(first.phase, "filling");
    second.arrive();
    bury(1);
    assert.equal(first.phase, "broken-by-death");
    first.leave();
    assert.deepEqual([third.arrive(), third.arrive(), third.arrive()], [0, 1, 2]);
  });
});
