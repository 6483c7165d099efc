import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { joinGathering } from "./gathering.js";
import { PermitSeeker } from "./permit-seeker.js";
import {
  buryPermitsThread,
  NO_PERMIT,
  Permits,
  type PermitsShape,
  permitsGathering,
  permitsLength,
} from "./permits.js";
import { SharedWords } from "./words.js";

/** Between two steps of a giver, others make theirs. */
class InterruptedWords extends SharedWords {
  /** Called once, behind the step that clears a bit. */
  whenCleared: () => void = () => undefined;

  override and(index: number, value: number): number {
    const found = super.and(index, value);
    const run = this.whenCleared;
    this.whenCleared = () => undefined;
    run();
    return found;
  }
}

function threads(permits: number) {
  const shape: PermitsShape = { base: 0, threads: 40, permits };
  const words = new InterruptedWords(new SharedArrayBuffer(permitsLength(shape) * 4));
  for (let thread = 0; thread < shape.threads; thread++)
    joinGathering(words, permitsGathering(shape), { thread, life: thread + 1 });
  const all = Array.from({ length: shape.threads }, (_, thread) => new Permits(words, shape, thread));
  return {
    words,
    all,
    first: all[0]!,
    second: all[1]!,
    third: all[2]!,
    bury: (n: number) => buryPermitsThread(words, shape, n),
  };
}

describe("Permits", () => {
  test("a permit goes to the threads in the order in which they came, and is not free meanwhile", () => {
    const { all, first } = threads(1);
    assert.equal(first.tryTake(), 0);
    const order = [39, 3, 31, 32, 1];
    for (const thread of order) all[thread]!.waiting.enter(thread);
    let holder = first;
    for (const thread of order) {
      holder.release(0);
      assert.equal(first.tryTake(), NO_PERMIT);
      for (const other of all) if (other !== all[thread]) assert.equal(other.takeOffered(), NO_PERMIT);
      assert.equal(all[thread]!.takeOffered(), 0);
      holder = all[thread]!;
    }
    holder.release(0);
    assert.equal(first.freeCount, 1);
  });

  test("what a dead thread held is abandoned, and told once", () => {
    const { first, second, third, bury } = threads(2);
    first.tryTake();
    first.tryTake();
    second.waiting.enter(1);
    bury(0);
    assert.notEqual(second.takeOffered(), NO_PERMIT);
    assert.equal(second.wasAbandoned, true);
    const other = third.tryTake();
    assert.equal(third.wasAbandoned, true);
    assert.equal(third.abandonedCount, 2);
    third.release(other);
    assert.equal(third.tryTake(), other);
    assert.equal(third.wasAbandoned, false);
  });

  test("what a dead thread was offered goes on, and is not abandoned", () => {
    const { first, second, third, bury } = threads(1);
    first.tryTake();
    second.waiting.enter(1);
    third.waiting.enter(2);
    first.release(0);
    bury(1);
    assert.equal(third.takeOffered(), 0);
    assert.equal(third.wasAbandoned, false);
    assert.equal(third.abandonedCount, 0);
  });

  test("is not told twice when the one that is told passes it on", () => {
    const { first, second, third, bury } = threads(1);
    first.tryTake();
    bury(0);
    second.tryTake();
    second.giveOn(0, second.wasAbandoned);
    third.tryTake();
    assert.equal(third.wasAbandoned, true);
    third.release(0);
    second.tryTake();
    assert.equal(second.wasAbandoned, false);
  });
});

describe("PermitSeeker", () => {
  test("is owed an offer when its wait was answered and it has given up, and passes it on", () => {
    const { words, first, second, third } = threads(1);
    const seeker = new PermitSeeker(second);
    const permit = first.tryTake();
    assert.equal(seeker.seek(), NO_PERMIT);
    assert.equal(seeker.isOwed, false);
    words.whenCleared = () => {
      seeker.rest();
      assert.equal(seeker.isOwed, true);
      third.waiting.enter(2);
    };
    first.release(permit);
    seeker.rest();
    assert.equal(seeker.isOwed, false);
    assert.equal(third.takeOffered(), permit);
  });

  test("is still owed it when somebody else has died meanwhile", () => {
    const { words, first, second, third, bury } = threads(1);
    const seeker = new PermitSeeker(second);
    const permit = first.tryTake();
    seeker.seek();
    words.whenCleared = () => {
      bury(3);
      seeker.rest();
      assert.equal(seeker.isOwed, true);
    };
    first.release(permit);
    seeker.rest();
    assert.equal(seeker.isOwed, false);
    assert.equal(third.tryTake(), permit, "nobody has lost it");
  });

  test("is owed nothing any more by one that has died before its offer", () => {
    const { words, first, second, third, bury } = threads(1);
    const seeker = new PermitSeeker(second);
    const permit = first.tryTake();
    seeker.seek();
    words.whenCleared = () => {
      seeker.rest();
      assert.equal(seeker.isOwed, true);
      throw new Error("died");
    };
    assert.throws(() => first.release(permit), /died/);
    bury(0);
    seeker.rest();
    assert.equal(seeker.isOwed, false);
    assert.equal(third.tryTake(), permit);
    assert.equal(third.wasAbandoned, true);
  });
});
