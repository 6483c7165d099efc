/** The slab: blocks given back by several threads, and the death of the owner or of who gives back, at every step. Regions of two blocks of one word. */
import { lifeOf, SLAB_FULL, Slab, type SlabShape, slabLength } from "../../../src/shared/slab.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";

const DEATHS = 0;
const LIVES = 1;
/** Slots that hold references. */
const SLOT = 4;
/** 1 when whoever gives back has ended, dead or alive. */
const ENDED = 8;
const SHAPE: SlabShape = {
  base: 16,
  deaths: DEATHS,
  lives: LIVES,
  threads: 3,
  unitWords: 1,
  chunkUnits: 1,
  chunks: 2,
};
const LENGTH = SHAPE.base + slabLength(SHAPE);
const STATES = SHAPE.base + 16;
const [OWNER, GIVER, REAPER] = [0, 1, 2];

/** All live, and the owner's predecessor has lent `lentCount` blocks, each with its number in it. */
function lent(lentCount: number): (words: Words) => void {
  return (words) => {
    for (let thread = 0; thread < SHAPE.threads; thread++) words.store(LIVES + thread, lifeOf(thread, 1));
    const predecessor = new Slab(words, SHAPE, OWNER);
    for (let index = 0; index < lentCount; index++) {
      const reference = predecessor.take(1);
      words.write(predecessor.wordOf(reference), 100 + index);
      predecessor.lendAt(SLOT + index, reference);
    }
    words.store(LIVES + OWNER, lifeOf(OWNER, 2));
  };
}

/** Reads the block of a slot and gives it back. */
function giving(thread: number, slot: number): ModelThread {
  return (words) => {
    const slab = new Slab(words, SHAPE, thread);
    const reference = words.load(SLOT + slot);
    if (words.read(slab.wordOf(reference)) !== 100 + slot) throw new Error("the block is somebody else's");
    slab.releaseAt(SLOT + slot);
    words.store(ENDED, 1);
    words.notify(ENDED);
  };
}

/** Takes what it can, and uses it: a block that another thread still reads is a race. */
function takeAndUse(words: Words, slab: Slab): number {
  let count = 0;
  for (let reference = slab.take(1); reference !== SLAB_FULL; reference = slab.take(1)) {
    words.write(slab.wordOf(reference), 200);
    count += 1;
  }
  return count;
}

const owning: ModelThread = (words) => {
  takeAndUse(words, new Slab(words, SHAPE, OWNER));
};

/** An owner that must have everything when whoever gave back has ended. */
const owningToTheEnd: ModelThread = (words) => {
  const slab = new Slab(words, SHAPE, OWNER);
  let count = takeAndUse(words, slab);
  words.wait(ENDED, 0);
  count += takeAndUse(words, slab);
  if (count !== 2) throw new Error(`the owner has ${count} of 2 blocks`);
};

/** The same, with a sweep for the death of somebody else meanwhile. */
const sweeping: ModelThread = (words) => {
  const slab = new Slab(words, SHAPE, OWNER);
  slab.sweep();
  slab.collect();
  words.wait(ENDED, 0);
  const count = takeAndUse(words, slab);
  if (count !== 2) throw new Error(`the owner has ${count} of 2 blocks`);
};

/** An owner that lends the block again as soon as it is back, and then gives it back itself. */
const lendingAgain: ModelThread = (words) => {
  const slab = new Slab(words, SHAPE, OWNER);
  slab.take(1);
  const again = slab.take(1);
  if (again !== SLAB_FULL) slab.lendAt(SLOT + 1, again);
  words.wait(ENDED, 0);
  if (again !== SLAB_FULL && !slab.releaseAt(SLOT + 1)) throw new Error("somebody gave back what was lent anew");
};

/** An owner that lends and gives back by itself, and collects. */
const lending: ModelThread = (words) => {
  const slab = new Slab(words, SHAPE, OWNER);
  const reference = slab.take(1);
  if (reference === SLAB_FULL) return;
  slab.lendAt(SLOT + 1, reference);
  slab.collect();
  slab.releaseAt(SLOT + 1);
};

function bury(words: Words, thread: number): void {
  words.store(LIVES + thread, 0);
  words.add(DEATHS, 1);
}

/** Does for a dead giver what it may not have done, and ends its life only then. */
const reapGiver = (words: Words): void => {
  new Slab(words, SHAPE, REAPER).releaseAt(SLOT);
  bury(words, GIVER);
  words.store(ENDED, 1);
  words.notify(ENDED);
};

/** Ends the life first: then the owner takes a block back to which a reference still stands. */
const reapTooEarly = (words: Words): void => {
  bury(words, GIVER);
  new Slab(words, SHAPE, REAPER).releaseAt(SLOT);
  words.store(ENDED, 1);
  words.notify(ENDED);
};

/** Gives back what a dead owner had lent in a slot of its own, and starts its successor, which uses all that it finds. */
const reapOwner = (words: Words): void => {
  new Slab(words, SHAPE, REAPER).releaseAt(SLOT + 1);
  bury(words, OWNER);
  words.store(LIVES + OWNER, lifeOf(OWNER, 3));
  takeAndUse(words, new Slab(words, SHAPE, OWNER));
};

