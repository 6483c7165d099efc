/** Waking the threads of a scheduler: on their word where they sleep there, by their doorbell where they sleep in their event loop. */
import { bellOf, ringDoorbell } from "../driver/doorbell.js";
import type { Bell } from "../shared/bell.js";
import type { Segment } from "../shared/segment.js";
import type { SchedulerShare } from "./scheduler-memory.js";

/** One thread's means to wake the others. */
export class Ringer {
  /** Rings that woke somebody. */
  wakes = 0;
  readonly #segment: Segment;
  readonly #share: SchedulerShare;
  /** By thread: the words of its doorbell. */
  readonly #bells: Bell[] = [];

  constructor(segment: Segment, share: SchedulerShare) {
    this.#segment = segment;
    this.#share = share;
  }

  /**
   * Work was published that any executing thread may take: wakes one, if one sleeps and none is searching.
   *
   * A thread that sleeps in its loop may be busy there, because what its tasks wait for goes on inside of that sleep, and nobody waits for another thread. So it is rung and its name taken away again,
   * and the next one is woken too, until one that sleeps on its word, and is certainly idle, has been. A shard whose driver says when it blocks is as idle as that: it looks for work before anything else.
   */
  wakeOne(): void {
    const { idle } = this.#segment;
    if (!this.#share.steals) return;
    // Each turn takes another thread out of the set, so this ends; the bound is for threads that go back to sleep meanwhile.
    for (let left = this.#share.executors; left > 0; left--) {
      const notified = idle.wakeOne();
      if (notified === "none") return;
      this.wakes += 1;
      if (notified === "word") return;
      this.ring(idle.wokenThread);
      if (this.#share.sleep === "driver") return;
      idle.endSearch(idle.wokenThread);
    }
  }

  /** Work was published for one executing thread. True if it slept on its word, so that it does nothing but look now. */
  wake(thread: number): boolean {
    if (this.#share.sleep !== "word") {
      // A shard looks into its inbox whenever it was rung, asleep or not.
      this.ring(thread);
      return false;
    }
    const notified = this.#segment.parkers.unpark(thread);
    if (notified === "none") return false;
    this.wakes += 1;
    if (notified === "loop") this.ring(thread);
    return notified === "word";
  }

  /** A task that blocks was published: wakes a thread for such that has nothing to do, or asks the supervisor for one. */
  wakeBlocking(): void {
    const { executors, blocking } = this.#share;
    for (let thread = executors + 1; thread <= executors + blocking; thread++) {
      if (this.keepBlocking(thread)) return;
    }
    this.ring(executors);
  }

  /** A task that blocks was published for one of the threads for such, which the supervisor starts if it is not there. */
  wakeOneBlocking(thread: number): void {
    if (!this.keepBlocking(thread)) this.ring(thread);
    this.ring(this.#share.executors);
  }

  /** Wakes a thread for tasks that block which has nothing to do, so that it does not end just now. False if it was not asleep. */
  keepBlocking(thread: number): boolean {
    if (this.#segment.parkers.notify(thread) === "none") return false;
    this.wakes += 1;
    this.ring(thread);
    return true;
  }

  /** A task that `thread` runs was given up. */
  tellRunner(thread: number): void {
    // A thread for tasks that block sleeps unannounced while one of its tasks waits.
    if (thread >= this.#share.executors) this.ring(thread);
    else this.wake(thread);
  }

  /** A task is done: tells its origin. */
  settle(slot: number): void {
    const origin = this.#segment.table.originOf(slot);
    // A thread that only spawns, and a shard, do not park by the word of their parker alone: their doorbell knows whether they sleep.
    if (origin >= this.#share.executors || this.#share.sleep !== "word") {
      this.#segment.addSettled(origin, slot);
      if (origin !== this.#segment.self) this.ring(origin);
      return;
    }
    const notified = this.#segment.settle(slot);
    if (notified !== "none") {
      this.wakes += 1;
      if (notified === "loop") this.ring(origin);
    }
  }

  /** Rings the doorbell of a thread that has one. */
  ring(thread: number): void {
    const doorbell = this.#share.doorbells[thread];
    if (doorbell === undefined) return;
    this.#bells[thread] ??= bellOf(doorbell);
    // The rule while many tasks are settled at once.
    if (!this.#bells[thread].isRung) ringDoorbell(doorbell);
  }
}
