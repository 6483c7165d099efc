/** Barriers: so many wait for each other. */

import type { Started } from "../task/started.js";
import { completedWith } from "../task/turn-budget.js";
import { invalidArgument, type WaitOptions } from "../task/wait-errors.js";
import { WaitList } from "../task/wait-list.js";

/**
 * Makes a barrier for so many parties.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`.
 * @example
 * ```ts run
 * import { barrier } from "ringloom/sync";
 * const both = barrier(2);
 * const [first, second] = await Promise.all([both.wait(), both.wait()]);
 * console.log(first.isLast, second.isLast); // false true
 * ```
 * @experimental
 */
export function barrier(parties: number): Barrier {
  return new Barrier(parties);
}

/**
 * What a party learns when all have come.
 * @experimental
 */
export interface BarrierArrival {
  /** True for one of them, the last to come. */
  readonly isLast: boolean;
}

/**
 * A barrier. Made by {@link barrier}. When all have come it begins anew.
 * @experimental
 */
export class Barrier {
  readonly parties: number;
  readonly #waiting: WaitList<BarrierArrival>;

  /** @internal */
  constructor(parties: number) {
    if (!Number.isInteger(parties) || parties < 1) {
      throw invalidArgument("make a barrier", "its parties must be an integer from 1");
    }
    this.parties = parties;
    this.#waiting = new WaitList("wait", { waitingMax: parties });
  }

  /** Parties that wait now. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Waits until all parties have come. One that gives up has not come: another one is waited for.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`.
   */
  wait(options?: WaitOptions): Started<BarrierArrival> {
    const refused = options === undefined ? undefined : this.#waiting.refusal(options);
    if (refused !== undefined) return Promise.reject(refused);
    if (this.#waiting.length < this.parties - 1) return this.#waiting.wait(undefined, options);
    for (let waiter = this.#waiting.take(); waiter !== undefined; waiter = this.#waiting.take()) {
      waiter.settle({ isLast: false });
    }
    return completedWith({ isLast: true });
  }
}
