/** Sleeping and waking alone, around a count of items: no wake-up is lost, with one searcher at most, in both forms, and when who wakes dies. */
import { IDLE_SET_WORDS, IdleSet, type NotifyForm } from "../../../src/shared/idle-set.js";
import { Parkers, parkersLength } from "../../../src/shared/parkers.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";

const PARKERS = { base: 0, threads: 3, stride: 1 };
const IDLE = Math.ceil(parkersLength(PARKERS.threads, PARKERS.stride) / 16) * 16;
const ITEMS = IDLE + IDLE_SET_WORDS;
const TAKEN = ITEMS + 1;
const LENGTH = TAKEN + 1;

function parts(words: Words, form: NotifyForm): { idle: IdleSet; parkers: Parkers } {
  const parkers = new Parkers(words, PARKERS);
  return { parkers, idle: new IdleSet(words, parkers, { base: IDLE, form }) };
}

function take(words: Words): boolean {
  let items = words.load(ITEMS);
  while (items > 0) {
    const found = words.compareExchange(ITEMS, items, items - 1);
    if (found === items) {
      words.add(TAKEN, 1);
      return true;
    }
    items = found;
  }
  return false;
}

/** `hasSeen`: a recheck has found something, and then the thread looks even if another one is the searcher. */
function search(words: Words, self: number, idle: IdleSet, hasSeen = false): boolean {
  if (!idle.beginSearch(self) && !hasSeen) return false;
  const isFound = take(words);
  idle.endSearch(self);
  if (isFound && words.load(ITEMS) > 0) idle.wakeOne();
  return isFound;
}

/** Takes one item, and sleeps until there is one. */
function sleeper(self: number, form: NotifyForm, isRechecking = true): ModelThread {
  return (words) => {
    const { idle } = parts(words, form);
    let hasSeen = false;
    while (!search(words, self, idle, hasSeen)) {
      hasSeen = false;
      if (!idle.announce(self, "word")) continue;
      hasSeen = isRechecking && words.load(ITEMS) > 0;
      if (hasSeen) idle.retract(self);
      else idle.sleep(self);
    }
  };
}

function pusher(count: number, form: NotifyForm): ModelThread {
  return (words) => {
    const { idle } = parts(words, form);
    for (let n = 0; n < count; n++) {
      words.add(ITEMS, 1);
      idle.wakeOne();
    }
  };
}

function reap(words: Words, killed: number): void {
  const { idle, parkers } = parts(words, "fetch");
  parkers.reset(killed);
  idle.forget(killed);
  for (let thread = 0; thread < PARKERS.threads; thread++) if (thread !== killed) parkers.ringAgain(thread);
}

function mustBeTaken(count: number): (words: Words) => void {
  return (words) => {
    if (words.load(TAKEN) !== count) throw new Error(`${words.load(TAKEN)} items were taken of ${count}`);
  };
}

const programs: readonly ModelProgram[] = [
  {
    name: "idle set: two pushers, a sleeper that takes one",
    length: LENGTH,
    threads: [pusher(1, "fetch"), sleeper(1, "fetch"), pusher(1, "fetch")],
    finish: mustBeTaken(1),
  },
  {
    name: "idle set: one pusher of two, two sleepers that take one each",
    length: LENGTH,
    threads: [pusher(2, "fetch"), sleeper(1, "fetch"), sleeper(2, "fetch")],
    isDeep: true,
    isBounded: "two sleepers wake each other in more ways than the budget",
    finish: mustBeTaken(2),
  },
  {
    name: "idle set: two pushers, a sleeper, by compare-and-swap",
    length: LENGTH,
    threads: [pusher(1, "compare-and-swap"), sleeper(1, "compare-and-swap"), pusher(1, "compare-and-swap")],
    finish: mustBeTaken(1),
  },
  {
    name: "idle set: a pusher dies between naming the sleeper and waking it",
    length: LENGTH,
    threads: [pusher(1, "fetch"), sleeper(1, "fetch"), pusher(1, "fetch")],
    mortal: [0],
    reaper: reap,
    finish: mustBeTaken(1),
  },
  {
    name: "idle set: the searcher dies, with or without what it found",
    length: LENGTH,
    setup: (words) => words.store(ITEMS, 1),
    threads: [
      (words) => {
        search(words, 0, parts(words, "fetch").idle);
      },
      sleeper(1, "fetch"),
      pusher(1, "fetch"),
    ],
    mortal: [0],
    reaper: reap,
    finish: (words, killed) => {
      const count = words.load(TAKEN) + words.load(ITEMS);
      // Who dies with an item in its hands takes it along.
      if (count > 2 || count < 2 - killed.length) throw new Error("an item was lost or doubled");
    },
  },
  {
    name: "idle set, planted: no look at the items after the announcement",
    length: LENGTH,
    threads: [pusher(1, "fetch"), sleeper(1, "fetch", false)],
    finish: mustBeTaken(1),
    mustFail: /lost wake-up/,
  },
  {
    name: "idle set, planted: a dead thread's word about the searcher stays",
    length: LENGTH,
    threads: [pusher(1, "fetch"), sleeper(1, "fetch"), pusher(1, "fetch")],
    mortal: [0],
    // A reaper that only looks after the dead thread's own names.
    reaper: (words, killed) => new Parkers(words, PARKERS).reset(killed),
    finish: mustBeTaken(1),
    mustFail: /lost wake-up/,
  },
];

export default programs;
