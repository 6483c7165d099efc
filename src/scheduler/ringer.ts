/** Waking the threads of a scheduler: on their word where they sleep there, by their doorbell where they sleep in their event loop. */
import { ringDoorbell } from "../driver/doorbell.js";
import type { Segment } from "../shared/segment.js";
import type { SchedulerShare } from "./scheduler-memory.js";

/** One thread's means to wake the others. */
export class Ringer {
  /** Rings that woke somebody. */
  wakes = 0;
  readonly #segment: Segment;
  readonly #share: SchedulerShare;

  constructor(segment: Segment, share: SchedulerShare) {
    this.#segment = segment;
    this.#share = share;
  }

  /** Work was published that any executing thread may take: wakes one, if one sleeps and none is searching. */
  wakeOne(): void {
    const { idle } = this.#segment;
    const notified = idle.wakeOne();
    if (notified === "none") return;
    this.wakes += 1;
    if (notified === "loop") this.ring(idle.wokenThread);
  }

  /** Work was published for one executing thread. */
  wake(thread: number): void {
    const notified = this.#segment.parkers.unpark(thread);
    if (notified === "none") return;
    this.wakes += 1;
    if (notified === "loop") this.ring(thread);
  }

  /** A task is done: tells its origin. */
  settle(slot: number): void {
    const origin = this.#segment.table.originOf(slot);
    const notified = this.#segment.settle(slot);
    if (origin === this.#segment.self) return;
    // A thread that only spawns does not park by the word of its parker: its doorbell knows whether it sleeps.
    if (origin >= this.#share.executors) this.ring(origin);
    else if (notified !== "none") {
      this.wakes += 1;
      if (notified === "loop") this.ring(origin);
    }
  }

  /** Rings the doorbell of a thread that has one. */
  ring(thread: number): void {
    const doorbell = this.#share.doorbells[thread];
    if (doorbell !== undefined) ringDoorbell(doorbell);
  }
}
