import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { joinGathering } from "./gathering.js";
import {
  buryRingThread,
  RING_BUSY,
  RING_ENDED,
  type RingShape,
  ringCells,
  ringGathering,
  ringLength,
  ValueRing,
} from "./value-ring.js";
import { SharedWords } from "./words.js";

function rings(capacity: number, roundBits?: number) {
  const shape: RingShape = {
    base: 0,
    threads: 3,
    capacity,
    cells: ringCells(capacity),
    ...(roundBits === undefined ? {} : { roundBits }),
  };
  const words = new SharedWords(new SharedArrayBuffer(ringLength(shape) * 4));
  for (let thread = 0; thread < 3; thread++) joinGathering(words, ringGathering(shape), { thread, life: thread + 1 });
  const [first, second, third] = [0, 1, 2].map((thread) => new ValueRing(words, shape, thread));
  return {
    first: first!,
    second: second!,
    third: third!,
    bury: (thread: number) => buryRingThread(words, shape, thread),
  };
}

describe("ValueRing", () => {
  test("holds as many as its capacity, in order, however often it goes round", () => {
    for (const [capacity, roundBits] of [[1], [2, 2], [5, 3], [31], [300]] as const) {
      const { first, second } = rings(capacity, roundBits);
      for (let turn = 0; turn < 300; turn++) {
        const cells = Array.from({ length: capacity }, () => first.claim());
        assert.ok(cells.every((cell) => cell >= 0));
        assert.equal(second.claim(), RING_BUSY);
        for (const cell of cells) first.publish(cell);
        assert.equal(first.count, capacity);
        for (const cell of cells) {
          assert.equal(second.take(), cell);
          second.release(cell);
        }
        assert.equal(second.take(), RING_BUSY);
      }
    }
  });

  test("a cell that is being written keeps what is behind it, until it is published, given up, or its writer is buried", () => {
    const { first, second, third, bury } = rings(4);
    for (const end of ["publish", "give up", "bury"]) {
      const early = first.claim();
      const late = second.claim();
      second.publish(late);
      assert.equal(third.take(), RING_BUSY);
      if (end === "publish") first.publish(early);
      else if (end === "give up") first.giveUp(early);
      else bury(0);
      if (end === "publish") third.release(third.take());
      assert.equal(third.take(), late);
      third.release(late);
    }
    assert.equal(third.lostCount, 0);
    assert.equal(third.count, 0);
  });

  test("what a dead thread had taken is counted as lost, and its cell is used again", () => {
    const { first, second, third, bury } = rings(1);
    for (let death = 1; death <= 3; death++) {
      first.publish(first.claim());
      assert.ok(second.take() >= 0);
      bury(1);
      assert.equal(third.lostCount, death);
    }
    for (let turn = 0; turn < 100; turn++) {
      first.publish(first.claim());
      third.release(third.take());
    }
  });

  test("is closed behind what was sent: the end comes after it, and nothing comes after the end", () => {
    const { first, second } = rings(2);
    first.publish(first.claim());
    const late = second.claim();
    assert.equal(first.close(), true);
    assert.equal(first.close(), false);
    assert.equal(first.claim(), RING_ENDED);
    second.publish(late);
    second.release(second.take());
    assert.equal(second.take(), late);
    second.release(late);
    assert.equal(second.take(), RING_ENDED);
    assert.equal(second.claim(), RING_ENDED);
  });

  test("can be closed while it is full", () => {
    const { first, second } = rings(1);
    first.publish(first.claim());
    first.close();
    assert.equal(second.claim(), RING_ENDED);
    second.release(second.take());
    assert.equal(second.take(), RING_ENDED);
  });
});
