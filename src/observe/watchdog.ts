/**
 * The watchdog: sees from the supervisor's thread that a shard's event loop has not turned for too long, and reports where its JavaScript is.
 * While nothing is blocked it reads one word of each shard a few times a second.
 *
 *     turning → blocked (counted, stack asked for) → stack seen, once → turning again (how long it took)
 */
import type { Logger } from "./log.js";
import { monotonicMs, type Pulses } from "./pulse.js";
import type { StackFrame } from "./stack-capture.js";

/** What a {@link Watchdog} is made of. */
export interface WatchdogOptions {
  readonly pulses: Pulses;
  /** A loop that has not turned for so long is blocked, in milliseconds. */
  readonly thresholdMs: number;
  readonly log: Pick<Logger, "warn">;
  /** Asks for the stack of a shard; false when it cannot be had. {@link Watchdog.stackSeen} brings it. */
  readonly requestStack: (shard: number) => boolean;
  /** The clock, in milliseconds. */
  readonly nowMs?: () => number;
}

/** A blockage that goes on. */
interface Blockage {
  /** The last time that the loop turned before it. */
  readonly beatMs: number;
  isReported: boolean;
}

/** How long after the finding a blockage without a stack is reported without one, as a multiple of the threshold. */
const PATIENCE = 2;

/** Watches all shards of one server. */
export class Watchdog {
  readonly #options: WatchdogOptions;
  readonly #nowMs: () => number;
  readonly #intervalMs: number;
  readonly #blocked = new Map<number, Blockage>();
  #lastLookMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WatchdogOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? monotonicMs;
    this.#intervalMs = Math.max(Math.floor(options.thresholdMs / 4), 10);
  }

  /** Begins; the timer does not keep the process alive. */
  start(): void {
    this.#lastLookMs = this.#nowMs();
    this.#timer = setInterval(() => this.look(), this.#intervalMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Looks at every shard once. */
  look(): void {
    const now = this.#nowMs();
    // When this thread itself stood still (a stopped process, a suspended machine), the shards' beats are as old as its own last look.
    const stoodStill = now - this.#lastLookMs > this.#intervalMs + this.#options.thresholdMs / 2;
    this.#lastLookMs = now;
    for (let shard = 0; shard < this.#options.pulses.shardCount; shard++) this.#lookAt(shard, now, stoodStill);
  }

  /** The stack that was asked for. It can come late: code outside of JavaScript cannot be interrupted. */
  stackSeen(shard: number, frames: readonly StackFrame[]): void {
    const blockage = this.#blocked.get(shard);
    // Since then the loop has turned: the stack is of something else.
    if (blockage === undefined || blockage.beatMs !== this.#options.pulses.lastBeatMs(shard)) return;
    this.#report(shard, blockage, frames);
  }

  #lookAt(shard: number, now: number, stoodStill: boolean): void {
    const { pulses, thresholdMs, requestStack } = this.#options;
    const beatMs = pulses.lastBeatMs(shard);
    const blockage = this.#blocked.get(shard);
    if (blockage !== undefined && beatMs !== blockage.beatMs) {
      this.#blocked.delete(shard);
      if (beatMs !== 0) this.#recovered(shard, blockage, beatMs);
    }
    const age = now - beatMs;
    if (beatMs === 0 || age < thresholdMs || stoodStill) return;
    const current = this.#blocked.get(shard);
    pulses.noteBlockedMs(shard, age);
    if (current === undefined) {
      const begun: Blockage = { beatMs, isReported: false };
      this.#blocked.set(shard, begun);
      pulses.countBlocked(shard);
      if (!requestStack(shard)) this.#report(shard, begun, undefined);
    } else if (!current.isReported && age > thresholdMs * (1 + PATIENCE)) {
      this.#report(shard, current, []);
    }
  }

  #recovered(shard: number, blockage: Blockage, beatMs: number): void {
    const blockedMs = Math.round(beatMs - blockage.beatMs);
    this.#options.pulses.noteBlockedMs(shard, blockedMs);
    const where = blockage.isReported ? {} : { where: NATIVE };
    this.#options.log.warn(`The event loop of shard ${shard} turns again`, {
      event: "unblocked",
      blockedShard: shard,
      blockedMs,
      ...where,
    });
  }

  /** @param frames Undefined when they could not be asked for, empty when no answer came. */
  #report(shard: number, blockage: Blockage, frames: readonly StackFrame[] | undefined): void {
    if (blockage.isReported) return;
    blockage.isReported = true;
    const where =
      frames === undefined
        ? "unknown: no inspector, or a debugger is in use"
        : frames.length === 0
          ? NATIVE
          : undefined;
    this.#options.log.warn(`The event loop of shard ${shard} is blocked`, {
      event: "blocked",
      blockedShard: shard,
      blockedMs: Math.round(this.#nowMs() - blockage.beatMs),
      ...(where === undefined ? { stack: (frames ?? []).map((frame) => `at ${frame}`).join("\n") } : { where }),
    });
  }
}

const NATIVE = "in native code (a regular expression, a synchronous call), which cannot be interrupted";
