/**
 * Promises as branches of `select`.
 *
 * A promise cannot be left: each `then` stays with it until it settles, so a loop that selects on one that lives long would pile them up. Each promise gets one `then`, and those that wait for it a list that they can leave.
 */
import type { SelectWaiter } from "./selectable.js";
import { WaitList } from "./wait-list.js";

const joins = new WeakMap<object, PromiseJoin>();

/** A promise as a branch, as `Selectable` says. */
export function joinAsBranch(promise: PromiseLike<unknown>, branch: SelectWaiter<unknown>): (() => void) | undefined {
  let join = joins.get(promise);
  if (join === undefined) {
    join = new PromiseJoin();
    joins.set(promise, join);
    promise.then(join.fulfilled, join.rejected);
  }
  return join.join(branch);
}

/** One promise, as far as it is known here. */
class PromiseJoin {
  readonly #waiting = new WaitList<unknown>("join", { waitingMax: Number.POSITIVE_INFINITY });
  /** Settles a branch as the promise is settled. Until then, undefined. */
  #settle: ((branch: Pick<SelectWaiter<unknown>, "resolve" | "reject">) => void) | undefined;

  readonly fulfilled = (value: unknown): void => {
    this.#settle = (branch) => branch.resolve(value);
    for (let waiter = this.#waiting.take(); waiter !== undefined; waiter = this.#waiting.take()) waiter.settle(value);
  };

  readonly rejected = (error: unknown): void => {
    this.#settle = (branch) => branch.reject(error);
    this.#waiting.failAll(() => error);
  };

  join(branch: SelectWaiter<unknown>): (() => void) | undefined {
    if (this.#settle === undefined) return this.#waiting.join(undefined, branch);
    if (branch.claim()) this.#settle(branch);
    return undefined;
  }
}
