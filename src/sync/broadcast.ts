/**
 * Broadcasts: each subscriber receives each value.
 *
 * Modelled on Tokio's: the sender never waits. The last values are kept in a ring that all subscribers share, each of which has a place of its own in it; one that is slower than the ring is long has lost values, and is told how many.
 */
import { RingloomError } from "../errors.js";
import { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";
import type { Started } from "../task/started.js";
import { completedWith } from "../task/turn-budget.js";
import { closedError, invalidArgument, type WaitingOptions, type WaitOptions } from "../task/wait-errors.js";
import { checkedForm } from "../task/wait-limits.js";
import { WaitList } from "../task/wait-list.js";
import { iterationOf } from "./iteration.js";

/**
 * Makes a broadcast that keeps the last `capacity` values for those that have not received them.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`.
 * @example
 * ```ts run
 * import { broadcast } from "ringloom/sync";
 * const prices = broadcast<number>(16);
 * const [left, right] = [prices.subscribe(), prices.subscribe()];
 * prices.send(42);
 * console.log(await left.recv(), await right.recv()); // 42 42
 * ```
 * @experimental
 */
export function broadcast<Value>(capacity: number, options: WaitingOptions = {}): Broadcast<Value> {
  return new Broadcast(capacity, options);
}

/**
 * How a subscriber is treated.
 * @experimental
 */
export interface SubscribeOptions {
  /**
   * What happens when it has lost values: the next receive fails with `ERR_RINGLOOM_LAGGED`, whose `details.lost` says how many, and the one after goes on with the oldest value that is left; or it goes on at once. {@link Subscription.lost} counts in both cases. Default `"fail"`.
   */
  readonly whenLagging?: "fail" | "skip";
}

/** What all subscribers share. Only `send` and `close` change it. */
interface Shared<Value> {
  readonly capacity: number;
  /** Value number n is at n modulo the capacity. */
  readonly values: (Value | undefined)[];
  /** Values sent so far. */
  sent: number;
  isClosed: boolean;
  cause: unknown;
  /** Told of each value and of the end: those that wait. */
  readonly hearers: Set<() => void>;
  readonly waitingMax: number | undefined;
}

/**
 * The sending side of a broadcast. Made by {@link broadcast}; `using` closes it.
 * @experimental
 */
export class Broadcast<Value> implements Disposable {
  readonly #shared: Shared<Value>;

  /** @internal */
  constructor(capacity: number, options: WaitingOptions) {
    const { waitingMax } = checkedForm("make a broadcast", options, ["waitingMax"]);
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw invalidArgument("make a broadcast", "its capacity must be an integer from 1");
    }
    this.#shared = { capacity, values: [], sent: 0, isClosed: false, cause: undefined, hearers: new Set(), waitingMax };
  }

  /** Subscribes to what is sent from now on. What is not received any more costs nothing: there is no need to unsubscribe. */
  subscribe(options: SubscribeOptions = {}): Subscription<Value> {
    return new Subscription(this.#shared, options);
  }

  /** Sends a value to all subscribers, without waiting. Throws RingloomError `ERR_RINGLOOM_CLOSED`. */
  send(value: Value): void {
    const shared = this.#shared;
    if (shared.isClosed) throw closedError("send", "broadcast", shared.cause);
    shared.values[shared.sent % shared.capacity] = value;
    shared.sent += 1;
    for (const hear of shared.hearers) hear();
  }

  /** Subscribers get what is left, then they are told the end: by an error in iterations too, if there is a `cause`. Closing again does nothing. */
  close(cause?: unknown): boolean {
    const shared = this.#shared;
    if (shared.isClosed) return false;
    shared.isClosed = true;
    shared.cause = cause;
    for (const hear of shared.hearers) hear();
    return true;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

type Received<Value> = Value | IteratorResult<Value, undefined>;

/**
 * The receiving side of a broadcast: what one subscriber has not received yet. Made by {@link Broadcast.subscribe}. As a branch of `select` it gives the next value.
 * @experimental
 */
export class Subscription<Value> implements Selectable<Value>, AsyncIterable<Value, undefined> {
  readonly #shared: Shared<Value>;
  readonly #failsWhenLagging: boolean;
  /** The ask: whether it is to get the result of an iteration's step. */
  readonly #waiting: WaitList<Received<Value>, boolean>;
  /** The number of the value that is received next. */
  #next: number;
  #lost = 0;
  /** Of those, the ones that the next receive tells. */
  #lostUntold = 0;

  /** @internal */
  constructor(shared: Shared<Value>, options: SubscribeOptions) {
    const { whenLagging } = checkedForm("subscribe", options, ["whenLagging"]);
    if (whenLagging !== undefined && whenLagging !== "fail" && whenLagging !== "skip") {
      throw invalidArgument("subscribe", 'whenLagging must be "fail" or "skip"');
    }
    this.#shared = shared;
    this.#failsWhenLagging = whenLagging !== "skip";
    this.#next = shared.sent;
    this.#waiting = new WaitList("receive", {
      waitingMax: shared.waitingMax,
      whenLeft: () => this.#serve(),
    });
  }

  /** Values that it has lost so far because it was too slow. */
  get lost(): number {
    this.#catchUp();
    return this.#lost;
  }

  /**
   * Receives the next value.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_LAGGED` as {@link SubscribeOptions} say, `ERR_RINGLOOM_CLOSED` when the broadcast is closed and all was received, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_OVERLOADED`.
   */
  recv(options?: WaitOptions): Started<Value> {
    // The casts are safe because false asks for the value itself, and true for the result of a step.
    return this.#receive(false, options) as Promise<Value>;
  }

  /** Receives a value that is there already, else undefined. Throws RingloomError `ERR_RINGLOOM_LAGGED`. */
  tryRecv(): Value | undefined {
    this.#catchUp();
    if (this.#lostUntold === 0 && this.#next === this.#shared.sent) return undefined;
    return this.#take(false) as Value;
  }

  /** Receives as a step of an iteration: when the broadcast is closed and all was received the result is `done`. */
  next(options?: WaitOptions): Started<IteratorResult<Value, undefined>> {
    return this.#receive(true, options) as Promise<IteratorResult<Value, undefined>>;
  }

  /** Iterates over what is received. The options are those of each wait. */
  values(options?: WaitOptions): AsyncIterableIterator<Value, undefined> {
    return iterationOf(this, options);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Value, undefined> {
    return this.values();
  }

  [selectable](branch: SelectWaiter<Value>): (() => void) | undefined {
    if (!this.#isReady()) {
      this.#shared.hearers.add(this.#serve);
      return this.#waiting.join(false, branch as SelectWaiter<Received<Value>>);
    }
    if (!branch.claim()) return undefined;
    try {
      branch.resolve(this.#take(false) as Value);
    } catch (error) {
      branch.reject(error);
    }
    return undefined;
  }

  #receive(asResult: boolean, options: WaitOptions | undefined): Promise<Received<Value>> {
    const refused = options === undefined ? undefined : this.#waiting.refusal(options);
    if (refused !== undefined) return Promise.reject(refused);
    if (!this.#isReady()) {
      this.#shared.hearers.add(this.#serve);
      return this.#waiting.wait(asResult, options);
    }
    try {
      return completedWith(this.#take(asResult));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Something was sent, or it is over, or one that waited has left. */
  readonly #serve = (): void => {
    while (this.#waiting.length > 0 && this.#isReady()) {
      const waiter = this.#waiting.takeFirst();
      if (waiter === undefined) continue;
      let received: Received<Value>;
      try {
        received = this.#take(waiter.ask);
      } catch (error) {
        waiter.fail(error);
        continue;
      }
      waiter.settle(received);
    }
    if (this.#waiting.length === 0) this.#shared.hearers.delete(this.#serve);
  };

  /** Goes on to the oldest value that is left. */
  #catchUp(): void {
    const { sent, capacity } = this.#shared;
    const lost = sent - capacity - this.#next;
    if (lost <= 0) return;
    this.#next += lost;
    this.#lost += lost;
    if (this.#failsWhenLagging) this.#lostUntold += lost;
  }

  #isReady(): boolean {
    this.#catchUp();
    return this.#lostUntold > 0 || this.#next < this.#shared.sent || this.#shared.isClosed;
  }

  /** After {@link Subscription.#isReady}. */
  #take(asResult: boolean): Received<Value> {
    const { values, capacity, sent, cause } = this.#shared;
    if (this.#lostUntold > 0) throw this.#lagged();
    if (this.#next === sent) {
      if (asResult && cause === undefined) return { done: true, value: undefined };
      throw closedError("receive", "broadcast", cause);
    }
    // The cast is safe because it has not been overwritten.
    const value = values[this.#next % capacity] as Value;
    this.#next += 1;
    return asResult ? { done: false, value } : value;
  }

  #lagged(): RingloomError {
    const lost = this.#lostUntold;
    this.#lostUntold = 0;
    return new RingloomError(
      "ERR_RINGLOOM_LAGGED",
      `Cannot receive: ${lost} values were lost, because others came faster.`,
      {
        operation: "receive",
        details: { lost },
      },
    );
  }
}
