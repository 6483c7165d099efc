/**
 * How busy a shard's event loop is. `performance.eventLoopUtilization` reads 1.0 on an idle shard, because the thread sleeps in the ring
 * where libuv does not see it; here the driver's own sleep counts as idle.
 *
 * One timer does all of it, every {@link SAMPLE_MS}: it beats, notes by how much it came late, and notes the idle time so far. Between two samples
 * nothing is measured, so that a request costs nothing.
 */
import { performance } from "node:perf_hooks";
import { monotonicMs, type Pulses } from "./pulse.js";

/** How often a shard is sampled, in milliseconds. */
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
  /** By how much a timer came late within the last ten seconds, in milliseconds: the median, the 99th percentile, the largest. */
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
  readonly shard: number;
  readonly pulses: Pulses;
  /** The driver's waiting so far. What libuv itself waits is added. */
  readonly waits: () => WaitTimes;
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
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LoopMonitorOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? monotonicMs;
  }

  /** Begins; the timer keeps no thread alive. */
  start(): void {
    this.sample();
    this.#timer = setInterval(() => this.sample(), SAMPLE_MS).unref();
    // A thread that ends is not blocked, however long that takes. "exit" comes for process.exit and for uncaught errors too.
    process.once("exit", () => this.stop());
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#options.pulses.rest(this.#options.shard);
  }

  /** Takes one sample. */
  sample(): void {
    const { shard, pulses, waits } = this.#options;
    const now = this.#nowMs();
    pulses.beat(shard, now);
    const { asleepMs, spinningMs } = waits();
    const at = this.#count % this.#times.length;
    const last = this.#at(this.#count - 1);
    this.#lags[at] = this.#count === 0 ? 0 : Math.max(0, now - (this.#times[last] ?? now) - SAMPLE_MS);
    this.#times[at] = now;
    this.#asleep[at] = asleepMs;
    this.#spinning[at] = spinningMs;
    this.#count += 1;
  }

  stats(): LoopStats {
    const { shard, pulses } = this.#options;
    const lags = this.#lags.slice(0, Math.min(this.#count, this.#lags.length)).sort();
    const short = this.#shares(SHORT_WINDOW_MS);
    return {
      utilization1s: short.busy,
      utilization10s: this.#shares(WINDOW_MS).busy,
      spinning1s: short.spinning,
      lagMsP50: hundredths(quantile(lags, 0.5)),
      lagMsP99: hundredths(quantile(lags, 0.99)),
      lagMsMax: hundredths(quantile(lags, 1)),
      blockedCount: pulses.blockedCount(shard),
      blockedMsMax: Math.round(pulses.blockedMsMax(shard)),
    };
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

function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

function clamp(value: number): number {
  return Math.min(Math.max(value, 0), 1);
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}
