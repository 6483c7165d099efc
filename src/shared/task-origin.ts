/**
 * What a thread knows about the tasks that it has spawned: which of its slots are free, which are owned, and which have an outcome to settle.
 *
 * The free slots are a ring of private memory, first in first out: a slot rests as long as possible before it is used again, so that a handle that is late for its task meets another generation and a
 * hint that is late rarely meets another task. What other threads write is one `SlotSet` of this thread's slots, *settled*: who completes a task adds it there after the state word was set to DONE. That
 * set is a hint as well. The state decides, so a slot that is in it twice is settled once.
 *
 * Shutting down: {@link TaskOrigin.close} refuses new tasks; {@link TaskOrigin.cancelAll} ends what has not begun and asks the rest; settling goes on until {@link TaskOrigin.liveCount} is 0; what then still
 * runs is for the caller to report, and for the reaper after the thread's end.
 */
import { assert } from "../assert.js";
import type { SlotSet } from "./slot-set.js";
import { DONE, FREE, generationOf, phaseOf, queuedFrom, sameGeneration } from "./task-state.js";
import type { CancelOutcome, TaskTable } from "./task-table.js";

/** Why {@link TaskOrigin.open} has no slot. */
export const ORIGIN_FULL = -1;
/** Why {@link TaskOrigin.open} has no slot: {@link TaskOrigin.close} was called. */
export const ORIGIN_CLOSED = -2;

const SETTLED_BATCH = 32;

/** A slot that is in the ring of free ones. */
const STAGE_FREE = 0;
/** A slot that was opened. */
const STAGE_OPEN = 1;
/** A task that was published. */
const STAGE_LIVE = 2;
/** A task that this thread has seen done. */
const STAGE_DONE = 3;

/** The spawning side of one thread. */
export class TaskOrigin {
  readonly #table: TaskTable;
  readonly #settled: SlotSet;
  readonly #first: number;
  /** Free slots, relative to the first; a ring. */
  readonly #free: Int32Array;
  #freeHead = 0;
  #freeCount = 0;
  /** What this thread knows of each slot: one of the numbers below. */
  readonly #stages: Uint8Array;
  /** The free state of each slot: its generation, without a look at shared memory. */
  readonly #frees: Int32Array;
  /** Tasks that this thread has run itself, from `#ownNext` on; a ring. No other thread has to hear of them. */
  readonly #own: Int32Array;
  #ownNext = 0;
  #ownCount = 0;
  readonly #batch = new Int32Array(SETTLED_BATCH);
  #batchCount = 0;
  #batchNext = 0;
  #isClosed = false;
  #staleCount = 0;

