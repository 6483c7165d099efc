/** Watched values: those that watch want the newest one, and do not care about what was in between. */
import { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";
import type { Started } from "../task/started.js";
import { completedWith } from "../task/turn-budget.js";
import { closedError, type WaitingOptions, type WaitOptions } from "../task/wait-errors.js";
import { checkedForm } from "../task/wait-limits.js";
import { WaitList } from "../task/wait-list.js";
import { iterationOf } from "./iteration.js";

/**
 * Makes a watched value.
 * @example
 * ```ts run
 * import { watch } from "ringloom/sync";
 * const level = watch("info");
 * const watcher = level.subscribe();
 * level.set("debug");
 * level.set("trace");
 * console.log(await watcher.recv()); // trace
 * ```
 * @experimental
 */
export function watch<Value>(value: Value, options: WaitingOptions = {}): Watch<Value> {
  return new Watch(value, options);
}

/** What all that watch share. */
interface Shared<Value> {
  value: Value;
  /** Counts the changes. */
  version: number;
  isClosed: boolean;
  cause: unknown;
  readonly waiting: WaitList<Received<Value>, Ask<Value>>;
}

/** Who waits, and whether for the result of an iteration's step. */
interface Ask<Value> {
  readonly watcher: Watcher<Value>;
  readonly asResult: boolean;
}

type Received<Value> = Value | IteratorResult<Value, undefined>;

/**
 * A value that others watch. Made by {@link watch}; `using` closes it.
 * @experimental
 */
export class Watch<Value> implements Disposable {
  readonly #shared: Shared<Value>;

  /** @internal */
  constructor(value: Value, options: WaitingOptions) {
    const { waitingMax } = checkedForm("make a watch", options, ["waitingMax"]);
    this.#shared = {
      value,
      version: 0,
      isClosed: false,
      cause: undefined,
      waiting: new WaitList("receive", { waitingMax }),
    };
  }

  /** The newest value. */
  get value(): Value {
    return this.#shared.value;
  }

  /** Changes the value. Throws RingloomError `ERR_RINGLOOM_CLOSED`. */
  set(value: Value): void {
    const shared = this.#shared;
    if (shared.isClosed) throw closedError("set", "watched value", shared.cause);
    shared.value = value;
    shared.version += 1;
    wakeAll(shared);
  }

  /** A watcher that has seen the value as it is now. */
  subscribe(): Watcher<Value> {
    return new Watcher(this.#shared);
  }

  /** There will be no change any more: watchers are told so when they have seen the last one. With a `cause` by an error, in iterations too. */
  close(cause?: unknown): boolean {
    const shared = this.#shared;
    if (shared.isClosed) return false;
    shared.isClosed = true;
    shared.cause = cause;
    wakeAll(shared);
    return true;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * One that watches. Made by {@link Watch.subscribe}. As a branch of `select` it gives the changed value.
 * @experimental
 */
export class Watcher<Value> implements Selectable<Value>, AsyncIterable<Value, undefined> {
  readonly #shared: Shared<Value>;
  #seen: number;

  /** @internal */
  constructor(shared: Shared<Value>) {
    this.#shared = shared;
    this.#seen = shared.version;
  }

  /** The newest value, which counts as seen. */
  get value(): Value {
    this.#seen = this.#shared.version;
    return this.#shared.value;
  }

  /** Whether it has changed since this watcher has seen it. */
  get hasChanged(): boolean {
    return this.#seen !== this.#shared.version;
  }

  /**
   * Waits until the value is another one than this watcher has seen.
   * @returns The newest value.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_CLOSED` when it will not change any more, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_OVERLOADED`.
   */
  recv(options?: WaitOptions): Started<Value> {
    // The casts are safe because the ask says what is wanted.
    return this.#receive(false, options) as Promise<Value>;
  }

  /** Waits as a step of an iteration: when there will be no change any more the result is `done`. */
  next(options?: WaitOptions): Started<IteratorResult<Value, undefined>> {
    return this.#receive(true, options) as Promise<IteratorResult<Value, undefined>>;
  }

  /** Iterates over the changes; what changed while the loop was busy is seen once, as it is then. The options are those of each wait. */
  values(options?: WaitOptions): AsyncIterableIterator<Value, undefined> {
    return iterationOf(this, options);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Value, undefined> {
    return this.values();
  }

  [selectable](branch: SelectWaiter<Value>): (() => void) | undefined {
    const { waiting, isClosed, cause } = this.#shared;
    const ask = { watcher: this, asResult: false };
    if (!this.hasChanged && !isClosed) return waiting.join(ask, branch as SelectWaiter<Received<Value>>);
    if (!branch.claim()) return undefined;
    if (this.hasChanged) branch.resolve(this.value);
    else branch.reject(closedError("receive", "watched value", cause));
    return undefined;
  }

  #receive(asResult: boolean, options: WaitOptions | undefined): Promise<Received<Value>> {
    const { waiting, isClosed, cause } = this.#shared;
    const refused = options === undefined ? undefined : waiting.refusal(options);
    if (refused !== undefined) return Promise.reject(refused);
    if (this.hasChanged) return completedWith(asResult ? { done: false, value: this.value } : this.value);
    if (!isClosed) return waiting.wait({ watcher: this, asResult }, options);
    if (asResult && cause === undefined) return Promise.resolve({ done: true, value: undefined });
    return Promise.reject(closedError("receive", "watched value", cause));
  }
}

/** The value has changed, or will not any more. */
function wakeAll<Value>({ waiting, isClosed, cause }: Shared<Value>): void {
  for (let waiter = waiting.take(); waiter !== undefined; waiter = waiting.take()) {
    const { watcher, asResult } = waiter.ask;
    if (!isClosed) {
      const { value } = watcher;
      waiter.settle(asResult ? { done: false, value } : value);
    } else if (asResult && cause === undefined) waiter.settle({ done: true, value: undefined });
    else waiter.fail(closedError("receive", "watched value", cause));
  }
}
