/** The structures together: push against park, settle against sleep, shutdown against spawn, and the death of a thread against all. */
import { Reaper } from "../../../src/shared/reaper.js";
import { Segment } from "../../../src/shared/segment.js";
import { FREE, IDEMPOTENT, JOIN_INTEREST, phaseOf, threadOf } from "../../../src/shared/task-state.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";
import {
  LAYOUT,
  LENGTH,
  LOSSES,
  Loop,
  mustHaveEnded,
  type Omission,
  RESULTS,
  RUNS,
  SUPERVISOR,
} from "../scheduler-loop.js";

/** Spawns a task, runs none, and waits for its end; then ends the executors. */
function client(self: number, executors: readonly number[]): ModelThread {
  return (words) => {
    const loop = new Loop(words, self);
    loop.spawn();
    loop.waitForAll(false);
    loop.stop(...executors);
  };
}

/** Spawns a task and runs what it finds until that task has its end. */
function spawner(flags: number): ModelThread {
  return (words) => {
    const loop = new Loop(words, 0);
    loop.spawn(flags);
    loop.waitForAll(true);
  };
}

function executor(self: number, omission?: Omission): ModelThread {
  return (words) => new Loop(words, self, omission).runUntilStopped();
}

/** Looks for work once. */
function passer(self: number, omission?: Omission): ModelThread {
  return (words) => new Loop(words, self, omission).work();
}

/** The tasks are there before the threads start. */
function spawnAt(...threads: readonly number[]): (words: Words) => void {
  return (words) => {
    for (const self of threads) new Loop(words, self).spawn();
  };
}

function reap(words: Words, killed: number): void {
  new Reaper(new Segment(words, LAYOUT, SUPERVISOR)).reap(killed, { isReplaced: false });
}

/** Buries a thread and lets its successor run what is there for it. Without one, the reaper promises what does not come. */
function reapAndReplace(hasSuccessor = true): (words: Words, killed: number) => void {
  return (words, killed) => {
    new Reaper(new Segment(words, LAYOUT, SUPERVISOR)).reap(killed, { isReplaced: true });
    if (hasSuccessor) new Loop(words, killed).work();
  };
}

/** Buries the origin, whose successor waits until all its slots are free: also that of a task which still runs elsewhere. */
function reapOrigin(words: Words, killed: number): void {
  new Reaper(new Segment(words, LAYOUT, SUPERVISOR)).reap(killed, { isReplaced: true });
  new Loop(words, killed).waitForAll(false);
}

/** A task for thread 1 alone. */
function spawnPinned(words: Words): void {
  new Loop(words, 0).spawnPinned(1);
}

/** Waits for the end of all tasks, and ends thread 1. */
function waiter(words: Words): void {
  const loop = new Loop(words, 0);
  loop.waitForAll(false);
  loop.stop(1);
}

/** Whoever is dead: a thread with the origin's id runs what is still queued, settles, and has all its slots free. */
function endsSomehow(runsMax: (killed: readonly number[]) => number): ModelProgram["finish"] {
  return (words, killed) => {
    const loop = new Loop(words, 0);
    loop.work();
    loop.settle();
    if (loop.origin.liveCount !== 0) throw new Error("a slot of the origin is lost");
    if (words.load(RUNS) > runsMax(killed)) throw new Error(`the task has run ${words.load(RUNS)} times`);
  };
}

function endsOnce(words: Words): void {
  mustHaveEnded(words, 1);
  if (words.load(RUNS) > 1) throw new Error("the task has run twice");
}

/** An origin's successor gets all its slots back. */
function originIsClean(words: Words): void {
  const loop = new Loop(words, 0);
  loop.settle();
  if (loop.origin.liveCount !== 0) throw new Error("a slot of the dead origin was not freed");
  if (phaseOf(loop.segment.table.stateOf(0)) !== FREE) throw new Error("a task of the dead origin is left");
}