  /** `settled` is the set that others fill for this thread. The successor of a dead thread takes over what the reaper has left: slots whose tasks still run elsewhere come back when they are done. */
  constructor(table: TaskTable, settled: SlotSet, thread: number) {
    assert(thread >= 0 && thread < table.threads, "a thread id is within the table");
    this.#table = table;
    this.#settled = settled;
    this.#first = table.firstOf(thread);
    this.#free = new Int32Array(table.slotsPerThread);
    this.#stages = new Uint8Array(table.slotsPerThread);
    this.#frees = new Int32Array(table.slotsPerThread);
    this.#own = new Int32Array(table.slotsPerThread);
    for (let n = 0; n < table.slotsPerThread; n++) {
      const state = table.stateOf(this.#first + n);
      this.#frees[n] = sameGeneration(state);
      if (phaseOf(state) === FREE) this.#free[this.#freeCount++] = n;
      else this.#stages[n] = STAGE_LIVE;
    }
  }

  /** Tasks that were opened and are not freed. */
  get liveCount(): number {
    return this.#free.length - this.#freeCount;
  }

  /** Entries of the settled set that led nowhere. */
  get staleCount(): number {
    return this.#staleCount;
  }

  /** Takes a free slot, whose words the caller may then fill and publish. {@link ORIGIN_FULL} or {@link ORIGIN_CLOSED} when there is none. */
  open(): number {
    if (this.#isClosed) return ORIGIN_CLOSED;
    if (this.#freeCount === 0) return ORIGIN_FULL;
    const n = this.#free[this.#freeHead]!;
    this.#freeHead = this.#wrap(this.#freeHead + 1);
    this.#freeCount--;
    assert(this.#stages[n] === STAGE_FREE, "a free slot is nobody's");
    this.#stages[n] = STAGE_OPEN;
    return this.#first + n;
  }

  /** Makes an opened slot a task, after its words were written; then the caller adds a hint. `thread` counts only with `PINNED`. Gives the state, whose generation belongs into handles. */
  publish(slot: number, flags: number, thread = 0): number {
    const n = this.#indexOf(slot);
    assert(this.#stages[n] === STAGE_OPEN, "only an opened slot becomes a task");
    this.#stages[n] = STAGE_LIVE;
    const queued = queuedFrom(this.#frees[n]!, flags, thread);
    this.#table.publish(slot, queued);
    return queued;
  }

  /**
   * Asks a task to end. After "dequeued" it is the caller's to settle and to {@link free}, and {@link nextSettled} does not show it.
   */
  cancel(slot: number, generation: number): CancelOutcome {
    const outcome = this.#table.cancel(slot, generation);
    if (outcome === "dequeued") this.#stages[this.#indexOf(slot)] = STAGE_DONE;
    return outcome;
  }

  /** A task that this thread has run itself is done. */
  settleOwn(slot: number): void {
    const n = this.#indexOf(slot);
    assert(this.#ownCount < this.#own.length, "a task is done once");
    this.#own[this.#wrap(this.#ownNext + this.#ownCount)] = n;
    this.#ownCount++;
  }

  /** Gives back a slot that was opened and never published: a spawn that failed. */
  abandon(slot: number): void {
    const n = this.#indexOf(slot);
    assert(this.#stages[n] === STAGE_OPEN, "only an opened slot is abandoned");
    this.#release(n);
  }

  /**
   * The next task that has an outcome, or -1. The caller reads its state and result, settles whoever waits (nobody without `JOIN_INTEREST`), and calls {@link free}; each task comes once.
   */
  nextSettled(): number {
    for (;;) {
      while (this.#ownCount > 0) {
        const n = this.#own[this.#ownNext]!;
        this.#ownNext = this.#wrap(this.#ownNext + 1);
        this.#ownCount--;
        if (this.#isNewlyDone(n)) return this.#first + n;
      }
      while (this.#batchNext < this.#batchCount) {
        const n = this.#batch[this.#batchNext++]!;
        if (this.#isNewlyDone(n)) return this.#first + n;
      }
      this.#batchNext = 0;
      this.#batchCount = this.#settled.takeMany(this.#batch, SETTLED_BATCH);
      if (this.#batchCount === 0) return -1;
    }
  }

  /** Whether {@link nextSettled} would look into something. Part of what is rechecked before the thread parks. */
  hasSettled(): boolean {
    return this.#ownCount > 0 || this.#batchNext < this.#batchCount || !this.#settled.isEmpty();
  }

  /** Frees a task that {@link nextSettled} has shown, or {@link cancel} has dequeued. */
  free(slot: number): void {
    const n = this.#indexOf(slot);
    assert(this.#stages[n] === STAGE_DONE, "a task is freed once, after it was seen done");
    this.#frees[n] = this.#table.free(slot, this.#frees[n]!);
    this.#release(n);
  }

  /** Refuses new tasks from now on. */
  close(): void {
    this.#isClosed = true;
  }

  /** Cancels every task of this thread. What had not begun is shown by {@link nextSettled} too, so that all ends are seen in one place. Gives how many tasks still run. */
  cancelAll(): number {
    let running = 0;
    for (let n = 0; n < this.#stages.length; n++) {
      if (this.#stages[n] !== STAGE_LIVE) continue;
      const outcome = this.#table.cancel(this.#first + n, generationOf(this.#frees[n]!));
      if (outcome === "dequeued") this.settleOwn(this.#first + n);
      if (outcome === "requested") running++;
    }
    return running;
  }

  #isNewlyDone(n: number): boolean {
    if (this.#stages[n] === STAGE_LIVE && phaseOf(this.#table.stateOf(this.#first + n)) === DONE) {
      this.#stages[n] = STAGE_DONE;
      return true;
    }
    this.#staleCount++;
    return false;
  }

  #indexOf(slot: number): number {
    const n = slot - this.#first;
    assert(n >= 0 && n < this.#free.length, "an origin has to do with slots of its own");
    return n;
  }

  #release(n: number): void {
    this.#stages[n] = STAGE_FREE;
    this.#free[this.#wrap(this.#freeHead + this.#freeCount)] = n;
    this.#freeCount++;
  }

  #wrap(at: number): number {
    return at >= this.#free.length ? at - this.#free.length : at;
  }
}
