/** A barrier that threads share: all parties of a generation find it open or all find it broken, the next one begins when they have left, and a death breaks it and holds nobody up. */
import {
  BARRIER_BUSY,
  BarrierCells,
  type BarrierShape,
  barrierGathering,
  barrierLength,
  buryBarrierThread,
} from "../../../src/shared/barrier-cells.js";
import type { Bell } from "../../../src/shared/bell.js";
import { announceDeath, bellWord, joinGathering, leaveGathering } from "../../../src/shared/gathering.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";

const TWO: BarrierShape = { base: 0, threads: 2, parties: 2, generationBits: 2 };
const ALL: BarrierShape = { ...TWO, threads: 3, parties: 3 };
/** What each thread wrote before it arrived, for the others to read behind the barrier. */
const DATA = barrierLength(ALL);
/** How many found the barrier open, and how many found it broken. */
const OPENED = DATA + 3;
const BROKE = OPENED + 1;
const LENGTH = BROKE + 1;

function joined(shape: BarrierShape): (words: Words) => void {
  return (words) => {
    for (let thread = 0; thread < shape.threads; thread++)
      joinGathering(words, barrierGathering(shape), { thread, life: thread + 1 });
  };
}

/** Waits for a ring, as `LoopBell.next`. */
function nextRing(words: Words, shape: BarrierShape, barrier: BarrierCells): void {
  const bell: Bell = barrier.gathering.ownBell;
  while (!bell.take()) {
    if (bell.fallAsleep()) words.wait(bellWord(barrierGathering(shape), barrier.gathering.self), 0);
    bell.wokeUp();
  }
}

interface Party {
  readonly shape: BarrierShape;
  readonly times?: number;
  /** The time at which it gives up instead of waiting. */
  readonly givesUpAt?: number;
  readonly leaves?: boolean;
  /** It has arrived before. */
  readonly isThere?: boolean;
}

/** Arrives, waits and leaves; reads behind an open barrier what the others wrote before it. */
function party(
  thread: number,
  { shape, times = 1, givesUpAt = 0, leaves = true, isThere = false }: Party,
): ModelThread {
  return (words) => {
    const barrier = new BarrierCells(words, shape, thread);
    for (let time = 1; time <= times; time++) {
      if (time === 1 && !isThere) words.write(DATA + thread, 1);
      while (!isThere && barrier.arrive() === BARRIER_BUSY) nextRing(words, shape, barrier);
      if (time === givesUpAt) barrier.giveUp();
      while (barrier.phase === "filling") nextRing(words, shape, barrier);
      const isOpen = barrier.phase === "open";
      if (leaves) barrier.leave();
      words.add(isOpen ? OPENED : BROKE, 1);
      if (isOpen && time === 1) {
        for (let other = 0; other < shape.threads; other++) {
          if (words.read(DATA + other) !== 1) throw new Error(`${other} had not arrived`);
        }
      }
    }
  };
}

function finish(shape: BarrierShape, arrivals: number): (words: Words, killed: readonly number[]) => void {
  return (words, killed) => {
    const opened = words.load(OPENED);
    const broke = words.load(BROKE);
    if (killed.length === 0 && opened + broke !== arrivals) throw new Error("somebody was not told");
    if (killed.length === 0 && opened % shape.parties !== 0)
      throw new Error(`${opened} found it open, a part of a generation`);
    if (opened + broke > arrivals) throw new Error("somebody was told twice");
    // It can be used again.
    for (const thread of killed) joinGathering(words, barrierGathering(shape), { thread, life: thread + 9 });
    for (let turn = 0; turn < 3; turn++) {
      const barrier = new BarrierCells(words, shape, 0);
      for (let n = 0; n < shape.parties; n++) {
        if (barrier.arrive() === BARRIER_BUSY) throw new Error("a generation was not left");
      }
      if (barrier.phase !== "open") throw new Error("it does not open");
      barrier.leave();
    }
  };
}

/** Nobody gave up or died: all found it open. */
function allOpened(shape: BarrierShape, arrivals: number): (words: Words, killed: readonly number[]) => void {
  return (words, killed) => {
    finish(shape, arrivals)(words, killed);
    if (words.load(OPENED) !== arrivals) throw new Error("somebody found it broken");
  };
}

function reaper(shape: BarrierShape): (words: Words, killed: number) => void {
  return (words, killed) => buryBarrierThread(words, shape, killed);
}

/** A reaper that breaks nothing. */
function careless(words: Words, killed: number): void {
  leaveGathering(words, barrierGathering(ALL), killed);
  announceDeath(words, barrierGathering(ALL));
}

/** A reaper that breaks the generation, and does not leave the dead thread's cells. */
function breaking(words: Words, killed: number): void {
  const gathering = barrierGathering(ALL);
  leaveGathering(words, gathering, killed);
  new BarrierCells(words, ALL, killed).giveUp();
  announceDeath(words, gathering);
}

