/**
 * The one timer of a shard: samples its event loop, publishes its figures and, where libuv does the sleeping, beats its heart.
 *
 * A wake-up of a sleeping thread costs some 0.2 ms of CPU time, so the timer slows down while nothing happens: each sample of an idle shard comes twice as long after
 * the last one, up to a bound, and the first that finds work goes back to the fast pace.
 */
import type { Heart } from "../observe/heartbeat.js";
import { type LoopMonitor, SAMPLE_MS } from "../observe/loop-monitor.js";

/** The slowest pace of an idle shard whose driver publishes the pulse, in milliseconds. */
export const IDLE_SAMPLE_MS = 1_000;
/** How often a busy shard publishes its figures: with every so-manieth sample. */
export const SAMPLES_PER_PUBLICATION = 2;
/** A shard that worked for less than this share of the time is idle: the sampling itself is work. */
const IDLE_SHARE_MAX = 0.05;

/** What a {@link ShardSampler} drives. */
export interface ShardSamplerOptions {
  readonly monitor: Pick<LoopMonitor, "sample">;
  readonly heart: Heart;
  /** The driver publishes the pulse; else the timer beats. */
  readonly driverBeats: boolean;
  /** How long the thread may go without a beat, in milliseconds. */
  readonly beatMs: number;
  /** Publishes what the shard counts. */
  readonly publish: () => void;
  /** The driver's counter of turns, which only grows. */
  readonly turns: () => number;
}

/** Samples the calling thread. */
export class ShardSampler {
  readonly #options: ShardSamplerOptions;
  #delayMsMax = IDLE_SAMPLE_MS;
  #delayMs = SAMPLE_MS;
  #turns = 0;
  #samples = 0;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ShardSamplerOptions) {
    this.#options = options;
  }

  /** Begins; the timer keeps no thread alive. */
  start(): void {
    const { monitor, heart, driverBeats, beatMs, publish, turns } = this.#options;
    if (!driverBeats) {
      heart.beat();
      this.#delayMsMax = Math.min(IDLE_SAMPLE_MS, beatMs);
      this.#delayMs = Math.min(this.#delayMs, this.#delayMsMax);
    }
    this.#turns = turns();
    monitor.sample();
    publish();
    this.#wait();
    // A thread that ends is not silent, however long that takes. "exit" comes for process.exit and for uncaught errors too.
    process.once("exit", () => heart.rest());
  }

  /** Samples and publishes no more. The heart goes on where the driver beats it; else nobody would beat it, so it rests. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    if (!this.#options.driverBeats) this.#options.heart.rest();
  }

  /** How long until the next sample, in milliseconds. */
  get delayMs(): number {
    return this.#delayMs;
  }

  /** Takes one sample; the timer's business. */
  tick(): void {
    const { monitor, heart, driverBeats, publish, turns } = this.#options;
    if (!driverBeats) heart.beat();
    const workedMs = monitor.sample(this.#delayMs);
    const turnsNow = turns();
    const isIdle = turnsNow === this.#turns && workedMs < this.#delayMs * IDLE_SHARE_MAX;
    this.#turns = turnsNow;
    this.#samples += 1;
    if (isIdle || this.#delayMs > SAMPLE_MS || this.#samples % SAMPLES_PER_PUBLICATION === 0) publish();
    this.#delayMs = Math.min(isIdle ? this.#delayMs * 2 : SAMPLE_MS, this.#delayMsMax);
  }

  #wait(): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.tick();
      this.#wait();
    }, this.#delayMs).unref();
  }
}