/** All slots are empty, and one more successor finds both blocks free. */
function allFree(words: Words): void {
  for (const slot of [0, 1]) if (words.load(SLOT + slot) !== 0) throw new Error(`slot ${slot} still has a reference`);
  words.store(LIVES + OWNER, lifeOf(OWNER, 9));
  const count = takeAndUse(words, new Slab(words, SHAPE, OWNER));
  if (count !== 2) throw new Error(`${count} of 2 blocks are free at the end`);
}

/** Gives a block back without claiming it: pushes, then clears the slot. */
function unclaimed(words: Words, slab: Slab): void {
  const reference = words.load(SLOT);
  if (reference === 0) return;
  let found = words.load(SHAPE.base);
  for (;;) {
    words.write(slab.wordOf(reference), found);
    const now = words.compareExchange(SHAPE.base, found, reference);
    if (now === found) break;
    found = now;
  }
  words.store(SLOT, 0);
}

const givingUnclaimed: ModelThread = (words) => {
  unclaimed(words, new Slab(words, SHAPE, GIVER));
  words.store(ENDED, 1);
  words.notify(ENDED);
};

const reapUnclaimed = (words: Words): void => {
  unclaimed(words, new Slab(words, SHAPE, REAPER));
  bury(words, GIVER);
  words.store(ENDED, 1);
  words.notify(ENDED);
};

/** Claims with a word that names nobody, so that the owner cannot tell whose death cut it. */
const givingAnonymously: ModelThread = (words) => {
  const slab = new Slab(words, SHAPE, GIVER);
  const reference = words.load(SLOT);
  words.compareExchange(STATES + reference - 1, 1, 2 | (lifeOf(REAPER, 1) << 2));
  words.store(SLOT, 0);
  words.write(slab.wordOf(reference), 0);
  if (words.compareExchange(SHAPE.base, 0, reference) !== 0) throw new Error("nobody else pushes");
  words.store(ENDED, 1);
  words.notify(ENDED);
};

/** Reads the block after giving it back. */
const readingLate: ModelThread = (words) => {
  const slab = new Slab(words, SHAPE, GIVER);
  const reference = words.load(SLOT);
  slab.releaseAt(SLOT);
  words.read(slab.wordOf(reference));
};

const programs: readonly ModelProgram[] = [
  {
    name: "slab: the owner takes while another gives back",
    length: LENGTH,
    setup: lent(1),
    threads: [owning, giving(GIVER, 0)],
    finish: allFree,
  },
  {
    name: "slab: two give back while the owner takes",
    length: LENGTH,
    setup: lent(2),
    threads: [owning, giving(GIVER, 0), giving(REAPER, 1)],
    finish: allFree,
  },
  {
    name: "slab: who gives back may die, and the same owner has the block in the end",
    length: LENGTH,
    setup: lent(1),
    threads: [owningToTheEnd, giving(GIVER, 0)],
    mortal: [1],
    reaper: reapGiver,
    finish: allFree,
  },
  {
    name: "slab: who gives back may die while the owner sweeps",
    length: LENGTH,
    setup: lent(1),
    threads: [sweeping, giving(GIVER, 0)],
    mortal: [1],
    reaper: reapGiver,
    finish: allFree,
  },
  {
    name: "slab: who gives back may die while the owner lends the block again",
    length: LENGTH,
    setup: lent(1),
    threads: [lendingAgain, giving(GIVER, 0)],
    mortal: [1],
    reaper: reapGiver,
    finish: allFree,
  },
  {
    name: "slab: the owner may die while another gives back",
    length: LENGTH,
    setup: lent(1),
    threads: [lending, giving(GIVER, 0)],
    mortal: [0],
    reaper: reapOwner,
    finish: allFree,
  },
  {
    name: "slab: the owner and who gives back may die, one or both",
    length: LENGTH,
    setup: lent(1),
    threads: [lending, giving(GIVER, 0)],
    mortal: [0, 1],
    deathsMax: 2,
    reaper: (words, killed) => (killed === OWNER ? reapOwner(words) : reapGiver(words)),
    finish: allFree,
  },
  {
    name: "slab: a block given back without a claim",
    length: LENGTH,
    setup: lent(1),
    threads: [owningToTheEnd, givingUnclaimed],
    mortal: [1],
    reaper: reapUnclaimed,
    finish: allFree,
    mustFail: /a block that comes back was taken/,
  },
  {
    name: "slab: a life that ends before its references are released",
    length: LENGTH,
    setup: lent(1),
    threads: [lendingAgain, giving(GIVER, 0)],
    mortal: [1],
    reaper: reapTooEarly,
    finish: allFree,
    mustFail: /somebody gave back what was lent anew/,
  },
  {
    name: "slab: a claim without its owner",
    length: LENGTH,
    setup: lent(1),
    threads: [owningToTheEnd, givingAnonymously],
    mortal: [1],
    reaper: reapGiver,
    finish: allFree,
    mustFail: /the owner has 1 of 2 blocks/,
  },
  {
    name: "slab: a block read after it was given back",
    length: LENGTH,
    setup: lent(1),
    threads: [owning, readingLate],
    finish: allFree,
    mustFail: /data race/,
  },
];

export default programs;
