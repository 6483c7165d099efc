/**
 * The shortest scheduler that uses the structures as they are meant to be used: what `docs/scheduler.md` asks of a thread, step by step. The checker's programs run it.
 */
import { layoutOf } from "../../src/shared/layout.js";
import type { LocalQueue } from "../../src/shared/local-queue.js";
import { Segment } from "../../src/shared/segment.js";
import type { TaskOrigin } from "../../src/shared/task-origin.js";
import { CANCELLED, JOIN_INTEREST, LOST, PINNED } from "../../src/shared/task-state.js";
import type { Words } from "../../src/shared/words.js";

/** Two threads that work, one more that may, and the supervisor. One task slot each. */
export const LAYOUT = layoutOf({ threads: 4, slotsPerThread: 1, queueCapacity: 2, lifoSlots: 0 });
export const SUPERVISOR = 3;
/** Behind the segment: whether to end, and what has happened. */
export const STOP = LAYOUT.length;
export const RUNS = STOP + 1;
export const RESULTS = STOP + 2;
export const LOSSES = STOP + 3;
export const CANCELS = STOP + 4;
export const LENGTH = STOP + 5;

/** A planted bug, by what is left out. */
export type Omission = "recheck" | "claimer";

/** One thread of the scheduler. */
export class Loop {
  readonly segment: Segment;
  readonly queue: LocalQueue;
  readonly origin: TaskOrigin;
  readonly #words: Words;
  readonly #self: number;
  readonly #omission: Omission | undefined;
  /** A recheck has found something: the next look is at other threads' queues even if another thread is the searcher, so that nobody waits for that one. */
  #hasSeen = false;
  /** It became the searcher before it told of its last task, and has not looked since. */
  #isSearching = false;

  constructor(words: Words, self: number, omission?: Omission) {
    this.#words = words;
    this.#self = self;
    this.#omission = omission;
    this.segment = new Segment(words, LAYOUT, self);
    this.queue = this.segment.openQueue();
    this.origin = this.segment.openOrigin();
  }

  /** Spawns a task. */
  spawn(flags = JOIN_INTEREST): void {
    const slot = this.origin.open();
    if (slot < 0) throw new Error("no slot for a task");
    this.segment.table.setCall(slot, 7, 20);
    this.origin.publish(slot, flags);
    this.queue.push(slot);
    this.segment.idle.wakeOne();
  }

  /** Spawns a task that only `thread` may run. */
  spawnPinned(thread: number): void {
    const slot = this.origin.open();
    if (slot < 0) throw new Error("no slot for a task");
    this.segment.table.setCall(slot, 7, 20);
    this.origin.publish(slot, JOIN_INTEREST | PINNED, thread);
    this.segment.inboxes[thread]!.insert(slot);
    this.segment.parkers.notify(thread);
  }

  /** Settles what is done and says how many tasks are left. */
  settle(): number {
    const { table } = this.segment;
    for (let slot = this.origin.nextSettled(); slot !== -1; slot = this.origin.nextSettled()) {
      const state = table.stateOf(slot);
      if ((state & LOST) !== 0) this.#words.add(LOSSES, 1);
      else if ((state & CANCELLED) !== 0) this.#words.add(CANCELS, 1);
      else this.#words.add(RESULTS, table.resultOf(slot) === 27 ? 1 : 100);
      this.origin.free(slot);
    }
    return this.origin.liveCount;
  }

  /** Runs tasks until there is none to be had. */
  work(): void {
    for (let slot = this.#find(); slot !== -1; slot = this.#find()) this.#run(slot);
  }

  /** Parks, unless there is something to do. `isExecutor` says whether it cares for other threads' hints. */
  park(isExecutor: boolean, isDone: () => boolean = () => false): void {
    const { idle, inboxes } = this.segment;
    if (!idle.announce(this.#self, "word")) return;
    if (this.#omission !== "recheck") {
      const hasWork = isExecutor && (!inboxes[this.#self]!.isEmpty() || !this.segment.hasNoStealable());
      this.#hasSeen = hasWork;
      if (hasWork || this.origin.hasSettled() || isDone()) {
        idle.retract(this.#self);
        return;
      }
    }
    idle.sleep(this.#self);
  }

  /** An executor, until it is told to stop. */
  runUntilStopped(): void {
    const isStopped = () => this.#words.load(STOP) !== 0;
    while (!isStopped()) {
      this.work();
      this.settle();
      this.park(true, isStopped);
    }
  }

  /** Waits for all own tasks. `isExecutor`: runs tasks meanwhile. */
  waitForAll(isExecutor: boolean): void {
    for (;;) {
      if (isExecutor) this.work();
      if (this.settle() === 0) return;
      this.park(isExecutor);
    }
  }

  /** Tells other threads to end. */
  stop(...threads: readonly number[]): void {
    this.#words.store(STOP, 1);
    for (const thread of threads) this.segment.parkers.notify(thread);
  }

  #find(): number {
    const { idle, inboxes, injector } = this.segment;
    let slot = this.queue.pop();
    if (slot === -1) slot = inboxes[this.#self]!.take();
    if (slot === -1) slot = injector.take();
    const isSearcher = this.#isSearching;
    this.#isSearching = false;
    if (slot !== -1) {
      if (isSearcher) this.#handOn();
      return slot;
    }
    if (!isSearcher && !idle.beginSearch(this.#self) && !this.#hasSeen) return slot;
    this.#hasSeen = false;
    for (let victim = 0; victim < SUPERVISOR && slot === -1; victim++) {
      if (victim !== this.#self) slot = this.segment.stealFrom(victim, this.queue, 2);
    }
    if (slot !== -1) this.#handOn();
    else idle.endSearch(this.#self);
    return slot;
  }

  #handOn(): void {
    this.segment.idle.endSearch(this.#self);
    if (!this.segment.hasNoStealable()) this.segment.idle.wakeOne();
  }

  #run(slot: number): void {
    const { table } = this.segment;
    // The planted bug claims in another thread's name.
    const claimed = table.claim(slot, this.#omission === "claimer" ? SUPERVISOR : this.#self);
    if (claimed === 0) return;
    this.#words.add(RUNS, 1);
    table.setResult(slot, table.functionOf(slot) + table.argumentOf(slot));
    if (this.queue.isEmpty()) this.#isSearching = this.segment.idle.beginSearch(this.#self);
    table.complete(slot, claimed);
    this.segment.settle(slot);
  }
}

/** What every run ends with: so many tasks had an end, each one. */
export function mustHaveEnded(words: Words, count: number): void {
  const ends = words.load(RESULTS) + words.load(LOSSES) + words.load(CANCELS);
  if (ends !== count) throw new Error(`${count} tasks have ended ${ends} times`);
}
