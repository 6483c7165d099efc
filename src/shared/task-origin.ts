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
import { DONE, FREE, generationOf, phaseOf } from "./task-state.js";
import type { CancelOutcome, TaskTable } from "./task-table.js";

/** Why {@link TaskOrigin.open} has no slot. */
export const ORIGIN_FULL = -1;
/** Why {@link TaskOrigin.open} has no slot: {@link TaskOrigin.close} was called. */
export const ORIGIN_CLOSED = -2;

const SETTLED_BATCH = 32;

/** The spawning side of one thread. */
export class TaskOrigin {
  readonly #table: TaskTable;
  readonly #settled: SlotSet;
  readonly #first: number;
  /** Free slots, relative to the first; a ring. */
  readonly #free: Int32Array;
  #freeHead = 0;
  #freeCount = 0;
  /** 1 for a slot that is owned: opened and not yet freed. */
  readonly #isOwned: Uint8Array;
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
    this.#isOwned = new Uint8Array(table.slotsPerThread);
    for (let n = 0; n < table.slotsPerThread; n++) {
      if (phaseOf(table.stateOf(this.#first + n)) === FREE) this.#free[this.#freeCount++] = n;
      else this.#isOwned[n] = 1;
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
    this.#freeHead = this.#freeHead + 1 === this.#free.length ? 0 : this.#freeHead + 1;
    this.#freeCount--;
    assert(this.#isOwned[n] === 0, "a free slot is nobody's");
    this.#isOwned[n] = 1;
    return this.#first + n;
  }

  /** Gives back a slot that was opened and never published: a spawn that failed. */
  abandon(slot: number): void {
    assert(phaseOf(this.#table.stateOf(slot)) === FREE, "a published task cannot be abandoned");
    this.#release(slot);
  }

  /**
   * The next task that has an outcome, or -1. The caller reads its state and result, settles whoever waits (nobody without `JOIN_INTEREST`), and calls {@link free}; each task comes once.
   */
  nextSettled(): number {
    for (;;) {
      while (this.#batchNext < this.#batchCount) {
        const n = this.#batch[this.#batchNext++]!;
        if (phaseOf(this.#table.stateOf(this.#first + n)) === DONE) return this.#first + n;
        this.#staleCount++;
      }
      this.#batchNext = 0;
      this.#batchCount = this.#settled.takeMany(this.#batch, SETTLED_BATCH);
      if (this.#batchCount === 0) return -1;
    }
  }

  /** Whether {@link nextSettled} would look into something. Part of what is rechecked before the thread parks. */
  hasSettled(): boolean {
    return this.#batchNext < this.#batchCount || !this.#settled.isEmpty();
  }

  /** Frees a task that {@link nextSettled} or a cancellation that said "dequeued" has shown to be done. */
  free(slot: number): void {
    this.#table.free(slot);
    this.#release(slot);
  }

  /** Refuses new tasks from now on. */
  close(): void {
    this.#isClosed = true;
  }

  /** Cancels every task of this thread. What had not begun is put into the settled set, so that all ends are seen in one place. Gives how many tasks still run. */
  cancelAll(): number {
    let running = 0;
    for (let n = 0; n < this.#isOwned.length; n++) {
      if (this.#isOwned[n] === 0) continue;
      if (this.#cancelOwned(n) === "requested") running++;
    }
    return running;
  }

  #cancelOwned(n: number): CancelOutcome {
    const outcome = this.#table.cancel(this.#first + n, generationOf(this.#table.stateOf(this.#first + n)));
    if (outcome === "dequeued") this.#settled.insert(n);
    return outcome;
  }

  #release(slot: number): void {
    const n = slot - this.#first;
    assert(n >= 0 && n < this.#free.length, "a thread frees slots of its own");
    assert(this.#isOwned[n] === 1, "a slot is freed once");
    this.#isOwned[n] = 0;
    const at = this.#freeHead + this.#freeCount;
    this.#free[at >= this.#free.length ? at - this.#free.length : at] = n;
    this.#freeCount++;
  }
}
