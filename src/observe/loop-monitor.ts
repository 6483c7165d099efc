/**
 * How busy a shard's event loop is. `performance.eventLoopUtilization` reads 1.0 on an idle shard, because the thread sleeps in the ring
 * where libuv does not see it; here the driver's own sleep counts as idle.
 *
 * Nothing is measured between two samples, so that a request costs nothing. Who takes them (`src/runtime/shard-sampler.ts`) takes fewer while the shard is
 * idle; a sample then counts for as much time as it stands for. The longest turn of the loop comes from the driver's hook, which misses none.
 */
import { performance } from "node:perf_hooks";
import type { Heart } from "./heartbeat.js";
import { monotonicMs } from "./monotonic.js";

/** How often a busy shard is sampled, in milliseconds. */
export const SAMPLE_MS = 50;
/** The long window, in milliseconds, and how many samples it holds. */
const WINDOW_MS = 10_000;
const SAMPLES = WINDOW_MS / SAMPLE_MS;
const SHORT_WINDOW_MS = 1_000;

/**
 * The event loop of one shard.
 * @experimental
 */
export interface LoopStats {
  /** Share of the last second in which the thread worked: it neither slept in the kernel nor watched for work (see `--spin`). 0 to 1. */
  readonly utilization1s: number;
  /** The same over ten seconds. */
  readonly utilization10s: number;
  /** Share of the last second in which the thread watched for work instead of sleeping. */
  readonly spinning1s: number;
  /**
   * By how much a timer came late within the last ten seconds, in milliseconds: the median, the 99th percentile, and the most that one can have been late,
   * the longest turn of the loop included.
   */
  readonly lagMsP50: number;
  readonly lagMsP99: number;
  readonly lagMsMax: number;
  /** Times that the watchdog found the loop blocked, since the start. */
  readonly blockedCount: number;
  /** The longest that it has been blocked, in milliseconds, as far as the watchdog saw. */
  readonly blockedMsMax: number;
}

/** Time that the driver's own waiting took since the start, in milliseconds. */
export interface WaitTimes {
  readonly asleepMs: number;
  readonly spinningMs: number;
}

/** What a {@link LoopMonitor} looks at. */
export interface LoopMonitorOptions {
  readonly heart: Pick<Heart, "blockages">;
  /** The driver's waiting so far. What libuv itself waits is added. */
  readonly waits: () => WaitTimes;
  /** The longest turn of the loop since the last call, in milliseconds; 0 where nobody knows. */
  readonly takeLongestTurnMs?: () => number;
  /** The clock, in milliseconds. */
  readonly nowMs?: () => number;
}

/** Samples the loop of the calling thread. */
export class LoopMonitor {
  readonly #options: LoopMonitorOptions;
  readonly #nowMs: () => number;
  /** Rings of the last samples; the newest is at `#count - 1` modulo their length. */
  readonly #times = new Float64Array(SAMPLES + 1);
  readonly #asleep = new Float64Array(SAMPLES + 1);
  readonly #spinning = new Float64Array(SAMPLES + 1);
  readonly #lags = new Float64Array(SAMPLES + 1);
  /** The time that a sample stands for: when it was meant to come after the one before. */
  readonly #spans = new Float64Array(SAMPLES + 1);
  readonly #turns = new Float64Array(SAMPLES + 1);
  #count = 0;

  constructor(options: LoopMonitorOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? monotonicMs;
  }

