/**
 * What a call to the driver causes but must not do inside that call: ends of connections, held bytes to deliver, and the odd piece of work. A turn
 * runs it after its completions, each item contained, so that an exception of one loses no other.
 */
import { reportError } from "./report-error.js";

/** What the driver does with the slots that wait here. */
export interface DeferredOwner {
  finishSlot(slot: number): void;
  deliverHeld(slot: number): void;
  /** Something waits; asks for a turn. */
  deferred(): void;
}

/** The three lists. */
export class DeferredWork {
  readonly #owner: DeferredOwner;
  #finishing: number[] = [];
  #resuming: number[] = [];
  #later: (() => void)[] = [];

  constructor(owner: DeferredOwner) {
    this.#owner = owner;
  }

  /** The slot's connection has ended and nothing names it any more. */
  finish(slot: number): void {
    this.#finishing.push(slot);
    this.#owner.deferred();
  }

  /** The slot was resumed and holds bytes. */
  resume(slot: number): void {
    this.#resuming.push(slot);
    this.#owner.deferred();
  }

  later(work: () => void): void {
    this.#later.push(work);
    this.#owner.deferred();
  }

  get isEmpty(): boolean {
    return this.#finishing.length === 0 && this.#resuming.length === 0 && this.#later.length === 0;
  }

  /** Runs what waits now; what that adds waits for the next turn. */
  run(): void {
    if (this.isEmpty) return;
    const later = this.#later;
    const resuming = this.#resuming;
    const finishing = this.#finishing;
    this.#later = [];
    this.#resuming = [];
    this.#finishing = [];
    for (const work of later) {
      try {
        work();
      } catch (error) {
        reportError(error);
      }
    }
    for (const slot of resuming) {
      try {
        this.#owner.deliverHeld(slot);
      } catch (error) {
        reportError(error);
      }
    }
    for (const slot of finishing) {
      try {
        this.#owner.finishSlot(slot);
      } catch (error) {
        reportError(error);
      }
    }
  }
}
