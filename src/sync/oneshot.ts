/** Channels for one value. */
import { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";
import type { Started } from "../task/started.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { Channel } from "./channel.js";

/**
 * Makes a channel for one value: an answer, for instance, that a request carries with it.
 * @example
 * ```ts run
 * import { oneshot } from "ringloom/sync";
 * const answer = oneshot<number>();
 * answer.send(42);
 * console.log(await answer.recv()); // 42
 * ```
 * @experimental
 */
export function oneshot<Value>(): Oneshot<Value> {
  return new Oneshot();
}

/**
 * A channel for one value, which one receiver gets. Made by {@link oneshot}. As a branch of `select` it gives the value.
 * @experimental
 */
export class Oneshot<Value> implements Selectable<Value>, Disposable {
  readonly #channel = new Channel<Value>(1, {});

  /** Whether nothing can be sent any more. */
  get isClosed(): boolean {
    return this.#channel.isClosed;
  }

  /**
   * Sends the value, without waiting.
   * @returns Whether it was the first, and nobody had closed it.
   */
  send(value: Value): boolean {
    if (this.#channel.isClosed) return false;
    this.#channel.trySend(value);
    return this.#channel.close();
  }

  /**
   * Waits for the value. It is received once.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_CLOSED` when there will be none, or it was received; `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`.
   */
  recv(options?: WaitOptions): Started<Value> {
    return this.#channel.recv(options);
  }

  /** The value if it is there, else undefined. */
  tryRecv(): Value | undefined {
    return this.#channel.tryRecv();
  }

  /** There will be no value, or nobody wants it: as {@link Channel.close}. */
  close(cause?: unknown): boolean {
    return this.#channel.close(cause);
  }

  [selectable](branch: SelectWaiter<Value>): (() => void) | undefined {
    return this.#channel[selectable](branch);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
