/**
 * The table of all tasks: the truth about each of them. What stands in queues and sets are hints that lead here.
 *
 *     slot:  one cache line    [ state | function | argument | result | 12 words of inline payload ]
 *     cold:  apart             what only spawning, tracing and failing look at
 *
 * The slots are divided among the threads by *origin*, who spawns: thread t has the slots from t × slotsPerThread on, allocates and frees them without asking anybody, and writes arguments there.
 *
 * | transition | who | how | published by it, or what it pairs with |
 * |---|---|---|---|
 * | FREE → QUEUED | the origin | store | function, argument, payload; pairs with the claim |
 * | QUEUED → RUNNING | any thread, its own id in the same step | compare-and-swap | gives the claimer the payload words |
 * | QUEUED → DONE + CANCELLED | whoever cancels | compare-and-swap | |
 * | RUNNING + CANCELLED | whoever cancels | compare-and-swap | |
 * | RUNNING → DONE | who runs it | compare-and-swap | result, payload; pairs with the origin's load before it settles |
 * | RUNNING → DONE + LOST, RUNNING → QUEUED | the reaper, of a dead thread's task | compare-and-swap | |
 * | DONE → FREE, next generation | the origin; the reaper if the origin is dead | store | |
 *
 * Between claiming and DONE, the payload words are the runner's; before QUEUED and after DONE, the origin's. A compare-and-swap that fails because a flag changed tries again: at most one flag
 * each can change, so no loop is longer than the number of flags. Function and payload are plain words: the state word is what makes reading them sound. Argument and result are atomic ones, because the slab lends and releases blocks by them (`slab.ts`).
 *
 * A task may be run again if it is idempotent and its thread died, so the runner of such a task leaves its arguments as they are: its result has the result word alone.
 *
 * Three references keep a slot, and each is dropped in exactly one place: the origin's list of its tasks (`task-origin.ts`), the queue entry (the phases QUEUED and RUNNING, dropped with DONE), and the join
 * handle (`JOIN_INTEREST`, dropped by {@link TaskTable.detach}). Only the origin frees, and only a task that is DONE.
 */
import { assert } from "../assert.js";
import { TASK_SLOTS_MAX, THREADS_MAX } from "../constants.js";
import {
  CANCELLED,
  doneFrom,
  freeFrom,
  generationOf,
  JOIN_INTEREST,
  PINNED,
  phaseOf,
  QUEUED,
  RUNNING,
  requeuedFrom,
  runningFrom,
  threadOf,
} from "./task-state.js";
import type { Words } from "./words.js";

const LINE_WORDS = 16;
const FUNCTION = 1;
const ARGUMENT = 2;
const RESULT = 3;
const PAYLOAD = 4;
/** Of the cold part. */
const RERUNS = 0;
const DEADLINE = 1;
/** Bits of the function's number in its word; the scope stands above them. */
const FUNCTION_BITS = 16;
const FUNCTION_MASK = (1 << FUNCTION_BITS) - 1;

/** Words of inline payload in a slot. */
export const TASK_PAYLOAD_WORDS = LINE_WORDS - PAYLOAD;
/** Words of a slot's cold part. */
export const TASK_COLD_WORDS = 8;

/** Where the table is, and how large. All its users must be given the same. */
export interface TaskTableShape {
  /** Index of its first word, a multiple of 16. */
  readonly base: number;
  readonly threads: number;
  readonly slotsPerThread: number;
  /** Words of a slot: 16, a cache line, unless the checker wants them fewer. */
  readonly slotWords?: number;
}

/** Words that a table takes. */
export function taskTableLength(shape: Omit<TaskTableShape, "base">): number {
  return shape.threads * shape.slotsPerThread * ((shape.slotWords ?? LINE_WORDS) + TASK_COLD_WORDS);
}

/** What {@link TaskTable.cancel} found. */
export type CancelOutcome =
  /** It had not begun and never will: it is done, and its origin has to be told. */
  | "dequeued"
  /** It runs. It was asked to end, and may. */
  | "requested"
  /** It was done before, or the handle is of an earlier task. Nothing happened. */
  | "late";

/** Access to the table, the same for every thread. */
export class TaskTable {
  readonly threads: number;
  readonly slotsPerThread: number;
  /** Slots of all threads together. */
  readonly capacity: number;
  readonly #words: Words;
  readonly #base: number;
  readonly #cold: number;
  readonly #slotWords: number;

