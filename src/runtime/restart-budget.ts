/** How often shards may die before the server gives up, and how long each replacement waits. */

/** The options of a budget. */
export interface RestartBudgetOptions {
  /** Replacements within the window, of all shards together. */
  readonly restartsMax: number;
  readonly windowMs: number;
  /** What the second replacement within the window waits; each further one waits twice as long. The first waits not at all. */
  readonly backoffMs: number;
}

/** The longest that a replacement waits, in milliseconds. */
export const BACKOFF_MS_MAX = 5_000;

/** Counts replacements in a sliding window. */
export class RestartBudget {
  readonly #options: RestartBudgetOptions;
  #times: number[] = [];

  constructor(options: RestartBudgetOptions) {
    this.#options = options;
  }

  /** How many replacements the window holds. */
  get used(): number {
    return this.#times.length;
  }

  /** Takes one replacement: after how many milliseconds it may start, or undefined when the budget is spent. */
  take(nowMs: number): number | undefined {
    const { restartsMax, windowMs, backoffMs } = this.#options;
    this.#times = this.#times.filter((time) => nowMs - time < windowMs);
    if (this.#times.length >= restartsMax) return undefined;
    const before = this.#times.length;
    this.#times.push(nowMs);
    return before === 0 ? 0 : Math.min(backoffMs * 2 ** (before - 1), BACKOFF_MS_MAX);
  }
}
