/** What a shared mutex and a shared semaphore have in common: callers of this thread that wait for permits, served in their order. */
import { PermitSeeker } from "../shared/permit-seeker.js";
import { NO_PERMIT, Permits, type PermitsShape } from "../shared/permits.js";
import type { SelectWaiter } from "../task/selectable.js";
import { completedWith } from "../task/turn-budget.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { SharedGuard } from "./shared-guard.js";
import type { SharedPlace } from "./shared-open.js";
import { type SharedSubject, SharedWaiters } from "./shared-waiters.js";

/** The permits of one name, as this thread has them. */
export class SharedPermits {
  readonly permits: Permits;
  readonly #seeker: PermitSeeker;
  readonly #place: SharedPlace;
  readonly #waiters: SharedWaiters<SharedGuard>;

  constructor(place: SharedPlace, shape: PermitsShape, subject: SharedSubject) {
    this.#place = place;
    this.permits = new Permits(place.words, shape, place.self);
    this.#seeker = new PermitSeeker(this.permits);
    this.#waiters = new SharedWaiters(subject, () => this.#look());
    place.listen(() => this.#look());
  }

  acquire(options: WaitOptions | undefined): Promise<SharedGuard> {
    const refused = this.#waiters.refusal(options);
    if (refused !== undefined) return Promise.reject(refused);
    const guard = this.tryAcquire();
    if (guard !== undefined) return completedWith(guard);
    const wait = this.#waiters.wait(undefined, options);
    this.#look();
    return wait;
  }

  /** Undefined when none is free or somebody of this thread waits. */
  tryAcquire(): SharedGuard | undefined {
    if (this.#waiters.size > 0) return undefined;
    const permit = this.permits.tryTake();
    return permit === NO_PERMIT ? undefined : this.#guard(permit, this.permits.wasAbandoned);
  }

  /** As `Selectable` says. */
  asBranch(branch: SelectWaiter<SharedGuard>): (() => void) | undefined {
    if (this.#waiters.size === 0) {
      const permit = this.permits.tryTake();
      const { wasAbandoned } = this.permits;
      if (permit !== NO_PERMIT) {
        if (branch.claim()) branch.resolve(this.#guard(permit, wasAbandoned));
        else this.permits.giveOn(permit, wasAbandoned);
        return undefined;
      }
    }
    const leave = this.#waiters.join(undefined, branch);
    this.#look();
    return leave;
  }

  /** Gives permits to those that wait, as far as there are any, and sees to it that this thread is rung when there are more. */
  #look(): void {
    while (this.#waiters.size > 0) {
      const permit = this.#seeker.seek();
      if (permit === NO_PERMIT) break;
      const { wasAbandoned } = this.permits;
      const waiter = this.#waiters.take();
      if (waiter === undefined) this.permits.giveOn(permit, wasAbandoned);
      else waiter.settle(this.#guard(permit, wasAbandoned));
    }
    if (this.#waiters.size === 0) this.#seeker.rest();
    this.#place.hold(this.#waiters.size > 0 || this.#seeker.isOwed);
  }

  #guard(permit: number, wasAbandoned: boolean): SharedGuard {
    return new SharedGuard(wasAbandoned, () => {
      this.permits.release(permit);
      if (this.#waiters.size > 0) this.#look();
    });
  }
}
