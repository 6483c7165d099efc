/** Condition variables: waiting, with a mutex given back meanwhile, until somebody says that something has changed. */
import { invalidArgument, type WaitingOptions, type WaitOptions } from "../task/wait-errors.js";
import { checkedForm } from "../task/wait-limits.js";
import { WaitList } from "../task/wait-list.js";
import { checkHeld, type Guard } from "./guard.js";
import { Mutex } from "./mutex.js";

/**
 * Makes a condition variable for a mutex.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`.
 * @example
 * ```ts run
 * import { condvar, mutex, withGroup } from "ringloom/sync";
 * const lock = mutex();
 * const changed = condvar(lock);
 * let stock = 0;
 * await withGroup(async (group) => {
 *   group.spawn(async () => {
 *     let guard = await lock.lock();
 *     guard = await changed.waitUntil(guard, () => stock > 0);
 *     console.log(stock); // 3
 *     guard.release();
 *   });
 *   await lock.with(() => {
 *     stock = 3;
 *     changed.notifyOne();
 *   });
 * });
 * ```
 * @experimental
 */
export function condvar(mutex: Mutex, options: WaitingOptions = {}): Condvar {
  return new Condvar(mutex, options);
}

/**
 * A condition variable. Made by {@link condvar}.
 * @experimental
 */
export class Condvar {
  readonly #mutex: Mutex;
  readonly #waiting: WaitList<void>;

  /** @internal */
  constructor(mutex: Mutex, options: WaitingOptions) {
    if (!(mutex instanceof Mutex)) throw invalidArgument("make a condition variable", "it needs a mutex");
    const { waitingMax } = checkedForm("make a condition variable", options, ["waitingMax"]);
    this.#mutex = mutex;
    this.#waiting = new WaitList("wait", { waitingMax });
  }

  /**
   * Releases the mutex, waits to be notified and locks it again. Look at the condition again then, or use {@link Condvar.waitUntil}: somebody else may have had the lock in between.
   * @returns The new guard; the one that was given is released.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_STALE_HANDLE` if the guard was released already; `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_OVERLOADED`: then the mutex is not held.
   */
  async wait(guard: Guard, options?: WaitOptions): Promise<Guard> {
    checkHeld(guard, "wait");
    const refused = options === undefined ? undefined : this.#waiting.refusal(options);
    if (refused !== undefined) {
      guard.release();
      throw refused;
    }
    const notified = this.#waiting.wait(undefined, options);
    guard.release();
    await notified;
    return this.#mutex.lock(options?.signal === undefined ? undefined : { signal: options.signal });
  }

  /** Waits until a condition holds, which is looked at with the mutex held. The `timeoutMs` of the options is for each wait. */
  async waitUntil(guard: Guard, condition: () => boolean, options?: WaitOptions): Promise<Guard> {
    checkHeld(guard, "wait");
    let held = guard;
    while (!holds(condition, held)) held = await this.wait(held, options);
    return held;
  }

  /** Wakes the one that has waited longest. */
  notifyOne(): void {
    this.#waiting.take()?.settle();
  }

  /** Wakes all that wait now. */
  notifyAll(): void {
    const count = this.#waiting.length;
    for (let n = 0; n < count; n++) this.notifyOne();
  }
}

/** A condition that throws must not leave the mutex locked: its guard is with nobody then. */
function holds(condition: () => boolean, guard: Guard): boolean {
  try {
    return condition();
  } catch (error) {
    guard.release();
    throw error;
  }
}
