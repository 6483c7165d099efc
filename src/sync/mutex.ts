/** Mutexes: one holder at a time, over any number of `await`s. Code without an `await` needs none, since nothing else runs meanwhile. */
import { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";
import type { Started } from "../task/started.js";
import { completedWith } from "../task/turn-budget.js";
import type { WaitingOptions, WaitOptions } from "../task/wait-errors.js";
import { checkedForm } from "../task/wait-limits.js";
import { WaitList } from "../task/wait-list.js";
import { Guard, holding } from "./guard.js";

/**
 * Makes a mutex.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`.
 * @example
 * ```ts run
 * import { mutex } from "ringloom/sync";
 * const balance = { lock: mutex(), cents: 100 };
 * async function withdraw(cents: number): Promise<boolean> {
 *   return balance.lock.with(async () => {
 *     if (balance.cents < cents) return false;
 *     await Promise.resolve("ask the bank");
 *     balance.cents -= cents;
 *     return true;
 *   });
 * }
 * console.log(await Promise.all([withdraw(70), withdraw(70)])); // [ true, false ]
 * ```
 * @experimental
 */
export function mutex(options: WaitingOptions = {}): Mutex {
  return new Mutex(options);
}

/**
 * A mutex. Made by {@link mutex}. Those that wait are served in their order. As a branch of `select` it gives its guard. Locking it twice from the same code waits for ever: there is no owner to be told apart.
 * @experimental
 */
export class Mutex implements Selectable<Guard> {
  #isLocked = false;
  readonly #waiting: WaitList<Guard>;

  /** @internal */
  constructor(options: WaitingOptions) {
    const { waitingMax } = checkedForm("make a mutex", options, ["waitingMax"]);
    this.#waiting = new WaitList("lock", { waitingMax });
  }

  get isLocked(): boolean {
    return this.#isLocked;
  }

  /**
   * Waits for the lock, and takes it.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_OVERLOADED` when too many wait.
   */
  lock(options?: WaitOptions): Started<Guard> {
    if (options !== undefined) {
      const refused = this.#waiting.refusal(options);
      if (refused !== undefined) return Promise.reject(refused);
    }
    return this.#isLocked ? this.#waiting.wait(undefined, options) : completedWith(this.#take());
  }

  /** Takes the lock if it is free, else undefined. */
  tryLock(): Guard | undefined {
    return this.#isLocked ? undefined : this.#take();
  }

  /** Calls a function while it holds the lock. */
  with<Result>(run: (guard: Guard) => Result | PromiseLike<Result>, options?: WaitOptions): Promise<Result> {
    return holding(this.lock(options), run);
  }

  [selectable](branch: SelectWaiter<Guard>): (() => void) | undefined {
    if (this.#isLocked) return this.#waiting.join(undefined, branch);
    if (branch.claim()) branch.resolve(this.#take());
    return undefined;
  }

  #take(): Guard {
    this.#isLocked = true;
    return new Guard(this.#free);
  }

  /** Hands the lock on. One function for all guards, each of which calls it once. */
  readonly #free = (): void => {
    const next = this.#waiting.take();
    if (next === undefined) this.#isLocked = false;
    else next.settle(new Guard(this.#free));
  };
}