  constructor(words: Words, shape: TaskTableShape) {
    this.threads = shape.threads;
    this.slotsPerThread = shape.slotsPerThread;
    this.capacity = shape.threads * shape.slotsPerThread;
    this.#words = words;
    this.#base = shape.base;
    this.#slotWords = shape.slotWords ?? LINE_WORDS;
    this.#cold = shape.base + this.capacity * this.#slotWords;
    assert(this.threads > 0 && this.threads <= THREADS_MAX, "a segment serves 1 to 64 threads");
    assert(this.capacity > 0 && this.capacity <= TASK_SLOTS_MAX, "the slots of all threads are within the limit");
    assert(this.#slotWords > PAYLOAD && this.#slotWords <= LINE_WORDS, "a slot has room for its words");
    assert(shape.base + taskTableLength(shape) <= words.length, "a task table fits its memory");
  }

  /** The thread that spawns into a slot and settles what is there. */
  originOf(slot: number): number {
    return Math.trunc(slot / this.slotsPerThread);
  }

  /** The first slot of a thread. */
  firstOf(thread: number): number {
    return thread * this.slotsPerThread;
  }

  /** The state word, for the functions of `task-state.ts`. */
  stateOf(slot: number): number {
    return this.#words.load(this.#at(slot));
  }

  /** The function to call. Readable for who has claimed the task, and for the origin. */
  functionOf(slot: number): number {
    return this.#words.read(this.#at(slot) + FUNCTION) & FUNCTION_MASK;
  }

  /** What {@link setScope} said. Readable as {@link functionOf} is. */
  scopeOf(slot: number): number {
    return this.#words.read(this.#at(slot) + FUNCTION) >>> FUNCTION_BITS;
  }

  /** The deadline that {@link setScope} gave. */
  deadlineOf(slot: number): number {
    return this.coldOf(slot, DEADLINE);
  }

  /** The function of a task that the caller has not claimed: a guess, because the slot may be another task's meanwhile. */
  guessFunctionOf(slot: number): number {
    return this.functionOf(slot);
  }

  /** A reference to the arguments, in the origin's slab; 0 for none. */
  argumentOf(slot: number): number {
    return this.#words.load(this.#at(slot) + ARGUMENT);
  }

  /** A reference to the result. Readable for the origin when the task is done and not lost. */
  resultOf(slot: number): number {
    return this.#words.load(this.#at(slot) + RESULT);
  }

  /** Who has claimed the task writes its result before {@link complete}. */
  setResult(slot: number, reference: number): void {
    this.#words.store(this.#at(slot) + RESULT, reference);
  }

  /** Index of the word that holds the reference to the arguments, for the slab: it lends and releases by it. */
  argumentWord(slot: number): number {
    return this.#at(slot) + ARGUMENT;
  }

  /** Index of the word that holds the reference to the result. */
  resultWord(slot: number): number {
    return this.#at(slot) + RESULT;
  }

  /** Index of the first word of inline payload, for who encodes in place. */
  payloadWord(slot: number): number {
    return this.#at(slot) + PAYLOAD;
  }

  /** A word of inline payload, arguments before the task runs and results after. */
  payloadOf(slot: number, index: number): number {
    assert(index >= 0 && index < this.#slotWords - PAYLOAD, "a payload word is within the slot");
    return this.#words.read(this.#at(slot) + PAYLOAD + index);
  }

  /** Writes a word of inline payload: the origin before {@link publish}, the runner before {@link complete}. */
  setPayload(slot: number, index: number, value: number): void {
    assert(index >= 0 && index < this.#slotWords - PAYLOAD, "a payload word is within the slot");
    this.#words.write(this.#at(slot) + PAYLOAD + index, value);
  }

  /** A word of the cold part. */
  coldOf(slot: number, index: number): number {
    assert(index >= 0 && index < TASK_COLD_WORDS, "a cold word is within its part");
    return this.#words.read(this.#cold + slot * TASK_COLD_WORDS + index);
  }

  /** Writes a word of the cold part; who may is as with the payload. */
  setCold(slot: number, index: number, value: number): void {
    assert(index >= 0 && index < TASK_COLD_WORDS, "a cold word is within its part");
    this.#words.write(this.#cold + slot * TASK_COLD_WORDS + index, value);
  }

  /** The origin says what to call, before {@link publish}: enough for a task that is not idempotent, in a slot whose reference to arguments is 0, as it is after each release of one. */
  setFunction(slot: number, functionId: number): void {
    assert(functionId >= 0 && functionId <= FUNCTION_MASK, "a function's number fits its bits");
    this.#words.write(this.#at(slot) + FUNCTION, functionId);
  }

  /** The origin says what to call with what, before {@link publish}. */
  setCall(slot: number, functionId: number, argument: number): void {
    this.setFunction(slot, functionId);
    this.setCold(slot, RERUNS, 0);
    // Nearly always 0 already, and a store costs far more than a load.
    if (this.argumentOf(slot) !== argument) this.#words.store(this.#at(slot) + ARGUMENT, argument);
  }

  /** After {@link setCall}: what the task has to do with others, a number that is the scheduler's, not 0, and its deadline. Without this call the scope is 0. */
  setScope(slot: number, scope: number, deadline: number): void {
    const word = this.#at(slot) + FUNCTION;
    assert(scope > 0 && scope <= FUNCTION_MASK, "a scope fits its bits");
    this.#words.write(word, (this.#words.read(word) & FUNCTION_MASK) | (scope << FUNCTION_BITS));
    this.setCold(slot, DEADLINE, deadline);
  }

  /** The origin makes a free slot a task, whose state (`queuedFrom`) it gives; then it adds the hint. */
  publish(slot: number, queued: number): void {
    assert(phaseOf(queued) === QUEUED, "a task begins as queued");
    this.#words.store(this.#at(slot), queued);
  }

  /**
   * Claims the task that a hint led to: gives its state, or 0 if there is nothing that `thread` may run here, because somebody else has it, it was cancelled or it is pinned elsewhere.
   * Then the hint is used up. A task that is pinned to `owner` may be run by any thread that claims in its name.
   */
  claim(slot: number, thread: number, owner = thread): number {
    const word = this.#at(slot);
    let state = this.#words.load(word);
    while (phaseOf(state) === QUEUED) {
      if ((state & PINNED) !== 0 && threadOf(state) !== owner) return 0;
      const running = runningFrom(state, thread);
      const found = this.#words.compareExchange(word, state, running);
      if (found === state) return running;
      state = found;
    }
    return 0;
  }

  /** Ends a task that the caller has claimed: `claimed` is what {@link claim} gave, `flags` are 0, `FAILED`, or `LOST` when a task cannot be begun because its arguments are gone with a thread. Gives the state; then its origin has to be told. */
  complete(slot: number, claimed: number, flags = 0): number {
    const word = this.#at(slot);
    let state = claimed;
    for (;;) {
      assert(phaseOf(state) === RUNNING && threadOf(state) === threadOf(claimed), "a task is ended by who claimed it");
      // The slot may be another task's by now, which the same thread runs.
      assert(generationOf(state) === generationOf(claimed), "a task is ended once");
      const done = doneFrom(state, flags);
      const found = this.#words.compareExchange(word, state, done);
      if (found === state) return done;
      state = found;
    }
  }

  /** Asks a task to end. `generation` is that of the handle; anybody may call it at any time. */
  cancel(slot: number, generation: number): CancelOutcome {
    const word = this.#at(slot);
    let state = this.#words.load(word);
    while (generationOf(state) === generation && (phaseOf(state) === QUEUED || phaseOf(state) === RUNNING)) {
      const isQueued = phaseOf(state) === QUEUED;
      if (!isQueued && (state & CANCELLED) !== 0) return "requested";
      const next = isQueued ? doneFrom(state, CANCELLED) : state | CANCELLED;
      const found = this.#words.compareExchange(word, state, next);
      if (found === state) return isQueued ? "dequeued" : "requested";
      state = found;
    }
    return "late";
  }

  /** The origin drops the join handle: nobody waits for the outcome any more. Gives the state after; one that is DONE was too late for the runner to see. */
  detach(slot: number): number {
    return this.#words.and(this.#at(slot), ~JOIN_INTEREST) & ~JOIN_INTEREST;
  }

  /** The origin (or the reaper in its place) frees a slot whose task is done. `done` is any state that it had in this generation; gives the next free one. */
  free(slot: number, done: number): number {
    const free = freeFrom(done);
    this.#words.store(this.#at(slot), free);
    return free;
  }

  /**
   * The reaper decides about a task of a dead thread: replaces the state that it saw, if it is still there. False if it was not.
   */
  replace(slot: number, seen: number, state: number): boolean {
    return this.#words.compareExchange(this.#at(slot), seen, state) === seen;
  }

  /** The reaper's view of a task that is to run again; see `requeuedFrom`. Counted in {@link rerunsOf}. */
  requeue(slot: number, seen: number): boolean {
    // Before the state, which publishes it. Counted once too often if the task is cancelled meanwhile, and then it does not run again.
    this.setCold(slot, RERUNS, this.rerunsOf(slot) + 1);
    return this.replace(slot, seen, requeuedFrom(seen));
  }

  /** How often a task was begun again. Readable for the reaper while the thread that ran it is dead. */
  rerunsOf(slot: number): number {
    return this.coldOf(slot, RERUNS);
  }

  #at(slot: number): number {
    return this.#base + slot * this.#slotWords;
  }
}
