/**
 * How one thread gets permits for its callers that wait: it waits once for all of them, and takes what it is offered or finds free.
 *
 * Whoever clears the thread's bit sends an offer, sooner or later, or dies. The thread may have got its permit in another way by then, or its caller may have given up; while an offer may still come it must look whenever it is rung, to pass
 * the permit on. A thread that sleeps where it hears no bell must not be owed one. Whether one may come it reads from the intents of those who give (`permits.ts`) and does not count: of a count nobody could say which part of it a dead giver owed.
 */
import { NO_PERMIT, type Permits } from "./permits.js";

/** One thread's. */
export class PermitSeeker {
  readonly #permits: Permits;
  /** Whether this thread has set its bit. Somebody may have cleared it since. */
  #isEntered = false;
  /** Whether a bit of this thread was cleared by another one since it last found that nobody intends an offer. */
  #mayBeOwed = false;

  constructor(permits: Permits) {
    this.#permits = permits;
  }

  /** Whether an offer may come that nobody here wants. As {@link rest} has found it. */
  get isOwed(): boolean {
    return this.#mayBeOwed;
  }

  /** A permit for a caller that waits. With {@link NO_PERMIT} the thread is rung when it should ask again. */
  seek(): number {
    const offered = this.#permits.takeOffered();
    if (offered !== NO_PERMIT) return offered;
    const { waiting, gathering } = this.#permits;
    if (this.#isEntered && !waiting.has(gathering.self)) {
      this.#isEntered = false;
      this.#mayBeOwed = true;
    }
    if (!this.#isEntered) {
      waiting.enter(gathering.self);
      this.#isEntered = true;
    }
    return this.#permits.tryTake();
  }

  /** No caller waits here: leaves, and passes on what was offered. To be called again when the thread is rung. */
  rest(): void {
    if (this.#isEntered) {
      this.#isEntered = false;
      if (!this.#permits.waiting.leave(this.#permits.gathering.self)) this.#mayBeOwed = true;
    }
    // Before the look for offers: who intends none any more has made it by then.
    if (this.#mayBeOwed) this.#mayBeOwed = this.#permits.isOfferIntended;
    for (let permit = this.#permits.takeOffered(); permit !== NO_PERMIT; permit = this.#permits.takeOffered()) {
      this.#permits.giveOn(permit, this.#permits.wasAbandoned);
    }
  }
}
