/** Semaphores: a number of permits, lent out to those that have waited longest. */
import { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";
import type { Started } from "../task/started.js";
import { completedWith } from "../task/turn-budget.js";
import { invalidArgument, type WaitingOptions, type WaitOptions } from "../task/wait-errors.js";
import { checkedForm } from "../task/wait-limits.js";
import { WaitList } from "../task/wait-list.js";
import { Guard, holding } from "./guard.js";

/**
 * Makes a semaphore with so many permits.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`.
 * @example
 * ```ts run
 * import { semaphore } from "ringloom/sync";
 * const connections = semaphore(2);
 * const permit = await connections.acquire();
 * try {
 *   console.log(connections.available); // 1
 * } finally {
 *   permit.release();
 * }
 * ```
 * @experimental
 */
export function semaphore(permits: number, options: WaitingOptions = {}): Semaphore {
  return new Semaphore(permits, options);
}

/**
 * A semaphore. Made by {@link semaphore}. As a branch of `select` it gives one permit.
 *
 * Fair: who asks for many is not overtaken by those that ask for few.
 * @experimental
 */
export class Semaphore implements Selectable<Guard> {
  /** Permits in all. */
  readonly permits: number;
  #available: number;
  /** The ask: how many. */
  readonly #waiting: WaitList<Guard, number>;

  /** @internal */
  constructor(permits: number, options: WaitingOptions) {
    const { waitingMax } = checkedForm("make a semaphore", options, ["waitingMax"]);
    if (!Number.isInteger(permits) || permits < 1) {
      throw invalidArgument("make a semaphore", "its permits must be an integer from 1");
    }
    this.permits = permits;
    this.#available = permits;
    this.#waiting = new WaitList("acquire", { waitingMax, whenLeft: () => this.#serve() });
  }

  /** Permits that nobody has. */
  get available(): number {
    return this.#available;
  }

  /**
   * Waits until so many permits are free, and takes them.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_OVERLOADED` when too many wait, `ERR_RINGLOOM_INVALID_OPTION` for more than there are.
   */
  acquire(count = 1, options?: WaitOptions): Started<Guard> {
    const refused = this.#refusal(count) ?? (options === undefined ? undefined : this.#waiting.refusal(options));
    if (refused !== undefined) return Promise.reject(refused);
    return this.#canTake(count) ? completedWith(this.#take(count)) : this.#waiting.wait(count, options);
  }

  /** Takes so many permits if they are free and nobody waits, else undefined. Throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`. */
  tryAcquire(count = 1): Guard | undefined {
    const refused = this.#refusal(count);
    if (refused !== undefined) throw refused;
    return this.#canTake(count) ? this.#take(count) : undefined;
  }

  /** For `select`: so many permits as a branch. Throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`. */
  acquiring(count: number): Selectable<Guard> {
    const refused = this.#refusal(count);
    if (refused !== undefined) throw refused;
    return { [selectable]: (branch) => this.#acquireAsBranch(count, branch) };
  }

  /** Calls a function while it holds a permit. */
  with<Result>(run: (permit: Guard) => Result | PromiseLike<Result>, options?: WaitOptions): Promise<Result> {
    return holding(this.acquire(1, options), run);
  }

  [selectable](branch: SelectWaiter<Guard>): (() => void) | undefined {
    return this.#acquireAsBranch(1, branch);
  }

  #acquireAsBranch(count: number, branch: SelectWaiter<Guard>): (() => void) | undefined {
    if (!this.#canTake(count)) return this.#waiting.join(count, branch);
    if (branch.claim()) branch.resolve(this.#take(count));
    return undefined;
  }

  #canTake(count: number): boolean {
    return this.#available >= count && this.#waiting.length === 0;
  }

  #take(count: number): Guard {
    this.#available -= count;
    return new Guard(() => {
      this.#available += count;
      this.#serve();
    });
  }

  #serve(): void {
    for (;;) {
      const { first } = this.#waiting;
      if (first === undefined || first.ask > this.#available) return;
      const waiter = this.#waiting.takeFirst();
      waiter?.settle(this.#take(waiter.ask));
    }
  }

  #refusal(count: number): Error | undefined {
    if (Number.isInteger(count) && count >= 1 && count <= this.permits) return undefined;
    return invalidArgument("acquire", `the number of permits must be an integer from 1 to ${this.permits}`);
  }
}
