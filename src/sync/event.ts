/** Events and notifications: that something has happened, without a value. */
import { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";
import type { Started } from "../task/started.js";
import { completed } from "../task/turn-budget.js";
import type { WaitingOptions, WaitOptions } from "../task/wait-errors.js";
import { checkedForm } from "../task/wait-limits.js";
import { WaitList } from "../task/wait-list.js";

/**
 * Makes an event, which is not set.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`.
 * @example
 * ```ts run
 * import { event } from "ringloom/sync";
 * const ready = event();
 * setTimeout(() => ready.set(), 5);
 * await ready.wait({ timeoutMs: 10_000 });
 * console.log(ready.isSet); // true
 * ```
 * @experimental
 */
export function event(options: WaitingOptions = {}): Event {
  return new Event(options);
}

/**
 * Makes a notification.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`.
 * @example
 * ```ts run
 * import { notify } from "ringloom/sync";
 * const work = notify();
 * work.notifyOne(); // nobody waits: it is kept for the next one
 * await work.wait();
 * ```
 * @experimental
 */
export function notify(options: WaitingOptions = {}): Notify {
  return new Notify(options);
}

/**
 * Something that has happened or not. Made by {@link event}. While it is set nobody waits.
 * @experimental
 */
export class Event implements Selectable<void> {
  #isSet = false;
  readonly #waiting: WaitList<void>;

  /** @internal */
  constructor(options: WaitingOptions) {
    const { waitingMax } = checkedForm("make an event", options, ["waitingMax"]);
    this.#waiting = new WaitList("wait", { waitingMax });
  }

  get isSet(): boolean {
    return this.#isSet;
  }

  /** It has happened: all that wait go on. */
  set(): void {
    this.#isSet = true;
    wakeAll(this.#waiting);
  }

  /** It has not happened, from now on. */
  reset(): void {
    this.#isSet = false;
  }

  /**
   * Waits until it is set.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_OVERLOADED` when too many wait.
   */
  wait(options?: WaitOptions): Started<void> {
    const refused = options === undefined ? undefined : this.#waiting.refusal(options);
    if (refused !== undefined) return Promise.reject(refused);
    return this.#isSet ? completed() : this.#waiting.wait(undefined, options);
  }

  [selectable](branch: SelectWaiter<void>): (() => void) | undefined {
    if (!this.#isSet) return this.#waiting.join(undefined, branch);
    if (branch.claim()) branch.resolve();
    return undefined;
  }
}

/**
 * Wakes one or all. Made by {@link notify}. One notification is kept when nobody waits, so that none is missed between looking at a condition and waiting; more than one is one.
 * @experimental
 */
export class Notify implements Selectable<void> {
  #isKept = false;
  readonly #waiting: WaitList<void>;

  /** @internal */
  constructor(options: WaitingOptions) {
    const { waitingMax } = checkedForm("make a notification", options, ["waitingMax"]);
    this.#waiting = new WaitList("wait", { waitingMax });
  }

  /** Wakes the one that has waited longest, or the next one that waits. */
  notifyOne(): void {
    const waiter = this.#waiting.take();
    if (waiter === undefined) this.#isKept = true;
    else waiter.settle();
  }

  /** Wakes all that wait now. Keeps nothing for those that come later. */
  notifyAll(): void {
    wakeAll(this.#waiting);
  }

  /**
   * Waits for a notification.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_OVERLOADED` when too many wait.
   */
  wait(options?: WaitOptions): Started<void> {
    const refused = options === undefined ? undefined : this.#waiting.refusal(options);
    if (refused !== undefined) return Promise.reject(refused);
    if (!this.#isKept) return this.#waiting.wait(undefined, options);
    this.#isKept = false;
    return completed();
  }

  [selectable](branch: SelectWaiter<void>): (() => void) | undefined {
    if (!this.#isKept) return this.#waiting.join(undefined, branch);
    if (!branch.claim()) return undefined;
    this.#isKept = false;
    branch.resolve();
    return undefined;
  }
}

/** Nobody can come meanwhile: whoever is woken runs later. */
function wakeAll(waiting: WaitList<void>): void {
  for (let waiter = waiting.take(); waiter !== undefined; waiter = waiting.take()) waiter.settle();
}