  /**
   * Takes one sample, which was meant to come `plannedMs` after the last one. Returns for how many milliseconds the thread has worked since then.
   * The first one only begins.
   */
  sample(plannedMs: number = SAMPLE_MS): number {
    const now = this.#nowMs();
    const { asleepMs, spinningMs } = this.#options.waits();
    const longestTurnMs = this.#options.takeLongestTurnMs?.() ?? 0;
    const isFirst = this.#count === 0;
    const at = this.#count % this.#times.length;
    const last = this.#at(this.#count - 1);
    const elapsed = isFirst ? 0 : now - (this.#times[last] ?? now);
    const waited = asleepMs + spinningMs - (this.#asleep[last] ?? 0) - (this.#spinning[last] ?? 0);
    this.#lags[at] = isFirst ? 0 : Math.max(0, elapsed - plannedMs);
    this.#spans[at] = isFirst ? 0 : plannedMs;
    // What came before the first sample was the start, and not a lag.
    this.#turns[at] = isFirst ? 0 : longestTurnMs;
    this.#times[at] = now;
    this.#asleep[at] = asleepMs;
    this.#spinning[at] = spinningMs;
    this.#count += 1;
    return isFirst ? 0 : Math.max(0, elapsed - waited);
  }

  stats(): LoopStats {
    const { count, msMax } = this.#options.heart.blockages;
    const short = this.#shares(SHORT_WINDOW_MS);
    return {
      utilization1s: short.busy,
      utilization10s: this.#shares(WINDOW_MS).busy,
      spinning1s: short.spinning,
      ...this.#lagStats(),
      blockedCount: count,
      blockedMsMax: msMax,
    };
  }

  #lagStats(): Pick<LoopStats, "lagMsP50" | "lagMsP99" | "lagMsMax"> {
    const newest = this.#times[this.#at(this.#count - 1)] ?? 0;
    const samples: number[] = [];
    let spanTotal = 0;
    let most = 0;
    for (let index = this.#count - 1; index >= Math.max(0, this.#count - this.#times.length); index--) {
      const at = this.#at(index);
      if (newest - (this.#times[at] ?? newest) > WINDOW_MS) break;
      samples.push(at);
      spanTotal += this.#spans[at] ?? 0;
      most = Math.max(most, this.#lags[at] ?? 0, this.#turns[at] ?? 0);
    }
    samples.sort((left, right) => (this.#lags[left] ?? 0) - (this.#lags[right] ?? 0));
    return {
      lagMsP50: hundredths(this.#lagAt(samples, spanTotal * 0.5)),
      lagMsP99: hundredths(this.#lagAt(samples, spanTotal * 0.99)),
      lagMsMax: hundredths(most),
    };
  }

  /** The lag of the sorted `samples` at which their spans add up to `span`. */
  #lagAt(samples: readonly number[], span: number): number {
    let sum = 0;
    for (const at of samples) {
      sum += this.#spans[at] ?? 0;
      if (sum >= span) return this.#lags[at] ?? 0;
    }
    return 0;
  }

  /** Shares of the last `windowMs`, or of as much of it as has been sampled. */
  #shares(windowMs: number): { busy: number; spinning: number } {
    const newest = this.#at(this.#count - 1);
    const end = this.#times[newest] ?? 0;
    let first = newest;
    for (let index = this.#count - 2; index >= Math.max(0, this.#count - this.#times.length); index--) {
      first = this.#at(index);
      if (end - (this.#times[first] ?? end) >= windowMs) break;
    }
    const elapsed = end - (this.#times[first] ?? end);
    if (elapsed <= 0) return { busy: 0, spinning: 0 };
    const asleep = ((this.#asleep[newest] ?? 0) - (this.#asleep[first] ?? 0)) / elapsed;
    const spinning = ((this.#spinning[newest] ?? 0) - (this.#spinning[first] ?? 0)) / elapsed;
    return { busy: hundredths(clamp(1 - asleep - spinning)), spinning: hundredths(clamp(spinning)) };
  }

  #at(index: number): number {
    return Math.max(index, 0) % this.#times.length;
  }
}

/** Milliseconds that libuv itself has waited on this thread: all waiting where no ring does it, none where one does. */
export function libuvIdleMs(): number {
  return performance.eventLoopUtilization().idle;
}

function clamp(value: number): number {
  return Math.min(Math.max(value, 0), 1);
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}
