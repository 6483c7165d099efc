/**
 * Channels: values from one piece of code to another on the same thread, one way to wait for both sides.
 *
 * Modelled on Go's: an operation that can complete does so inside the call, and hands the value directly to the one that has waited longest. So there are never values in the buffer while a receiver waits, nor room in it
 * while a sender waits, and nobody who comes later gets ahead.
 */
import { RingloomError } from "../errors.js";
import { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";
import type { Started } from "../task/started.js";
import { completed, completedWith } from "../task/turn-budget.js";
import { closedError, invalidArgument, type WaitingOptions, type WaitOptions } from "../task/wait-errors.js";
import { checkedForm } from "../task/wait-limits.js";
import { type Waiter, WaitList } from "../task/wait-list.js";
import { iterationOf } from "./iteration.js";
import { RingBuffer } from "./ring-buffer.js";

/**
 * How a channel behaves.
 * @experimental
 */
export interface ChannelOptions extends WaitingOptions {
  /**
   * What `send` does when the channel is full: waits for room, or fails at once with `ERR_RINGLOOM_OVERLOADED`. With `"fail"` and a large capacity it is what others call unbounded, with a cap. Default `"wait"`.
   */
  readonly whenFull?: "wait" | "fail";
}

/**
 * Makes a channel that holds `capacity` values nobody has received yet. With 0 a send completes when a receiver has taken the value.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`.
 * @example
 * ```ts run
 * import { channel, withGroup } from "ringloom/sync";
 * const squares = channel<number>(4);
 * await withGroup(async (group) => {
 *   group.spawn(async () => {
 *     for (let n = 1; n <= 3; n++) await squares.send(n * n);
 *     squares.close();
 *   });
 *   for await (const square of squares) console.log(square); // 1, 4, 9
 * });
 * ```
 * @experimental
 */
export function channel<Value>(capacity = 0, options: ChannelOptions = {}): Channel<Value> {
  return new Channel(capacity, options);
}

/**
 * What a channel is to those that receive. As a branch of `select` it gives the next value.
 * @experimental
 */
export interface Receiver<Value> extends Selectable<Value>, AsyncIterable<Value, undefined> {
  /**
   * Receives a value: the oldest one, which nobody else gets.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_CLOSED` when the channel is closed and empty, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_OVERLOADED` when too many wait.
   */
  recv(options?: WaitOptions): Started<Value>;
  /** Receives a value that is there already, else undefined. */
  tryRecv(): Value | undefined;
  /** Receives as a step of an iteration: after the last value of a closed channel the result is `done`. */
  next(options?: WaitOptions): Started<IteratorResult<Value, undefined>>;
  /** For `select`: the same as a branch. */
  receiving(): Selectable<IteratorResult<Value, undefined>>;
  /** Iterates over what is received until the channel is closed and empty. Leaving the loop does not close it. The options are those of each wait. */
  values(options?: WaitOptions): AsyncIterableIterator<Value, undefined>;
}

/**
 * What a channel is to those that send.
 * @experimental
 */
export interface Sender<Value> {
  /**
   * Sends a value: resolves when it is in the buffer, or with the receiver.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_CLOSED`, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_OVERLOADED` when too many wait. The value was not sent then.
   */
  send(value: Value, options?: WaitOptions): Started<void>;
  /** Sends a value if that needs no waiting. Throws RingloomError `ERR_RINGLOOM_CLOSED`. */
  trySend(value: Value): boolean;
  /** For `select`: sends the value if this branch wins. */
  sending(value: Value): Selectable<void>;
  /**
   * Closes the channel: sends fail from now on, also those that wait; receivers get what is in the buffer, then they are told the end. With a `cause` they are told by an error, in iterations too, so that a failure travels
   * down a chain of channels. Closing again does nothing.
   * @returns Whether it was open.
   */
  close(cause?: unknown): boolean;
}

type Received<Value> = Value | IteratorResult<Value, undefined>;

/**
 * A channel, for any number of senders and receivers. Made by {@link channel}; `using` closes it.
 * @experimental
 */
export class Channel<Value> implements Sender<Value>, Receiver<Value>, Disposable {
  /** Values that it holds before it is full. */
  readonly capacity: number;
  readonly #failsWhenFull: boolean;
  readonly #buffer = new RingBuffer<Value>();
  /** The ask: whether it is to get the result of an iteration's step. */
  readonly #receivers: WaitList<Received<Value>, boolean>;
  /** The ask: what it sends. */
  readonly #senders: WaitList<void, Value>;
  #isClosed = false;
  #cause: unknown;

  /** @internal */
  constructor(capacity: number, options: ChannelOptions) {
    const { whenFull, waitingMax } = checkedForm("make a channel", options, ["whenFull", "waitingMax"]);
    if (!Number.isInteger(capacity) || capacity < 0) {
      throw invalidArgument(
        "make a channel",
        "its capacity must be an integer from 0; for one without a bound name one",
      );
    }
    if (whenFull !== undefined && whenFull !== "wait" && whenFull !== "fail") {
      throw invalidArgument("make a channel", 'whenFull must be "wait" or "fail"');
    }
    this.capacity = capacity;
    this.#failsWhenFull = whenFull === "fail";
    this.#receivers = new WaitList("receive", { waitingMax });
    this.#senders = new WaitList("send", { waitingMax });
  }

  /** Values that it holds now. */
  get length(): number {
    return this.#buffer.length;
  }

  /** Whether it was closed. There may be values left to receive. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  send(value: Value, options?: WaitOptions): Started<void> {
    if (options !== undefined) {
      const refused = this.#senders.refusal(options);
      if (refused !== undefined) return Promise.reject(refused);
    }
    if (this.#isClosed) return Promise.reject(this.#closed("send"));
    if (this.#canPut(undefined)) {
      this.#put(value);
      return completed();
    }
    return this.#failsWhenFull ? Promise.reject(this.#full()) : this.#senders.wait(value, options);
  }

  trySend(value: Value): boolean {
    if (this.#isClosed) throw this.#closed("send");
    if (!this.#canPut(undefined)) return false;
    this.#put(value);
    return true;
  }

  sending(value: Value): Selectable<void> {
    return { [selectable]: (branch) => this.#sendAsBranch(value, branch) };
  }

  recv(options?: WaitOptions): Started<Value> {
    if (options !== undefined) {
      const refused = this.#receivers.refusal(options);
      if (refused !== undefined) return Promise.reject(refused);
    }
    if (this.#canTake(undefined)) return completedWith(this.#take());
    if (this.#isClosed) return Promise.reject(this.#closed("receive"));
    // The cast is safe because false asks for the value itself.
    return this.#receivers.wait(false, options) as Promise<Value>;
  }

  tryRecv(): Value | undefined {
    return this.#canTake(undefined) ? this.#take() : undefined;
  }

  next(options?: WaitOptions): Started<IteratorResult<Value, undefined>> {
    if (options !== undefined) {
      const refused = this.#receivers.refusal(options);
      if (refused !== undefined) return Promise.reject(refused);
    }
    if (this.#canTake(undefined)) return completedWith({ done: false, value: this.#take() });
    if (this.#isClosed)
      return this.#cause === undefined ? Promise.resolve(end()) : Promise.reject(this.#closed("receive"));
    // The cast is safe because true asks for the result of a step.
    return this.#receivers.wait(true, options) as Promise<IteratorResult<Value, undefined>>;
  }

  receiving(): Selectable<IteratorResult<Value, undefined>> {
    return {
      [selectable]: (branch) => {
        if (!this.#isClosed || this.#canTake(undefined) || this.#cause !== undefined) {
          return this.#receiveAsBranch(true, branch as SelectWaiter<Received<Value>>);
        }
        if (branch.claim()) branch.resolve(end());
        return undefined;
      },
    };
  }

  [selectable](branch: SelectWaiter<Value>): (() => void) | undefined {
    return this.#receiveAsBranch(false, branch as SelectWaiter<Received<Value>>);
  }

  values(options?: WaitOptions): AsyncIterableIterator<Value, undefined> {
    return iterationOf(this, options);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Value, undefined> {
    return this.values();
  }

  close(cause?: unknown): boolean {
    if (this.#isClosed) return false;
    this.#isClosed = true;
    this.#cause = cause;
    this.#senders.failAll(() => this.#closed("send"));
    // Those that wait have found the buffer empty.
    for (let waiter = this.#receivers.take(); waiter !== undefined; waiter = this.#receivers.take()) {
      if (waiter.ask && cause === undefined) waiter.settle(end());
      else waiter.fail(this.#closed("receive"));
    }
    return true;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #canPut(selection: object | undefined): boolean {
    return this.#buffer.length < this.capacity || this.#receivers.hasOther(selection);
  }

  /** After {@link Channel.#canPut}. */
  #put(value: Value, selection?: object): void {
    const receiver = this.#receivers.take(selection);
    if (receiver === undefined) this.#buffer.push(value);
    else deliver(receiver, value);
  }

  #canTake(selection: object | undefined): boolean {
    return this.#buffer.length > 0 || this.#senders.hasOther(selection);
  }

  /** After {@link Channel.#canTake}. */
  #take(selection?: object): Value {
    const sender = this.#senders.take(selection);
    // The cast is safe because one of the two has a value.
    if (this.#buffer.length === 0) return this.#handOver(sender as Waiter<void, Value>);
    const value = this.#buffer.shift() as Value;
    if (sender !== undefined) this.#buffer.push(this.#handOver(sender));
    return value;
  }

  #handOver(sender: Waiter<void, Value>): Value {
    sender.settle();
    return sender.ask;
  }

  #sendAsBranch(value: Value, branch: SelectWaiter<void>): (() => void) | undefined {
    const { selection } = branch;
    if (!this.#isClosed && !this.#canPut(selection) && !this.#failsWhenFull) return this.#senders.join(value, branch);
    if (!branch.claim()) return undefined;
    if (this.#isClosed) branch.reject(this.#closed("send"));
    else if (!this.#canPut(selection)) branch.reject(this.#full());
    else {
      this.#put(value, selection);
      branch.resolve();
    }
    return undefined;
  }

  #receiveAsBranch(asResult: boolean, branch: SelectWaiter<Received<Value>>): (() => void) | undefined {
    const { selection } = branch;
    const canTake = this.#canTake(selection);
    if (!canTake && !this.#isClosed) return this.#receivers.join(asResult, branch);
    if (!branch.claim()) return undefined;
    if (!canTake) branch.reject(this.#closed("receive"));
    else {
      const value = this.#take(selection);
      branch.resolve(asResult ? { done: false, value } : value);
    }
    return undefined;
  }

  #closed(operation: string): RingloomError {
    return closedError(operation, "channel", this.#cause);
  }

  #full(): RingloomError {
    return new RingloomError("ERR_RINGLOOM_OVERLOADED", `Cannot send: the channel holds ${this.capacity} values.`, {
      operation: "send",
      details: { capacity: this.capacity },
    });
  }
}

function deliver<Value>(receiver: Waiter<Received<Value>, boolean>, value: Value): void {
  receiver.settle(receiver.ask ? { done: false, value } : value);
}

function end(): IteratorReturnResult<undefined> {
  return { done: true, value: undefined };
}
