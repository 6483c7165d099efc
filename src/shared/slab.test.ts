import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AssertionError } from "../assert.js";
import { lifeOf, SLAB_FULL, Slab, type SlabShape, slabLength } from "./slab.js";
import { SharedWords } from "./words.js";

const DIVISION = { threads: 3, unitWords: 4, chunkUnits: 4, chunks: 2 };
/** Words of slots that hold references. */
const SLOT = 32;
const SHAPE: SlabShape = { ...DIVISION, base: 64, lives: 1, deaths: 0 };

class Rig {
  readonly words = new SharedWords(new SharedArrayBuffer((SHAPE.base + slabLength(SHAPE)) * 4));
  #starts = 0;

  start(thread: number): Slab {
    this.#starts += 1;
    this.words.store(SHAPE.lives + thread, lifeOf(thread, this.#starts));
    return new Slab(this.words, SHAPE, thread);
  }

  bury(thread: number): void {
    this.words.store(SHAPE.lives + thread, 0);
    this.words.add(SHAPE.deaths, 1);
  }

  /** Has a thread die within `act`, before its `step`th access to shared memory; false when it makes fewer. */
  die(step: number, act: (slab: Slab) => void, slab: Slab): boolean {
    let left = step;
    const names = ["load", "store", "compareExchange", "exchange", "read", "write"] as const;
    const whole = this.words as unknown as Record<string, unknown>;
    for (const name of names) {
      const real = SharedWords.prototype[name] as (...args: number[]) => number;
      whole[name] = (...args: number[]) => {
        if (left-- <= 0) throw new Died();
        return real.apply(this.words, args);
      };
    }
    let hasDied = false;
    try {
      act(slab);
    } catch (error) {
      if (!(error instanceof Died)) throw error;
      hasDied = true;
    } finally {
      for (const name of names) delete whole[name];
    }
    return hasDied;
  }
}

class Died extends Error {}

function takeAll(slab: Slab, wordCount = 1): number[] {
  const references: number[] = [];
  for (let found = slab.take(wordCount); found !== SLAB_FULL; found = slab.take(wordCount)) references.push(found);
  return references;
}

describe("Slab", () => {
  it("take() gives blocks that do not overlap, those of all threads, and refuses when the region is full", () => {
    const rig = new Rig();
    const slabs = [rig.start(0), rig.start(1), rig.start(2)];
    const spans = slabs.flatMap((slab) => takeAll(slab, 5).map((one) => [slab.wordOf(one), slab.sizeOf(one)] as const));
    assert.equal(spans.length, 3 * 4);
    const owner = new Map<number, number>();
    for (const [word, size] of spans) {
      assert.equal(size, 8);
      assert.ok(word >= SHAPE.base && word + size <= rig.words.length);
      for (let index = word; index < word + size; index++) {
        assert.equal(owner.get(index), undefined);
        owner.set(index, word);
      }
    }
    assert.deepEqual(
      slabs.map((slab) => slab.refusals),
      [1, 1, 1],
    );
  });

  it("take() refuses what is larger than a chunk", () => {
    const slab = new Rig().start(0);
    assert.equal(slab.blockWordsMax, 16);
    assert.notEqual(slab.take(16), SLAB_FULL);
    assert.equal(slab.take(17), SLAB_FULL);
  });

  it("releaseAt() gives a block back from its owner and from another thread, once, and clears the slot", () => {
    const rig = new Rig();
    const [owner, other] = [rig.start(0), rig.start(1)];
    for (const releaser of [owner, other]) {
      const all = takeAll(owner, 16);
      const [first] = all;
      assert.ok(first !== undefined);
      owner.lendAt(SLOT, first);
      owner.lendAt(SLOT + 1, first);
      assert.equal(releaser.releaseAt(SLOT), true);
      assert.equal(rig.words.load(SLOT), 0);
      assert.equal(releaser.releaseAt(SLOT), false, "the slot is empty");
      assert.equal(releaser.releaseAt(SLOT + 1), false, "the block was given back already");
      assert.equal(owner.take(16), first);
      for (const one of all) owner.drop(one);
    }
    assert.equal(owner.blocksNow, 0);
  });

  it("collect() takes back what others have given back, in any number", () => {
    const rig = new Rig();
    const [owner, first, second] = [rig.start(0), rig.start(1), rig.start(2)];
    const all = takeAll(owner);
    assert.equal(all.length, 8);
    for (const [index, reference] of all.entries()) {
      owner.lendAt(SLOT, reference);
      (index % 2 === 0 ? first : second).releaseAt(SLOT);
    }
    assert.equal(owner.blocksNow, 8);
    assert.equal(owner.collect(), 8);
    assert.equal(owner.blocksNow, 0);
    assert.equal(owner.collect(), 0);
  });

  it("drop() refuses a block that was lent", () => {
    const slab = new Rig().start(0);
    const reference = slab.take(1);
    slab.lendAt(SLOT, reference);
    assert.throws(() => slab.drop(reference), AssertionError);
  });

  it("a block that its giver-back took to the grave comes back with the next take() that finds no room", () => {
    let deaths = 0;
    for (let step = 0; step < 12; step++) {
      const rig = new Rig();
      const [owner, mortal, reaper] = [rig.start(0), rig.start(1), rig.start(2)];
      const [lent, kept] = takeAll(owner, 16);
      assert.ok(lent !== undefined && kept !== undefined);
      owner.lendAt(SLOT, lent);
      if (!rig.die(step, (slab) => slab.releaseAt(SLOT), mortal)) break;
      deaths += 1;
      reaper.releaseAt(SLOT);
      rig.bury(1);
      assert.equal(rig.words.load(SLOT), 0);
      assert.equal(owner.take(16), lent, `death before step ${step}`);
      assert.equal(owner.take(16), SLAB_FULL);
    }
    assert.ok(deaths >= 6, `${deaths} places to die in`);
  });

  it("the successor of a dead owner has everything back at once but what others hold, and that when they give it back", () => {
    let deaths = 0;
    for (let step = 0; step < 60; step++) {
      const rig = new Rig();
      const [mortal, other, reaper] = [rig.start(0), rig.start(1), rig.start(2)];
      const held = mortal.take(1);
      const [cut, given] = [mortal.take(16), mortal.take(1)];
      mortal.lendAt(SLOT, held);
      mortal.lendAt(SLOT + 2, given);
      other.releaseAt(SLOT + 2);
      const act = (slab: Slab): void => {
        slab.lendAt(SLOT + 1, cut);
        slab.collect();
        slab.releaseAt(SLOT + 1);
      };
      if (!rig.die(step, act, mortal)) break;
      deaths += 1;
      reaper.releaseAt(SLOT + 1);
      rig.bury(0);
      const successor = rig.start(0);
      assert.deepEqual(takeAll(successor, 16).length, 1, `death before step ${step}`);
      assert.equal(rig.words.load(SLOT), held);
      other.releaseAt(SLOT);
      assert.equal(takeAll(successor, 16).length, 1, `death before step ${step}`);
    }
    assert.ok(deaths > 10, `${deaths} places to die in`);
  });

  it("sweep() leaves alone what a living thread is giving back", () => {
    const rig = new Rig();
    const [owner, mortal] = [rig.start(0), rig.start(1)];
    const reference = owner.take(1);
    owner.lendAt(SLOT, reference);
    // Stopped between the claim and the push: its life has not ended yet.
    rig.die(2, (slab) => slab.releaseAt(SLOT), mortal);
    assert.equal(owner.sweep(), 0);
    rig.bury(1);
    assert.equal(owner.sweep(), 1);
  });

  it("refuses an owner that is not alive", () => {
    const rig = new Rig();
    assert.throws(() => new Slab(rig.words, SHAPE, 0), AssertionError);
  });
});
