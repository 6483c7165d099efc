/** The state of one task: who claims, completes, cancels, joins and frees it, and that what it carries is read only after it was published. */
import assert from "node:assert/strict";
import { SlotSet, slotSetLength } from "../../../src/shared/slot-set.js";
import { TaskOrigin } from "../../../src/shared/task-origin.js";
import {
  CANCELLED,
  DONE,
  FREE,
  generationOf,
  JOIN_INTEREST,
  PINNED,
  phaseOf,
  QUEUED,
  queuedFrom,
  RUNNING,
} from "../../../src/shared/task-state.js";
import { TaskTable, taskTableLength } from "../../../src/shared/task-table.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";

const SLOT_WORDS = 5;
const TASKS = { base: 0, threads: 1, slotsPerThread: 1, slotWords: SLOT_WORDS };
const SETTLED = { base: 16, capacity: 1 };
/** How often the task was run, settled with a result, settled as cancelled, and freed untold. */
const RUNS = SETTLED.base + slotSetLength(1);
const RESULTS = RUNS + 1;
const CANCELS = RUNS + 2;
const UNTOLD = RUNS + 3;
const LENGTH = Math.max(RUNS + 4, taskTableLength(TASKS));

function tableOf(words: Words): TaskTable {
  return new TaskTable(words, TASKS);
}

function originOf(words: Words): TaskOrigin {
  return new TaskOrigin(tableOf(words), new SlotSet(words, SETTLED), 0);
}

function spawn(words: Words): void {
  const origin = originOf(words);
  const slot = origin.open();
  tableOf(words).setCall(slot, 7, 20);
  origin.publish(slot, JOIN_INTEREST);
}

/** A thread that got a hint. */
function runner(thread: number): ModelThread {
  return (words) => {
    const table = tableOf(words);
    const claimed = table.claim(0, thread);
    if (claimed === 0) return;
    words.add(RUNS, 1);
    assert.equal(table.functionOf(0), 7, "the function is there");
    table.setResult(0, table.argumentOf(0) + thread);
    table.complete(0, claimed);
    new SlotSet(words, SETTLED).insert(0);
  };
}

/** The origin takes what is settled and frees it. */
function settle(words: Words, origin: TaskOrigin): void {
  const table = tableOf(words);
  for (let slot = origin.nextSettled(); slot !== -1; slot = origin.nextSettled()) {
    const state = table.stateOf(slot);
    if ((state & JOIN_INTEREST) === 0) words.add(UNTOLD, 1);
    else if ((state & CANCELLED) !== 0) words.add(CANCELS, 1);
    else words.add(RESULTS, table.resultOf(slot) > 20 ? 1 : 100);
    origin.free(slot);
  }
}

function finish(words: Words): void {
  settle(words, originOf(words));
  const ends = words.load(RESULTS) + words.load(CANCELS) + words.load(UNTOLD);
  if (ends !== 1) throw new Error(`the task has ended ${ends} times`);
  if (words.load(RUNS) > 1) throw new Error("the task has run twice");
  const state = tableOf(words).stateOf(0);
  if (phaseOf(state) !== FREE || generationOf(state) !== 1) throw new Error("the slot is not free again");
}

/** Cancels the task of generation 0, which its handle names, without comparing. */
function blindCancel(words: Words): void {
  const state = words.load(0);
  const isLive = phaseOf(state) === QUEUED || phaseOf(state) === RUNNING;
  if (isLive) words.compareExchange(0, state, state | CANCELLED | DONE);
}

/** Runs the first task to its end, then begins a second one in the same slot. */
function nextInSlot(words: Words): void {
  const table = tableOf(words);
  const claimed = table.claim(0, 0);
  if (claimed === 0) return;
  table.complete(0, claimed);
  const free = table.free(0, claimed);
  table.publish(0, queuedFrom(free, 0, 0));
}

function secondMustLive(words: Words): void {
  const state = tableOf(words).stateOf(0);
  if (generationOf(state) === 1 && (state & CANCELLED) !== 0)
    throw new Error("the next task in the slot was cancelled");
}

/** Runs the task, sees that its time is over, and says so in the word before it ends. */
function runnerThatGivesUp(words: Words): void {
  const table = tableOf(words);
  const claimed = table.claim(0, 1);
  if (claimed === 0) return;
  words.add(RUNS, 1);
  assert.equal(table.cancel(0, generationOf(claimed)), "requested", "a task that runs is not ended by a cancellation");
  table.setResult(0, 100);
  table.complete(0, claimed);
  new SlotSet(words, SETTLED).insert(0);
}

