/** All structures of the scheduler's memory, as one thread sees them. Each thread makes its own from the same words. */
import { assert } from "../assert.js";
import { IdleSet } from "./idle-set.js";
import { Injector } from "./injector.js";
import type { Layout, ThreadLayout } from "./layout.js";
import { isLifoEmpty, LifoSlots, stealLifo } from "./lifo-slots.js";
import { LocalQueue } from "./local-queue.js";
import { type Notified, Parkers } from "./parkers.js";
import { RunQueue, RunQueueThief } from "./run-queue.js";
import { SlotSet } from "./slot-set.js";
import { TaskOrigin } from "./task-origin.js";
import { TaskTable } from "./task-table.js";
import type { Words } from "./words.js";

/** One thread's view. A thread that owns no queue, as the reaper's, never calls {@link Segment.openQueue} and {@link Segment.openOrigin}. */
export class Segment {
  readonly layout: Layout;
  readonly self: number;
  readonly table: TaskTable;
  readonly parkers: Parkers;
  readonly idle: IdleSet;
  readonly injector: Injector;
  /** By thread: whose tasks are done. */
  readonly settled: readonly SlotSet[];
  /** By thread: tasks that are pinned to it. */
  readonly inboxes: readonly SlotSet[];
  /** By thread: its run queue, for others. */
  readonly thieves: readonly RunQueueThief[];
  readonly #words: Words;
  #origin: TaskOrigin | undefined;

  constructor(words: Words, layout: Layout, self: number) {
    assert(self >= 0 && self < layout.threads.length, "a thread id is within the segment");
    this.#words = words;
    this.layout = layout;
    this.self = self;
    this.table = new TaskTable(words, layout.tasks);
    this.parkers = new Parkers(words, layout.parkers);
    this.idle = new IdleSet(words, this.parkers, layout.idle);
    this.injector = new Injector(words, layout.injector, self);
    this.settled = layout.threads.map((thread) => new SlotSet(words, thread.settled));
    this.inboxes = layout.threads.map((thread) => new SlotSet(words, thread.inbox));
    this.thieves = layout.threads.map((thread) => new RunQueueThief(words, thread.queue));
  }

  /** The thread's own queue: to be opened once, by its owner. What does not fit goes to the injector, or to the thread's own inbox if nobody else may run it (`isAlone`). */
  openQueue({ isAlone = false }: { readonly isAlone?: boolean } = {}): LocalQueue {
    const { lifo, queue } = this.#own();
    const overflow = isAlone ? this.inboxes[this.self]! : this.injector;
    return new LocalQueue(new LifoSlots(this.#words, lifo), new RunQueue(this.#words, queue), overflow);
  }

  /** The thread's own tasks: to be opened once, by their origin. */
  openOrigin(): TaskOrigin {
    assert(this.#origin === undefined, "a thread has one origin");
    this.#origin = new TaskOrigin(this.table, this.settled[this.self]!, this.self);
    return this.#origin;
  }

  /**
   * Tells the origin of a task that is done. "loop" asks the caller to ring the doorbell of that thread; it is asked for only when that thread sleeps.
   */
  settle(slot: number): Notified {
    const origin = this.table.originOf(slot);
    this.addSettled(origin, slot);
    return origin === this.self ? "none" : this.parkers.notify(origin);
  }

  /** The same, for a caller that knows another way to tell whether the origin sleeps. */
  addSettled(origin: number, slot: number): void {
    if (origin !== this.self) {
      this.settled[origin]!.insert(slot - this.table.firstOf(origin));
      return;
    }
    assert(this.#origin !== undefined, "a thread that has spawned has an origin");
    this.#origin.settleOwn(slot);
  }

  /** Takes a hint from another thread: half of its run queue, the rest of which goes to `own`, else one from its LIFO slots. -1 if there is none. */
  stealFrom(victim: number, own: LocalQueue, countMax: number): number {
    const slot =
      countMax === 1 ? this.thieves[victim]!.stealOne() : this.thieves[victim]!.stealHalf(own.queue, countMax);
    return slot === -1 ? stealLifo(this.#words, this.layout.threads[victim]!.lifo) : slot;
  }

  /** Whether no thread has a hint that anybody may take: what is rechecked before parking, besides the thread's own settled set and inbox. Only the first `threads` threads have queues. */
  hasNoStealable(threads = this.thieves.length): boolean {
    if (!this.injector.isEmpty()) return false;
    for (let thread = 0; thread < threads; thread++) {
      if (!this.thieves[thread]!.isEmpty() || !isLifoEmpty(this.#words, this.layout.threads[thread]!.lifo))
        return false;
    }
    return true;
  }

  /** Takes every hint out of a dead thread's queue, LIFO slots, inbox and settled set, for its successor to begin with none. */
  clearThread(thread: number): void {
    while (this.thieves[thread]!.stealOne() !== -1);
    while (stealLifo(this.#words, this.layout.threads[thread]!.lifo) !== -1);
    while (this.inboxes[thread]!.take() !== -1);
    while (this.settled[thread]!.take() !== -1);
  }

  #own(): ThreadLayout {
    return this.layout.threads[this.self]!;
  }
}
