/** A call that waits for a place in its group. Its own signal and its own time, which counts from the call, end that at once. */
import { onAbort } from "./abort-listeners.js";
import type { TaskOptions } from "./call-options.js";
import { aborted, timedOut } from "./task-errors.js";

/** What ends the wait of one call. */
export type CallLimits = Pick<TaskOptions, "signal" | "timeoutMs">;

/** See the top of the file. Its signal is not aborted yet. */
export class WaitingCall {
  /** The outcome of the call. */
  readonly outcome: Promise<unknown>;
  readonly #start: (timeoutMs: number) => Promise<unknown>;
  readonly #timeoutMs: number;
  readonly #endMs: number;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #stopListening: (() => void) | undefined;
  #resolve: (value: unknown) => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;

  /**
   * @param start Makes the call, with the time that is left for it, 0 for any.
   * @param left Called when its signal or its time has ended the wait, just before the outcome is there.
   */
  constructor(
    start: (timeoutMs: number) => Promise<unknown>,
    { signal, timeoutMs = 0 }: CallLimits,
    left: (call: WaitingCall) => void,
  ) {
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#start = start;
    this.#timeoutMs = timeoutMs;
    this.#endMs = performance.now() + timeoutMs;
    const giveUp = (error: unknown): void => {
      left(this);
      this.giveUp(error);
    };
    if (timeoutMs > 0) this.#timer = setTimeout(() => giveUp(timedOut(timeoutMs)), timeoutMs);
    if (signal !== undefined) this.#stopListening = onAbort(signal, () => giveUp(aborted(signal.reason)));
  }

  /** There is a place. */
  begin(): void {
    this.#stopWatching();
    // The timer may be late, and 0 is for ever.
    const leftMs = this.#timeoutMs === 0 ? 0 : Math.max(1, this.#endMs - performance.now());
    this.#start(leftMs).then(this.#resolve, this.#reject);
  }

  /** There will be none. */
  giveUp(error: unknown): void {
    this.#stopWatching();
    this.#reject(error);
  }

  #stopWatching(): void {
    clearTimeout(this.#timer);
    this.#stopListening?.();
  }
}
