/** The run queue and what lies around it: pop against steal, overflow against steal, and indexes that wrap. */
import { Injector, injectorLength } from "../../../src/shared/injector.js";
import { LifoSlots, stealLifo } from "../../../src/shared/lifo-slots.js";
import { LocalQueue } from "../../../src/shared/local-queue.js";
import { RunQueue, type RunQueueShape, RunQueueThief, runQueueLength } from "../../../src/shared/run-queue.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";
import { mustBeEachOnce, notedBy, TakeLog } from "../take-log.js";

/** The narrowest indexes that can tell two hints from none. */
const QUEUE = { base: 0, capacity: 2, indexBits: 2 };
/** A wider one, half of which is more than one. */
const WIDE = { base: 0, capacity: 4, indexBits: 3 };
const OTHER = { ...QUEUE, base: runQueueLength(4) };
const INJECTOR = { base: 2 * runQueueLength(4), capacity: 4, shards: 1, wordShift: 1 };
const LIFO = { base: INJECTOR.base + injectorLength(INJECTOR), count: 1 };
const LOG = { base: LIFO.base + 16, entries: 6 };
const LENGTH = LOG.base + 4 * LOG.entries;

function fill(count: number, shape: RunQueueShape = QUEUE): (words: Words) => void {
  return (words) => {
    const queue = new RunQueue(words, shape);
    for (let slot = 0; slot < count; slot++) queue.push(slot);
  };
}

/** An owner that pops the oldest or the newest, or pushes a slot, as told. */
function owner(steps: readonly ("pop" | "newest" | number)[], shape: RunQueueShape = QUEUE): ModelThread {
  return (words) => {
    const queue = new RunQueue(words, shape);
    const log = new TakeLog(words, LOG, 0);
    for (const step of steps) {
      if (step === "pop") log.note(queue.pop());
      else if (step === "newest") log.note(queue.popNewest());
      // What does not fit is the owner's to keep.
      else if (!queue.push(step)) log.note(step);
    }
    // The successor of an owner that has ended finds everything, so what is left can be counted.
    for (let slot = queue.pop(); slot !== -1; slot = queue.pop()) log.note(slot);
  };
}

function thief(thread: number, times: number): ModelThread {
  return (words) => {
    const victim = new RunQueueThief(words, QUEUE);
    const log = new TakeLog(words, LOG, thread);
    for (let n = 0; n < times; n++) log.note(victim.stealOne());
  };
}

function halfThief(thread: number): ModelThread {
  return (words) => {
    const own = new RunQueue(words, OTHER);
    const log = new TakeLog(words, LOG, thread);
    log.note(new RunQueueThief(words, WIDE).stealHalf(own, 4));
    for (let slot = own.pop(); slot !== -1; slot = own.pop()) log.note(slot);
  };
}

function counts(count: number): (words: Words) => void {
  return (words) => mustBeEachOnce(notedBy(words, LOG, 4), count);
}

/**
 * The queue as one writes it at first: both ends take by moving the head with a compare-and-swap, after they have read the cell. With a head of two bits the old value comes back while a thief sleeps.
 */
function popByHead(words: Words, indexMask: number): number {
  const [head, tail, cells] = [0, 1, 2];
  const at = words.load(head);
  if (at === words.load(tail)) return -1;
  const slot = words.load(cells + (at & 1)) - 1;
  return words.compareExchange(head, at, (at + 1) & indexMask) === at ? slot : -1;
}

function headOwner(indexMask: number): ModelThread {
  return (words) => {
    const log = new TakeLog(words, LOG, 0);
    for (let slot = 1; slot < 5; slot++) {
      words.store(2 + (slot & 1), slot + 1);
      words.store(1, (slot + 1) & indexMask);
      log.note(popByHead(words, indexMask));
    }
    for (let slot = popByHead(words, indexMask); slot !== -1; slot = popByHead(words, indexMask)) log.note(slot);
  };
}

/** Pushes three hints through two cells, so that one at least overflows or is stolen in time. */
function overflower(words: Words): void {
  const injector = new Injector(words, INJECTOR, 0);
  const queue = new LocalQueue(new LifoSlots(words, LIFO), new RunQueue(words, QUEUE), injector);
  const log = new TakeLog(words, LOG, 0);
  for (let slot = 0; slot < 4; slot++) queue.push(slot);
  for (let slot = queue.pop(); slot !== -1; slot = queue.pop()) log.note(slot);
  for (let slot = injector.take(); slot !== -1; slot = injector.take()) log.note(slot);
}

const programs: readonly ModelProgram[] = [
  {
    name: "run queue: the owner pops and pushes, two thieves steal one each",
    length: LENGTH,
    setup: fill(2),
    threads: [owner(["pop", 2]), thief(1, 1), thief(2, 1)],
    finish: counts(3),
  },
  {
    name: "run queue: the owner pops the newest and pushes, two thieves steal one each",
    length: LENGTH,
    setup: fill(2),
    threads: [owner(["newest", 2, "newest"]), thief(1, 1), thief(2, 1)],
    finish: counts(3),
  },
  {
    name: "run queue: the tail goes back under a thief, and indexes of two bits wrap",
    length: LENGTH,
    setup: fill(1),
    threads: [owner([1, "newest", 2, "pop", 3, "newest", 4, "newest"]), thief(1, 2)],
    finish: counts(5),
  },
  {
    name: "run queue: half is stolen while the owner pops the newest",
    length: LENGTH,
    setup: fill(3, WIDE),
    threads: [owner(["newest", 3, "newest"], WIDE), halfThief(1)],
    finish: counts(4),
  },
  {
    name: "run queue: indexes of two bits wrap twice under a thief",
    length: LENGTH,
    setup: fill(1),
    threads: [owner([1, "pop", 2, "pop", 3, "pop", 4, "pop", 5]), thief(1, 2)],
    finish: counts(6),
  },
  {
    name: "run queue: half is stolen, by a thief who is stolen from",
    length: LENGTH,
    setup: fill(3, WIDE),
    threads: [
      owner(["pop", 3], WIDE),
      halfThief(1),
      (words) => new TakeLog(words, LOG, 2).note(new RunQueueThief(words, OTHER).stealOne()),
    ],
    finish: counts(4),
  },
  {
    name: "run queue: it overflows while it and the LIFO slot are stolen from",
    length: LENGTH,
    threads: [
      overflower,
      (words) => new TakeLog(words, LOG, 1).note(new RunQueueThief(words, QUEUE).stealOne()),
      (words) => new TakeLog(words, LOG, 2).note(stealLifo(words, LIFO)),
    ],
    finish: counts(4),
  },
  {
    name: "run queue, planted: heads of two bits moved by compare-and-swap",
    length: LENGTH,
    setup: (words) => {
      words.store(2, 1);
      words.store(1, 1);
    },
    threads: [headOwner(0b11), (words) => new TakeLog(words, LOG, 1).note(popByHead(words, 0b11))],
    finish: counts(5),
    mustFail: /slot \d was (lost|taken 2 times)/,
  },
];

export default programs;