const programs: readonly ModelProgram[] = [
  {
    name: "scheduler: push against park, settle against park",
    length: LENGTH,
    threads: [client(0, [1]), executor(1)],
    finish: endsOnce,
  },
  {
    name: "scheduler: one task, two executors that park and wake",
    length: LENGTH,
    setup: spawnAt(0),
    threads: [
      (words) => {
        const loop = new Loop(words, 0);
        loop.waitForAll(false);
        loop.stop(1, 2);
      },
      executor(1),
      executor(2),
    ],
    isDeep: true,
    isBounded: "three whole scheduler loops have more interleavings than the budget",
    finish: endsOnce,
  },
  {
    name: "scheduler: shutdown against a thief",
    length: LENGTH,
    threads: [
      (words) => {
        const loop = new Loop(words, 0);
        loop.spawn();
        loop.origin.close();
        if (loop.origin.open() >= 0) throw new Error("a closed origin takes a task");
        loop.origin.cancelAll();
        loop.waitForAll(false);
      },
      passer(1),
      passer(2),
    ],
    finish: endsOnce,
  },
  {
    name: "scheduler: an executor dies, its task is lost or was not begun",
    length: LENGTH,
    threads: [spawner(JOIN_INTEREST), passer(1)],
    mortal: [1],
    reaper: reap,
    finish: (words, killed) => {
      endsOnce(words);
      if (killed.length === 0 && words.load(LOSSES) > 0) throw new Error("a task was lost, and nobody died");
    },
  },
  {
    name: "scheduler: an executor dies, its idempotent task is run again",
    length: LENGTH,
    threads: [spawner(JOIN_INTEREST | IDEMPOTENT), passer(1)],
    mortal: [1],
    reaper: reap,
    finish: (words, killed) => {
      mustHaveEnded(words, 1);
      if (words.load(RESULTS) !== 1) throw new Error("an idempotent task has no result");
      if (words.load(RUNS) > 1 + killed.length) throw new Error("the task has run too often");
    },
  },
  {
    name: "scheduler: the origin dies while its task is queued, runs or is settled",
    length: LENGTH,
    threads: [spawner(JOIN_INTEREST), passer(1)],
    mortal: [0],
    reaper: reap,
    finish: (words) => {
      originIsClean(words);
      if (words.load(RUNS) > 1) throw new Error("the task has run twice");
    },
  },
  {
    name: "scheduler: a thread dies that was about to wake the executor another one counts on",
    length: LENGTH,
    threads: [(words) => new Loop(words, 0).spawn(), executor(1), client(2, [1])],
    mortal: [0],
    reaper: reap,
    isDeep: true,
    isBounded: "three whole scheduler loops and a reaper have more interleavings than the budget",
    finish: (words) => {
      // The first thread does not wait for its task, so only the other one's end is certain.
      if (words.load(RESULTS) < 1) throw new Error("the client has no result");
    },
  },
  {
    name: "scheduler: the origin dies, and its successor gets the slot back when the task is done",
    length: LENGTH,
    threads: [(words) => new Loop(words, 0).spawn(), passer(1)],
    mortal: [0],
    reaper: reapOrigin,
    finish: endsSomehow(() => 1),
  },
  {
    name: "scheduler: a pinned task against the sleep of its thread",
    length: LENGTH,
    threads: [
      (words) => {
        const loop = new Loop(words, 0);
        loop.spawnPinned(1);
        loop.waitForAll(false);
        loop.stop(1);
      },
      executor(1),
    ],
    finish: endsOnce,
  },
  {
    name: "scheduler: a pinned task against a thief with a hint",
    length: LENGTH,
    setup: (words) => {
      spawnPinned(words);
      new Segment(words, LAYOUT, SUPERVISOR).injector.insert(0);
    },
    threads: [passer(1), passer(2)],
    finish: (words) => {
      const { table } = new Segment(words, LAYOUT, SUPERVISOR);
      if (threadOf(table.stateOf(0)) !== 1) throw new Error("somebody else has run it");
      new Loop(words, 0).settle();
      endsOnce(words);
    },
  },
  {
    name: "scheduler: the thread of a pinned task dies and has a successor",
    length: LENGTH,
    setup: spawnPinned,
    threads: [waiter, executor(1)],
    mortal: [1],
    reaper: reapAndReplace(),
    finish: endsOnce,
  },
  {
    name: "scheduler: the thread of a pinned task dies and has none",
    length: LENGTH,
    setup: spawnPinned,
    threads: [waiter, executor(1)],
    mortal: [1],
    reaper: reap,
    finish: endsOnce,
  },
  {
    name: "scheduler: the origin and the executor die, one or both, while a task is spawned and run",
    length: LENGTH,
    threads: [(words) => new Loop(words, 0).spawn(JOIN_INTEREST | IDEMPOTENT), passer(1)],
    mortal: [0, 1],
    deathsMax: 2,
    reaper: reap,
    finish: endsSomehow((killed) => 1 + killed.length),
  },
  {
    name: "scheduler: the origin and the executor die, one or both, while a task is run and settled",
    length: LENGTH,
    setup: spawnAt(0),
    threads: [(words) => void new Loop(words, 0).settle(), passer(1)],
    mortal: [0, 1],
    deathsMax: 2,
    reaper: reap,
    finish: endsSomehow(() => 1),
  },
  {
    name: "scheduler, planted: a pinned task is kept for a successor that never comes",
    length: LENGTH,
    setup: spawnPinned,
    threads: [waiter, executor(1)],
    mortal: [1],
    reaper: reapAndReplace(false),
    finish: endsOnce,
    mustFail: /lost wake-up/,
  },
  {
    name: "scheduler, planted: a thread that parks without looking once more",
    length: LENGTH,
    threads: [client(0, [1]), executor(1, "recheck")],
    finish: endsOnce,
    mustFail: /lost wake-up/,
  },
  {
    name: "scheduler, planted: a claim without its owner, who dies",
    length: LENGTH,
    threads: [spawner(JOIN_INTEREST), passer(1, "claimer")],
    mortal: [1],
    reaper: reap,
    finish: endsOnce,
    mustFail: /lost wake-up/,
  },
];

export default programs;
