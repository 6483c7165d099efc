/**
 * How one thread gets permits for its callers that wait: it waits once for all of them, and takes what it is offered or finds free.
 *
 * Whoever clears the thread's bit sends an offer, sooner or later. The thread may have got its permit in another way by then, or its caller may have given up; it is *owed* an offer as long, and must look whenever it is rung, to pass the
 * permit on. A thread that sleeps where it hears no bell must not be owed one.
 */
import { NO_PERMIT, type Permits } from "./permits.js";

/** One thread's. */
export class PermitSeeker {
  readonly #permits: Permits;
  #isEntered = false;
  /** Bits cleared by others, less offers seen. */
  #owed = 0;
  /** When it last entered or rested: of those who died before, none can have cleared its bit since. */
  #deathsSeen: number;

  constructor(permits: Permits) {
    this.#permits = permits;
    this.#deathsSeen = permits.gathering.deaths;
  }

  /** Whether an offer will come that nobody here may want. */
  get isOwed(): boolean {
    return this.#owed > 0;
  }

  /** A permit for a caller that waits. With {@link NO_PERMIT} the thread is rung when it should ask again. */
  seek(): number {
    const offered = this.#takeOffered();
    if (offered !== NO_PERMIT) return offered;
    this.#noteCleared();
    if (!this.#isEntered) {
      this.#noteDeaths(this.#permits.gathering.deaths);
      this.#permits.waiting.enter(this.#permits.gathering.self);
      this.#isEntered = true;
    }
    return this.#permits.tryTake();
  }

  /** No caller waits here: leaves, and passes on what was offered. To be called again when the thread is rung. */
  rest(): void {
    if (this.#isEntered) {
      this.#isEntered = false;
      if (!this.#permits.waiting.leave(this.#permits.gathering.self)) this.#owed += 1;
    }
    // Who cleared the bit may have died with the offer; if not, it comes all the same.
    const { deaths } = this.#permits.gathering;
    for (let permit = this.#takeOffered(); permit !== NO_PERMIT; permit = this.#takeOffered()) {
      this.#permits.giveOn(permit, this.#permits.wasAbandoned);
    }
    this.#noteDeaths(deaths);
  }

  #noteDeaths(deaths: number): void {
    if (deaths !== this.#deathsSeen) this.#owed = 0;
    this.#deathsSeen = deaths;
  }

  #takeOffered(): number {
    const permit = this.#permits.takeOffered();
    if (permit === NO_PERMIT) return NO_PERMIT;
    this.#noteCleared();
    // It may be one that was given up for lost because somebody had died.
    if (this.#owed > 0) this.#owed -= 1;
    return permit;
  }

  #noteCleared(): void {
    if (!this.#isEntered || this.#permits.waiting.has(this.#permits.gathering.self)) return;
    this.#isEntered = false;
    this.#owed += 1;
  }
}
