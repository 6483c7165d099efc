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
  /** The time that the whole call may take, in milliseconds; no limit unless given, and with 0 it does not wait at all. Then `ERR_RINGLOOM_TIMEOUT`. */
  readonly timeoutMs?: number | undefined;
}

/** The longest time that a timer of Node's takes, in milliseconds. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

/** One call with an end: it may wait several times, and its time runs from the first. */
export class Wait {
  readonly #operation: string;
  readonly #signal: AbortSignal | undefined;
  readonly #timeoutMs: number | undefined;
  readonly #endsAtMs: number;

  /** @throws RangeError for a time that is none. */
  constructor(operation: string, options: WaitOptions | undefined) {
    const timeoutMs = options?.timeoutMs;
    if (timeoutMs !== undefined && !(timeoutMs >= 0))
      throw new RangeError(`Cannot ${operation}: timeoutMs is ${String(timeoutMs)}`);
    this.#operation = operation;
    this.#signal = options?.signal;
    this.#timeoutMs = timeoutMs;
    this.#endsAtMs = timeoutMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + timeoutMs;
  }

  /**
   * What `value` gives, unless the call ends before. Gives up the wait, not what is waited for.
   * @throws RingloomError `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`.
   */
  async for<Value>(value: Promise<Value>): Promise<Value> {
    this.check();
    const remainingMs = this.#remainingMs();
    if (this.#signal === undefined && remainingMs === undefined) return value;
    return within(value, {
      signal: this.#signal,
      // 0 is no limit there.
      timeoutMs: remainingMs ?? 0,
      timedOut: () => this.#timedOut(),
      aborted: (reason) => this.#aborted(reason),
    });
  }

  /** Throws when the call's end has come. */
  check(): void {
    if (this.#signal?.aborted === true) throw this.#aborted(this.#signal.reason);
    if (this.#endsAtMs !== Number.POSITIVE_INFINITY && performance.now() >= this.#endsAtMs) throw this.#timedOut();
  }

  /** What is left of it, to hand to a call below. */
  remaining(): WaitOptions {
    this.check();
    return { signal: this.#signal, timeoutMs: this.#remainingMs() };
  }

  /** Undefined without a limit. */
  #remainingMs(): number | undefined {
    if (this.#endsAtMs === Number.POSITIVE_INFINITY) return undefined;
    return Math.min(TIMEOUT_MS_MAX, Math.max(1, this.#endsAtMs - performance.now()));
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
