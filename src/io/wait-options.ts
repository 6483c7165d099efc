/** How long a call may wait, in the words that all calls of `ringloom/io` and `ringloom/dns` share. */
import { RingloomError } from "../errors.js";
import { within } from "../keyed/within.js";

/**
 * When a call that waits gives up.
 * @experimental
 */
export interface WaitOptions {
  /** Gives the call up: `ERR_RINGLOOM_ABORTED`. */
  readonly signal?: AbortSignal | undefined;
  /** The time that the whole call may take, in milliseconds; 0, the default, is no limit. Then `ERR_RINGLOOM_TIMEOUT`. */
  readonly timeoutMs?: number | undefined;
}

/** One call with an end: it may wait several times, and its time runs from the first. */
export class Wait {
  readonly #operation: string;
  readonly #signal: AbortSignal | undefined;
  readonly #timeoutMs: number;
  readonly #endsAtMs: number;

  /** @throws RangeError for a time that is none. */
  constructor(operation: string, options: WaitOptions | undefined) {
    const timeoutMs = options?.timeoutMs ?? 0;
    if (!(timeoutMs >= 0)) throw new RangeError(`Cannot ${operation}: timeoutMs is ${String(timeoutMs)}`);
    this.#operation = operation;
    this.#signal = options?.signal;
    this.#timeoutMs = timeoutMs;
    this.#endsAtMs = timeoutMs === 0 ? 0 : performance.now() + timeoutMs;
  }

  /**
   * What `value` gives, unless the call ends before. Gives up the wait, not what is waited for.
   * @throws RingloomError `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`.
   */
  async for<Value>(value: Promise<Value>): Promise<Value> {
    this.check();
    if (this.#signal === undefined && this.#endsAtMs === 0) return value;
    return within(value, {
      signal: this.#signal,
      timeoutMs: this.#endsAtMs === 0 ? 0 : Math.max(1, this.#endsAtMs - performance.now()),
      timedOut: () => this.#timedOut(),
      aborted: (reason) => this.#aborted(reason),
    });
  }

  /** Throws when the call's end has come. */
  check(): void {
    if (this.#signal?.aborted === true) throw this.#aborted(this.#signal.reason);
    if (this.#endsAtMs !== 0 && performance.now() >= this.#endsAtMs) throw this.#timedOut();
  }

  /** What is left of it, to hand to a call below. */
  remaining(): WaitOptions {
    this.check();
    const timeoutMs = this.#endsAtMs === 0 ? 0 : Math.max(1, this.#endsAtMs - performance.now());
    return { signal: this.#signal, timeoutMs };
  }

  #timedOut(): RingloomError {
    const operation = this.#operation;
    return new RingloomError("ERR_RINGLOOM_TIMEOUT", `Cannot ${operation}: it took longer than ${this.#timeoutMs} ms`, {
      operation,
      details: { timeoutMs: this.#timeoutMs },
    });
  }

  #aborted(cause: unknown): RingloomError {
    const operation = this.#operation;
    return new RingloomError("ERR_RINGLOOM_ABORTED", `Cannot ${operation}: it was given up`, { operation, cause });
  }
}
