/** Giving up a task whose thread is about to sleep while the task waits for something: the thread hears of it, in every order. */
import { Parkers, parkersLength } from "../../../src/shared/parkers.js";
import {
  CANCELLED,
  generationOf,
  phaseOf,
  QUEUED,
  queuedFrom,
  RUNNING,
  threadOf,
} from "../../../src/shared/task-state.js";
import { TaskTable, taskTableLength } from "../../../src/shared/task-table.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";

const TASKS = { base: 0, threads: 1, slotsPerThread: 1, slotWords: 5 };
const PARKERS = { base: 16, threads: 2, stride: 1 };
/** How often the runner has heard of it, and whether the task never began. */
const HEARD = PARKERS.base + parkersLength(PARKERS.threads, PARKERS.stride);
const DEQUEUED = HEARD + 1;
const LENGTH = Math.max(DEQUEUED + 1, taskTableLength(TASKS));
const RUNNER = 1;

function spawn(words: Words): void {
  const table = new TaskTable(words, TASKS);
  table.setCall(0, 7, 0);
  table.publish(0, queuedFrom(0, 0, 0));
}

/** Runs the task, which waits until it is given up. */
function runner(words: Words): void {
  const table = new TaskTable(words, TASKS);
  const parkers = new Parkers(words, PARKERS);
  if (table.claim(0, RUNNER) === 0) return;
  const isCancelled = (): boolean => (table.stateOf(0) & CANCELLED) !== 0;
  while (!isCancelled()) {
    if (!parkers.announce(RUNNER, "word")) continue;
    if (isCancelled()) parkers.retract(RUNNER);
    else parkers.sleep(RUNNER);
  }
  words.add(HEARD, 1);
}

/** What `Seat` does: the word first, then the thread that the word names. */
function canceller(isInOrder: boolean): ModelThread {
  return (words) => {
    const table = new TaskTable(words, TASKS);
    const parkers = new Parkers(words, PARKERS);
    if (!isInOrder) parkers.unpark(RUNNER);
    const outcome = table.cancel(0, generationOf(0));
    if (outcome === "dequeued") words.add(DEQUEUED, 1);
    const state = table.stateOf(0);
    if (isInOrder && phaseOf(state) === RUNNING) parkers.unpark(threadOf(state));
  };
}

function finish(words: Words): void {
  const heard = words.load(HEARD);
  const dequeued = words.load(DEQUEUED);
  if (heard + dequeued !== 1) throw new Error(`heard ${heard} times, dequeued ${dequeued} times`);
  if (phaseOf(words.load(0)) === QUEUED) throw new Error("the task is still queued");
}

const programs: readonly ModelProgram[] = [
  {
    name: "cancel watch: a task is given up while its thread falls asleep",
    length: LENGTH,
    setup: spawn,
    threads: [canceller(true), runner],
    finish,
  },
  {
    name: "cancel watch, planted: the thread is rung before the word says why",
    length: LENGTH,
    setup: spawn,
    threads: [canceller(false), runner],
    finish,
    mustFail: /sleep|asleep|wake/i,
  },
];

export default programs;
