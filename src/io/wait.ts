/** A call of `ringloom/io` or `ringloom/dns` that may wait several times. */
import { abortedWait, timedOutWait, type WaitOptions } from "../task/wait-errors.js";
import { checkWait, unlessGivenUp } from "../task/wait-limits.js";

/** One call with an end: it may wait several times, and its time runs from the first. */
export class Wait {
  readonly #operation: string;
  readonly #signal: AbortSignal | undefined;
  /** 0 is never. */
  readonly #timeoutMs: number;
  readonly #endsAtMs: number;

  /** @throws TypeError, RangeError for options that are none; RingloomError `ERR_RINGLOOM_ABORTED` when the signal is aborted already. */
  constructor(operation: string, options: WaitOptions = {}) {
    checkWait(operation, options);
    const { signal, timeoutMs = 0 } = options;
    this.#operation = operation;
    this.#signal = signal;
    this.#timeoutMs = timeoutMs;
    this.#endsAtMs = timeoutMs === 0 ? Number.POSITIVE_INFINITY : performance.now() + timeoutMs;
  }

  /**
   * What `value` gives, unless the call ends before. Gives up the wait, not what is waited for.
   * @throws RingloomError `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`.
   */
  async for<Value>(value: Promise<Value>): Promise<Value> {
    // Where the call has ended already, nobody hears of it any more: its failure must not end the process.
    value.catch(ignore);
    const options = this.remaining();
    if (options.signal === undefined && options.timeoutMs === undefined) return value;
    return unlessGivenUp(value, options, { operation: this.#operation, wholeMs: this.#timeoutMs });
  }

  /** Throws when the call's end has come. */
  check(): void {
    if (this.#signal?.aborted === true) throw abortedWait(this.#operation, this.#signal.reason);
    if (performance.now() >= this.#endsAtMs) throw timedOutWait(this.#operation, this.#timeoutMs);
  }

  /** What is left of it, to hand to a call below. */
  remaining(): WaitOptions {
    this.check();
    return { signal: this.#signal, timeoutMs: this.#remainingMs() };
  }

  /** Undefined without a limit; never 0, which would be none. */
  #remainingMs(): number | undefined {
    if (this.#endsAtMs === Number.POSITIVE_INFINITY) return undefined;
    return Math.max(1, this.#endsAtMs - performance.now());
  }
}

function ignore(): void {}
