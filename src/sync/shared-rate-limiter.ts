/** A rate limit that all threads of a server count together. How it works: `src/shared/rate-table.ts`. */
import { hash, randomInt } from "node:crypto";
import { monotonicMs } from "../observe/monotonic.js";
import { rejectUnknownOptions } from "../runtime/option.js";
import { GATHERING_THREADS_MAX } from "../shared/gathering.js";
import { BURST_MAX, PERMIT_TICKS, type RateShape, RateTable } from "../shared/rate-table.js";
import type { Words } from "../shared/words.js";
import { invalidArgument } from "../task/wait-errors.js";
import { checkInteger, openShared } from "./shared-open.js";

const OPERATION = "sharedRateLimiter";
const KEYS_MAX = 1 << 22;

/**
 * What {@link sharedRateLimiter} allows.
 * @experimental
 */
export interface RateLimiterOptions {
  /** Permits that a key gets in each window. 1 to 16,777,216. */
  readonly limit: number;
  /** In milliseconds, at least 1. Permits come back one by one, a `limit`th of the window apart, not all at its end. */
  readonly windowMs: number;
  /** Permits that a key which was idle can take at once. Default: `limit`. */
  readonly burst?: number;
  /** Keys that can be in use at once; rounded up to a power of two, 8 bytes each. Default 65,536. */
  readonly keysMax?: number;
}

/**
 * What {@link SharedRateLimiter.take} says.
 * @experimental
 */
export interface RateLimitVerdict {
  readonly isAllowed: boolean;
  /** Permits that the key could take right now. */
  readonly remaining: number;
  /** When what was asked for can be had, in milliseconds from now; 0 when it was. */
  readonly retryAfterMs: number;
  /** When the key has its whole burst again, in milliseconds from now. */
  readonly resetMs: number;
}

/**
 * Opens the rate limiter of that name, the same for all shards of the server and the threads that run its tasks. The first call of a thread waits for the main thread to answer: make it at the module's top level.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`, also when it exists with other options; otherwise as `sharedMutex`.
 * @example
 * ```ts run
 * import { sharedRateLimiter } from "ringloom/sync";
 * const logins = sharedRateLimiter("logins", { limit: 5, windowMs: 60_000 });
 * if (!logins.take("ada").isAllowed) throw new Error("too often");
 * ```
 * @experimental
 */
export function sharedRateLimiter(name: string, options: RateLimiterOptions): SharedRateLimiter {
  rejectUnknownOptions(options, ["limit", "windowMs", "burst", "keysMax"]);
  const { limit, windowMs, burst = limit, keysMax = 65_536 } = options;
  checkInteger(OPERATION, "limit", limit, [1, BURST_MAX]);
  checkInteger(OPERATION, "burst", burst, [1, BURST_MAX]);
  checkInteger(OPERATION, "keysMax", keysMax, [1, KEYS_MAX]);
  if (!(Number.isFinite(windowMs) && windowMs >= 1))
    throw invalidArgument(OPERATION, `windowMs is ${windowMs}, not a time of at least 1 ms`);
  const keys = 2 ** Math.ceil(Math.log2(Math.max(4, keysMax)));
  const shape: RateShape = { base: 0, threads: GATHERING_THREADS_MAX, keys, burst, intervalMs: windowMs / limit };
  const structure = { kind: "rates", shape, extraBytes: 0 } as const;
  return openShared(
    { operation: OPERATION, name, structure, waitingMax: 0 },
    ({ words }) => new SharedRateLimiter(name, words, shape),
  );
}

/**
 * A rate limit for all threads; see {@link sharedRateLimiter}. It never waits.
 * @experimental
 */
export class SharedRateLimiter {
  readonly name: string;
  /** Permits that a key which was idle can take at once. */
  readonly burst: number;
  readonly #table: RateTable;
  readonly #tickMs: number;
  /** Goes into every hash, so that nobody can make keys that share a slot. */
  readonly #seed: string;
  #uncounted = 0;

  /** @internal */
  constructor(name: string, words: Words, shape: RateShape) {
    this.name = name;
    this.burst = shape.burst;
    const tickMs = shape.intervalMs / PERMIT_TICKS;
    this.#tickMs = tickMs;
    // Modulo 2^32, which the table's words are; the quotient of a long uptime and a short tick is still exact to a tick.
    this.#table = new RateTable(words, shape, () => Math.floor(monotonicMs() / tickMs) % 0x1_0000_0000);
    this.#seed = this.#table.seed(randomInt(1, 0x7fff_ffff)).toString(36);
  }

  /** How often this thread allowed something uncounted, because the keys in use did not leave room for one more. */
  get uncountedCount(): number {
    return this.#uncounted;
  }

  /**
   * Takes permits of a key, or none of them.
   * @param permits From 0 to the burst: no wait would be long enough for more. Default 1.
   * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` for more permits than the burst, or for what is no number of permits.
   */
  take(key: string, permits = 1): RateLimitVerdict {
    checkInteger("take permits", "permits", permits, [0, this.burst]);
    const digest = hash("sha1", `${this.#seed} ${key}`, "buffer");
    const verdict = this.#table.take(digest.readInt32LE(0), digest.readInt32LE(4), permits);
    if (!verdict.isCounted) this.#uncounted += 1;
    return {
      isAllowed: verdict.isAllowed,
      remaining: verdict.remaining,
      retryAfterMs: verdict.waitTicks * this.#tickMs,
      resetMs: verdict.resetTicks * this.#tickMs,
    };
  }
}
