/**
 * Puts right what a dead thread has left. Runs on the supervisor's thread after the dead one has made its last step (its exit event), while all others go on; the dead thread's id is given to a successor
 * only afterwards.
 *
 * It believes nothing but the task table, because every queue and set holds hints:
 *
 * | what it finds | what it does |
 * |---|---|
 * | a task that the dead thread ran | idempotent, not cancelled and not begun too often: queued again; else DONE + LOST, and its origin is told |
 * | a queued task that is pinned to the dead thread | stays queued if a successor comes, because it never began; is queued for the successor that is there already; else DONE + LOST, and its origin is told |
 * | any other queued task | its hint is added again, wherever the first one is |
 * | a task that is done and not yet settled | its origin is told again |
 * | a task that the dead thread had spawned | nobody waits for it: if it is queued or done the slot is freed; if it runs elsewhere it is cancelled and detached, and the successor frees it when it is done |
 *
 * Then it takes the dead thread's names out of the idle set and rings everybody who sleeps: the dead one may have been about to. All of it may be repeated without harm; a reaper is never interrupted half-way by another,
 * since there is one. A task is looked at once, so this costs one pass over the table, and live threads notice nothing but some hints that lead nowhere.
 */
import { assert } from "../assert.js";
import { RERUNS_MAX } from "../constants.js";
import type { Segment } from "./segment.js";
import {
  CANCELLED,
  DONE,
  doneFrom,
  FREE,
  IDEMPOTENT,
  JOIN_INTEREST,
  LOST,
  PINNED,
  phaseOf,
  QUEUED,
  RUNNING,
  repinnedFrom,
  threadOf,
} from "./task-state.js";

/** What {@link Reaper.reap} did, in tasks. */
export interface ReapReport {
  /** Rejected because their thread is lost. */
  readonly lost: number;
  /** To be run again. */
  readonly requeued: number;
  /** Spawned by the dead thread and dropped. */
  readonly orphaned: number;
  /** Threads whose doorbell the caller has to ring now. */
  readonly ring: readonly number[];
}

/** What becomes of the dead thread's id. */
export interface ReapOptions {
  /** Another thread will get this id and serve what is pinned to it. */
  readonly isReplaced: boolean;
  /** A living thread, of another id, that what is pinned to the dead one is handed to. */
  readonly successor?: number;
}

/** Who manages the memory for arguments and results. */
export interface TaskMemory {
  /** Gives back what a task has, before its slot is freed. */
  release(slot: number): void;
  /** Gives back the outcome of a run that was cut, before the task is queued again: the next run's would take its place, and nobody would know of the first. */
  releaseOutcome(slot: number): void;
}

const NO_MEMORY: TaskMemory = { release: () => undefined, releaseOutcome: () => undefined };

/** The supervisor's means to bury a thread. */
export class Reaper {
  readonly #segment: Segment;
  readonly #memory: TaskMemory;
  #lost = 0;
  #requeued = 0;
  #orphaned = 0;

  constructor(segment: Segment, memory: TaskMemory = NO_MEMORY) {
    this.#segment = segment;
    this.#memory = memory;
  }

  /** Buries `thread`, which must have made its last step. */
  reap(thread: number, options: ReapOptions): ReapReport {
    const { table, idle, parkers } = this.#segment;
    assert(thread >= 0 && thread < table.threads, "a dead thread is one of the segment's");
    this.#lost = 0;
    this.#requeued = 0;
    this.#orphaned = 0;
    // First the hints that were its own, so that none of those added below is taken away.
    this.#segment.clearThread(thread);
    for (let slot = 0; slot < table.capacity; slot++) {
      if (table.originOf(slot) === thread) this.#buryOrphan(slot, thread);
      else this.#rescue(slot, thread, options);
    }
    parkers.reset(thread);
    idle.forget(thread);
    const ring: number[] = [];
    for (let other = 0; other < parkers.threads; other++) {
      if (other !== thread && parkers.ringAgain(other) === "loop") ring.push(other);
    }
    return { lost: this.#lost, requeued: this.#requeued, orphaned: this.#orphaned, ring };
  }

  /** A task whose origin is dead. */
  #buryOrphan(slot: number, dead: number): void {
    const { table } = this.#segment;
    for (;;) {
      const state = table.stateOf(slot);
      const phase = phaseOf(state);
      if (phase === FREE) return;
      if (phase === DONE) {
        // The origin is dead and whoever ran it is through with it: nobody else writes this state any more.
        this.#memory.release(slot);
        table.free(slot, state);
        this.#orphaned++;
        return;
      }
      const runsElsewhere = phase === RUNNING && threadOf(state) !== dead;
      const next = runsElsewhere ? (state | CANCELLED) & ~JOIN_INTEREST : doneFrom(state, CANCELLED);
      if (table.replace(slot, state, next) && runsElsewhere) {
        this.#orphaned++;
        return;
      }
    }
  }

  /** A task of a living origin. */
  #rescue(slot: number, dead: number, options: ReapOptions): void {
    const { table } = this.#segment;
    for (;;) {
      const state = table.stateOf(slot);
      const phase = phaseOf(state);
      if (phase === FREE) return;
      if (phase === DONE) return this.#tell(slot);
      const isDead = threadOf(state) === dead;
      const isPinned = (state & PINNED) !== 0;
      const { isReplaced, successor } = options;
      const hasRunner = !isPinned || !isDead || isReplaced || successor !== undefined;
      if (phase === QUEUED && isPinned && isDead && successor !== undefined) {
        const moved = repinnedFrom(state, successor);
        if (!table.replace(slot, state, moved)) continue;
        return this.#addHint(slot, moved);
      }
      if (phase === QUEUED && hasRunner) return this.#addHint(slot, state);
      if (phase === RUNNING && !isDead) return;
      const canRunAgain = (state & IDEMPOTENT) !== 0 && (state & CANCELLED) === 0 && hasRunner;
      if (canRunAgain && phase === RUNNING && table.rerunsOf(slot) < RERUNS_MAX) {
        this.#memory.releaseOutcome(slot);
        if (!table.requeue(slot, state)) continue;
        this.#requeued++;
        // Once more, because it may have to be queued for another thread.
        continue;
      }
      if (!table.replace(slot, state, doneFrom(state, LOST))) continue;
      this.#lost++;
      return this.#tell(slot);
    }
  }

  #addHint(slot: number, state: number): void {
    const { inboxes, injector } = this.#segment;
    if ((state & PINNED) !== 0) inboxes[threadOf(state)]!.insert(slot);
    else injector.insert(slot);
  }

  /** Its bell rings with all others at the end. */
  #tell(slot: number): void {
    const { table, settled } = this.#segment;
    const origin = table.originOf(slot);
    settled[origin]!.insert(slot - table.firstOf(origin));
  }
}
