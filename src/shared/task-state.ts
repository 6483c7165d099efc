/**
 * The state of a task in one 32-bit word.
 *
 *     31            14 13      8 7      2 1   0
 *     | generation     | flags   | thread | phase |
 *
 * - *phase*: FREE → QUEUED → RUNNING → DONE → FREE, where {@link FREE} of the next generation ends the round. A cancellation takes the short cut QUEUED → DONE, and the reaper may take
 *   RUNNING → QUEUED for an idempotent task whose thread died.
 * - *thread*: the only thread that may run it while it is queued and {@link PINNED}; who runs it while it is running; who ran it when it is done.
 * - *generation*: changes when the slot is freed, so that a handle of an earlier task in the same slot is recognised as late.
 *
 * Zero is a free slot, so fresh shared memory is a table of free slots. This file only packs; `task-table.ts` says which thread makes which transition.
 */
import { assert } from "../assert.js";
import { THREADS_MAX } from "../constants.js";

const PHASE_MASK = 0b11;
const THREAD_SHIFT = 2;
const THREAD_MASK = 0x3f << THREAD_SHIFT;
const FLAGS_SHIFT = 8;
const FLAGS_MASK = 0x3f << FLAGS_SHIFT;
const GENERATION_SHIFT = 14;

assert(THREADS_MAX <= (THREAD_MASK >>> THREAD_SHIFT) + 1, "a thread's id fits the state word");

/** Generations count modulo this: the same handle means another task only after a slot was used so often. */
export const TASK_GENERATIONS = 1 << (32 - GENERATION_SHIFT);

/** Phase: nobody's. Also the state of a slot whose arguments its origin is still writing. */
export const FREE = 0;
/** Phase: waits to be claimed. */
export const QUEUED = 1;
/** Phase: claimed by the thread in the word. */
export const RUNNING = 2;
/** Phase: has its outcome and waits for its origin to settle it. */
export const DONE = 3;

/** Flag: somebody asked for its end. Queued, it never runs; running, its function may look. */
export const CANCELLED = 1 << FLAGS_SHIFT;
/** Flag: a join handle waits for the outcome. Without it the origin frees the slot and tells nobody. */
export const JOIN_INTEREST = 2 << FLAGS_SHIFT;
/** Flag: only the thread in the word may claim it. */
export const PINNED = 4 << FLAGS_SHIFT;
/** Flag: may run again if its thread dies. */
export const IDEMPOTENT = 8 << FLAGS_SHIFT;
/** Flag: its thread died while it ran; there is no result. */
export const LOST = 16 << FLAGS_SHIFT;
/** Flag: the result is an error. */
export const FAILED = 32 << FLAGS_SHIFT;

/** The phase of a state word. */
export function phaseOf(state: number): number {
  return state & PHASE_MASK;
}

/** The thread of a state word. */
export function threadOf(state: number): number {
  return (state & THREAD_MASK) >>> THREAD_SHIFT;
}

/** The flags of a state word, to be compared with those of this file. */
export function flagsOf(state: number): number {
  return state & FLAGS_MASK;
}

/** The generation of a state word. */
export function generationOf(state: number): number {
  return state >>> GENERATION_SHIFT;
}

/** The queued state that a free slot gets; `thread` counts only with {@link PINNED}. */
export function queuedFrom(free: number, flags: number, thread: number): number {
  return (free & ~(PHASE_MASK | THREAD_MASK | FLAGS_MASK)) | flags | (thread << THREAD_SHIFT) | QUEUED;
}

/** The state after `thread` has claimed the task. */
export function runningFrom(queued: number, thread: number): number {
  return (queued & ~(PHASE_MASK | THREAD_MASK)) | (thread << THREAD_SHIFT) | RUNNING;
}

/** The state of a task whose thread died, to be run again: pinned to the same thread id if it was. */
export function requeuedFrom(running: number): number {
  return (running & ~PHASE_MASK) | QUEUED;
}

/** The state of a task that is queued for a thread, queued for another one instead. */
export function repinnedFrom(queued: number, thread: number): number {
  return (queued & ~THREAD_MASK) | (thread << THREAD_SHIFT);
}

/** The state with its outcome; `flags` are added. */
export function doneFrom(state: number, flags: number): number {
  return state | flags | DONE;
}

/** The free state of the next generation. */
export function freeFrom(state: number): number {
  return ((generationOf(state) + 1) % TASK_GENERATIONS) << GENERATION_SHIFT;
}

/** The free state that a task in this state had before it was queued. */
export function sameGeneration(state: number): number {
  return generationOf(state) << GENERATION_SHIFT;
}

/** The state word in words, for messages and the checker's schedules: `RUNNING on 3, generation 7, CANCELLED`. */
export function describeState(state: number): string {
  const phase = ["FREE", "QUEUED", "RUNNING", "DONE"][phaseOf(state)] ?? "";
  const names = FLAG_NAMES.filter(([flag]) => (state & flag) !== 0).map(([, name]) => name);
  return [`${phase} on ${threadOf(state)}`, `generation ${generationOf(state)}`, ...names].join(", ");
}

const FLAG_NAMES = [
  [CANCELLED, "CANCELLED"],
  [JOIN_INTEREST, "JOIN_INTEREST"],
  [PINNED, "PINNED"],
  [IDEMPOTENT, "IDEMPOTENT"],
  [LOST, "LOST"],
  [FAILED, "FAILED"],
] as const;
