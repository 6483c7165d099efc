/**
 * Doorbells (`src/shared/bell.ts`): no ring is lost, whether the owner works, falls asleep or wakes, and the descriptor is closed once, when nobody uses
 * it. The kernel's side of a sleep is one word: 1 when a write to the descriptor has not ended a wait yet (both drivers watch it edge-triggered).
 */
import { BELL_WORDS, Bell } from "../../../src/shared/bell.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";

const EVENT = BELL_WORDS;
const PUBLISHED = BELL_WORDS + 1;
const FOUND = BELL_WORDS + 2;
const STOP = BELL_WORDS + 3;
const OPEN = BELL_WORDS + 4;
const LENGTH = BELL_WORDS + 5;

function signal(words: Words): void {
  words.store(EVENT, 1);
  words.notify(EVENT);
}

function blockInKernel(words: Words): void {
  while (words.exchange(EVENT, 0) === 0) words.wait(EVENT, 0);
}

/** What `native/loop.c` and a turn do. Ends when it has found all, or was told to stop. */
function owner(total: number, looksAgain: boolean): ModelThread {
  return (words) => {
    const bell = new Bell(words, 0);
    for (;;) {
      if (bell.take()) words.store(FOUND, words.load(PUBLISHED));
      if (words.load(FOUND) === total || words.load(STOP) === 1) return;
      const mayBlock = bell.fallAsleep();
      if (mayBlock || !looksAgain) blockInKernel(words);
      bell.wokeUp();
    }
  };
}

/** What `ringDoorbell` does. */
function ringer(times: number, isPublishedFirst: boolean): ModelThread {
  return (words) => {
    const bell = new Bell(words, 0);
    for (let count = 0; count < times; count++) {
      if (isPublishedFirst) words.add(PUBLISHED, 1);
      const mustWake = bell.ring();
      if (!isPublishedFirst) words.add(PUBLISHED, 1);
      if (mustWake) signal(words);
    }
  };
}

/** The supervisor after the death of a ringer. */
function reaper(isForced: boolean): (words: Words) => void {
  return (words) => {
    words.store(STOP, 1);
    if (new Bell(words, 0).ring() || isForced) signal(words);
  };
}

function allFound(total: number): ModelProgram["finish"] {
  return (words, killed) => {
    const found = words.load(FOUND);
    if (killed.length === 0 && found !== total) throw new Error(`${found} of ${total} found`);
  };
}

/** What `signal` in `src/driver/doorbell.ts` does, and what closes. */
function user(isCounted: boolean): ModelThread {
  return (words) => {
    const bell = new Bell(words, 0);
    const isOpen = isCounted ? bell.enter() : !bell.isClosed;
    if (isOpen && words.load(OPEN) !== 1) throw new Error("a closed descriptor is written to");
    if (isCounted && bell.leave()) closeDescriptor(words);
  };
}

function closer(words: Words): void {
  if (new Bell(words, 0).close()) closeDescriptor(words);
}

function closeDescriptor(words: Words): void {
  if (words.exchange(OPEN, 0) !== 1) throw new Error("the descriptor is closed twice");
}

const closing = {
  length: LENGTH,
  setup: (words: Words) => words.store(OPEN, 1),
  finish: (words: Words, killed: readonly number[]) => {
    // One who dies while using it leaves it open, and harmless.
    if (killed.length === 0 && words.load(OPEN) !== 0) throw new Error("the descriptor stays open");
  },
};

const programs: readonly ModelProgram[] = [
  {
    name: "bell: a ringer of two rings, and an owner that sleeps",
    length: LENGTH,
    threads: [owner(2, true), ringer(2, true)],
    finish: allFound(2),
  },
  {
    name: "bell: two ringers, one may die, and an owner that sleeps",
    length: LENGTH,
    threads: [owner(2, true), ringer(1, true), ringer(1, true)],
    finish: allFound(2),
    mortal: [1],
    reaper: reaper(true),
  },
  {
    name: "bell: planted: an owner that does not look again before it sleeps",
    length: LENGTH,
    threads: [owner(1, false), ringer(1, true)],
    finish: allFound(1),
    mustFail: /lost wake-up/,
  },
  {
    name: "bell: planted: a ringer that publishes behind its ring",
    length: LENGTH,
    threads: [owner(1, true), ringer(1, false)],
    finish: allFound(1),
    mustFail: /lost wake-up/,
  },
  {
    name: "bell: planted: a reaper that trusts the words",
    length: LENGTH,
    threads: [owner(1, true), ringer(1, true)],
    finish: allFound(1),
    mortal: [1],
    reaper: reaper(false),
    mustFail: /lost wake-up/,
  },
  {
    name: "bell: two users of a descriptor, one may die, and two who close it",
    ...closing,
    threads: [user(true), user(true), closer, closer],
    mortal: [0],
    reaper: () => {},
  },
  {
    name: "bell: planted: a user who only looks whether it is open",
    ...closing,
    threads: [user(false), closer],
    mustFail: /written to/,
  },
];

export default programs;
