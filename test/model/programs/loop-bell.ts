/**
 * Threads that sleep in their event loop: the parker's word says "loop", and who wakes one rings its doorbell (`src/scheduler/ringer.ts`, `loop-bell.ts`, `compute-thread.ts`). No wake-up is lost between the two,
 * and a thread that is busy inside of such a sleep keeps no other from the work. `Atomics.waitAsync` on the bell's word is `wait` here.
 */
import { BELL_WORDS, Bell } from "../../../src/shared/bell.js";
import { IDLE_SET_WORDS, IdleSet } from "../../../src/shared/idle-set.js";
import { Parkers, parkersLength, type SleepKind } from "../../../src/shared/parkers.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";

const THREADS = 3;
const PARKERS = { base: 0, threads: THREADS, stride: 1 };
const IDLE = Math.ceil(parkersLength(THREADS, PARKERS.stride) / 16) * 16;
const BELLS = IDLE + IDLE_SET_WORDS;
const ITEMS = BELLS + THREADS * BELL_WORDS;
const TAKEN = ITEMS + 1;
const LENGTH = TAKEN + 1;

interface Parts {
  readonly idle: IdleSet;
  readonly parkers: Parkers;
  readonly bells: readonly Bell[];
}

function parts(words: Words): Parts {
  const parkers = new Parkers(words, PARKERS);
  const bells = Array.from({ length: THREADS }, (_, thread) => new Bell(words, BELLS + thread * BELL_WORDS));
  return { parkers, idle: new IdleSet(words, parkers, { base: IDLE }), bells };
}

/** What `ringDoorbell` does with a bell of the kind "atomics". */
function ring(bell: Bell): void {
  if (bell.ring()) bell.notify();
}

/** `Ringer.wakeOne`. With `isNameKept`, as it was before: the thread that was rung is the searcher. */
function wakeOne({ idle, bells }: Parts, isNameKept = false): void {
  for (let left = THREADS; left > 0; left--) {
    if (idle.wakeOne() !== "loop") return;
    ring(bells[idle.wokenThread]!);
    if (isNameKept) return;
    idle.endSearch(idle.wokenThread);
  }
}

/** `LoopBell.next`. With `isForgetful`, it takes a ring that came before for an old one. */
function nextRing(words: Words, bell: Bell, { rung, isForgetful }: { rung: number; isForgetful: boolean }): void {
  if (isForgetful) bell.take();
  while (!bell.take()) {
    if (bell.fallAsleep()) words.wait(rung, 0);
    bell.wokeUp();
  }
}

function take(words: Words): boolean {
  const isTaken = words.compareExchange(ITEMS, 1, 0) === 1;
  if (isTaken) words.add(TAKEN, 1);
  return isTaken;
}

/** Takes the one item there will be, and sleeps until it is there: `park` of a compute thread. */
function sleeper(self: number, kind: SleepKind, omission?: "recheck" | "look"): ModelThread {
  return (words) => {
    const own = parts(words);
    const { idle, bells } = own;
    for (;;) {
      const isTaken = take(words);
      idle.endSearch(self);
      if (isTaken) return;
      if (!idle.announce(self, kind)) continue;
      if (omission !== "recheck" && words.load(ITEMS) > 0) {
        idle.retract(self);
      } else if (kind === "word") {
        idle.sleep(self);
      } else {
        nextRing(words, bells[self]!, { rung: BELLS + self * BELL_WORDS, isForgetful: omission === "look" });
        idle.retract(self);
      }
    }
  };
}

/** Seems to sleep in its loop, and runs what its tasks waited for instead, for ever. */
function busy(self: number): ModelThread {
  return (words) => {
    parts(words).idle.announce(self, "loop");
  };
}

function pusher(isNameKept = false): ModelThread {
  return (words) => {
    const own = parts(words);
    words.store(ITEMS, 1);
    wakeOne(own, isNameKept);
  };
}

/** Somebody whose task is done, say: a ring that has nothing to do with the item. */
function settler(thread: number): ModelThread {
  return (words) => {
    const { parkers, bells } = parts(words);
    if (parkers.notify(thread) === "loop") ring(bells[thread]!);
  };
}

function isTaken(words: Words): void {
  if (words.load(TAKEN) !== 1) throw new Error("the item was not taken once");
}

const program = { length: LENGTH, finish: isTaken };

const programs: readonly ModelProgram[] = [
  { ...program, name: "loop bell: push against a sleep in the loop", threads: [pusher(), sleeper(1, "loop")] },
  {
    ...program,
    name: "loop bell: a ring for something else, and a push",
    threads: [pusher(), sleeper(1, "loop"), settler(1)],
  },
  {
    ...program,
    name: "loop bell: a thread that is busy in its loop, and one that sleeps on its word",
    threads: [pusher(), busy(1), sleeper(2, "word")],
  },
  {
    ...program,
    name: "loop bell: a thread that is busy in its loop, and one that sleeps in its own",
    threads: [pusher(), busy(1), sleeper(2, "loop")],
  },
  {
    ...program,
    name: "loop bell, planted: whoever is rung in its loop keeps the search",
    threads: [pusher(true), busy(1), sleeper(2, "word")],
    mustFail: /lost wake-up/,
  },
  {
    ...program,
    name: "loop bell, planted: no look at the items after the announcement",
    threads: [pusher(), sleeper(1, "loop", "recheck")],
    mustFail: /lost wake-up/,
  },
  {
    ...program,
    name: "loop bell, planted: a ring before the sleep is forgotten",
    threads: [pusher(), sleeper(1, "loop", "look")],
    mustFail: /lost wake-up/,
  },
];

export default programs;