/** What was returned after the time was over has not passed for a result. */
function finishWithoutResult(words: Words): void {
  finish(words);
  if (words.load(RESULTS) > 0) throw new Error("a task whose time was over has a result");
}

/** Pinned to thread 2, and claimed in its name by others. */
function spawnPinned(words: Words): void {
  const origin = originOf(words);
  const slot = origin.open();
  tableOf(words).setCall(slot, 7, 20);
  origin.publish(slot, JOIN_INTEREST | PINNED, 2);
}

function runnerFor(owner: number, thread: number): ModelThread {
  return (words) => {
    const table = tableOf(words);
    const claimed = table.claim(0, thread, owner);
    if (claimed === 0) return;
    words.add(RUNS, 1);
    table.setResult(0, table.argumentOf(0) + thread);
    table.complete(0, claimed);
    new SlotSet(words, SETTLED).insert(0);
  };
}

const programs: readonly ModelProgram[] = [
  {
    name: "task: two threads with the same hint while the origin settles",
    length: LENGTH,
    setup: spawn,
    threads: [(words) => settle(words, originOf(words)), runner(1), runner(2)],
    finish,
  },
  {
    name: "task: its runner gives it up, the origin does too, and settles",
    length: LENGTH,
    setup: spawn,
    threads: [
      (words) => settle(words, originOf(words)),
      runnerThatGivesUp,
      (words) => {
        if (tableOf(words).cancel(0, 0) === "dequeued") new SlotSet(words, SETTLED).insert(0);
      },
    ],
    finish: finishWithoutResult,
  },
  {
    name: "task: pinned, claimed by two threads in its thread's name while the origin settles",
    length: LENGTH,
    setup: spawnPinned,
    threads: [(words) => settle(words, originOf(words)), runnerFor(2, 1), runnerFor(2, 2)],
    finish,
  },
  {
    name: "task: it is completed, cancelled by another thread and joined",
    length: LENGTH,
    setup: spawn,
    threads: [
      (words) => settle(words, originOf(words)),
      runner(1),
      (words) => {
        if (tableOf(words).cancel(0, 0) === "dequeued") new SlotSet(words, SETTLED).insert(0);
      },
    ],
    finish,
  },
  {
    name: "task: it is completed while its origin drops the join handle",
    length: LENGTH,
    setup: spawn,
    threads: [
      (words) => {
        const origin = originOf(words);
        tableOf(words).detach(0);
        settle(words, origin);
      },
      runner(1),
      runner(2),
    ],
    finish: (words) => {
      finish(words);
      if (words.load(UNTOLD) !== 1) throw new Error("a task that nobody waits for was told of");
    },
  },
  {
    name: "task: the origin cancels while two threads want to run it",
    length: LENGTH,
    setup: spawn,
    threads: [
      (words) => {
        const origin = originOf(words);
        if (origin.cancel(0, 0) !== "dequeued") return settle(words, origin);
        words.add(CANCELS, 1);
        origin.free(0);
      },
      runner(1),
      runner(2),
    ],
    finish,
  },
  {
    name: "task: a cancellation with an old handle meets the next task in the slot",
    length: LENGTH,
    setup: spawn,
    threads: [
      nextInSlot,
      (words) => {
        tableOf(words).cancel(0, 0);
      },
    ],
    finish: secondMustLive,
  },
  {
    name: "task, planted: a cancellation that does not compare generations",
    length: LENGTH,
    setup: spawn,
    threads: [nextInSlot, blindCancel],
    finish: secondMustLive,
    mustFail: /the next task in the slot was cancelled/,
  },
  {
    name: "task, planted: the function is written after the state that publishes it",
    length: LENGTH,
    threads: [
      (words) => {
        const table = tableOf(words);
        table.publish(0, queuedFrom(0, JOIN_INTEREST, 0));
        table.setCall(0, 7, 20);
      },
      (words) => {
        const table = tableOf(words);
        if (table.claim(0, 1) !== 0) table.functionOf(0);
      },
    ],
    finish: () => {},
    mustFail: /race/,
  },
];

export default programs;