/** Counts the parties in a word of its own, and passes when the count is full: somebody who died is counted. */
function counting(thread: number): ModelThread {
  return (words) => {
    words.write(DATA + thread, 1);
    const count = words.load(OPENED);
    words.store(OPENED, count + 1);
  };
}

/** Three parties, two of which have arrived. */
function twoAreThere(words: Words): void {
  joined(ALL)(words);
  for (const thread of [0, 1]) {
    words.write(DATA + thread, 1);
    new BarrierCells(words, ALL, thread).arrive();
  }
}

/** The last generation before they wrap. */
function lastGeneration(words: Words): void {
  joined(TWO)(words);
  const barrier = new BarrierCells(words, TWO, 0);
  for (let generation = 0; generation < 3; generation++) {
    barrier.arrive();
    barrier.arrive();
    barrier.leave();
  }
}

const waiting = { shape: ALL, isThere: true };

/** The order of three threads that sleep and wake each other. */
const MANY = "there are more orders than an hour has time for";

const programs: readonly ModelProgram[] = [
  {
    name: "barrier: two parties, the generations wrap",
    length: LENGTH,
    setup: lastGeneration,
    threads: [party(0, { shape: TWO }), party(1, { shape: TWO })],
    finish: allOpened(TWO, 2),
  },
  {
    name: "barrier: two parties, one comes again and gives up",
    length: LENGTH,
    setup: lastGeneration,
    threads: [party(0, { shape: TWO, times: 2, givesUpAt: 2 }), party(1, { shape: TWO })],
    finish: finish(TWO, 3),
  },
  {
    name: "barrier: two parties, two generations",
    length: LENGTH,
    setup: joined(TWO),
    threads: [party(0, { shape: TWO, times: 2 }), party(1, { shape: TWO, times: 2 })],
    finish: allOpened(TWO, 4),
    isDeep: true,
    isBounded: MANY,
  },
  {
    name: "barrier: three parties",
    length: LENGTH,
    setup: joined(ALL),
    threads: [0, 1, 2].map((thread) => party(thread, { shape: ALL })),
    finish: allOpened(ALL, 3),
    isDeep: true,
    isBounded: MANY,
  },
  {
    name: "barrier: one of two gives up",
    length: LENGTH,
    setup: joined(TWO),
    threads: [party(0, { shape: TWO, givesUpAt: 1 }), party(1, { shape: TWO, givesUpAt: 1 })],
    finish: finish(TWO, 2),
  },
  {
    name: "barrier: one of two that wait for a third one gives up or dies",
    length: LENGTH,
    setup: twoAreThere,
    threads: [party(0, { ...waiting, givesUpAt: 1 }), party(1, waiting)],
    mortal: [0],
    reaper: reaper(ALL),
    finish: finish(ALL, 2),
  },
  {
    name: "barrier: one of those that wait may die while the last one comes and gives up",
    length: LENGTH,
    setup: twoAreThere,
    threads: [party(0, waiting), party(1, waiting), party(2, { shape: ALL, givesUpAt: 1 })],
    mortal: [0],
    reaper: reaper(ALL),
    finish: finish(ALL, 3),
    isDeep: true,
    isBounded: MANY,
  },
  {
    name: "barrier: one that comes and gives up may die",
    length: LENGTH,
    setup: joined(TWO),
    threads: [party(0, { shape: TWO, givesUpAt: 1 }), party(1, { shape: TWO, givesUpAt: 1 })],
    mortal: [0],
    reaper: reaper(TWO),
    finish: finish(TWO, 2),
  },
  {
    name: "barrier, planted: a party that does not leave",
    length: LENGTH,
    setup: joined(TWO),
    threads: [party(0, { shape: TWO, leaves: false }), party(1, { shape: TWO })],
    finish: allOpened(TWO, 2),
    mustFail: /was not left/,
  },
  {
    name: "barrier, planted: the reaper breaks nothing",
    length: LENGTH,
    setup: twoAreThere,
    threads: [party(0, { ...waiting, givesUpAt: 1 }), party(1, waiting)],
    mortal: [0],
    reaper: careless,
    finish: finish(ALL, 2),
    mustFail: /was not left|lost wake-up|does not open/,
  },
  {
    name: "barrier, planted: the reaper does not leave for the dead",
    length: LENGTH,
    setup: twoAreThere,
    threads: [party(0, { ...waiting, givesUpAt: 1 }), party(1, waiting)],
    mortal: [0],
    reaper: breaking,
    finish: finish(ALL, 2),
    mustFail: /was not left/,
  },
  {
    name: "barrier, planted: parties are counted in two steps",
    length: LENGTH,
    setup: joined(TWO),
    threads: [counting(0), counting(1)],
    finish: (words) => {
      if (words.load(OPENED) !== 2) throw new Error("a party was not counted");
    },
    mustFail: /not counted/,
  },
];

export default programs;
