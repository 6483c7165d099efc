/**
 * The watchdog: sees from the supervisor's thread that another thread's event loop has not turned for too long, and reports where its JavaScript is.
 * Who calls it has taken the pulse of each thread; here it is judged.
 *
 *     turning → blocked (counted, stack asked for) → stack seen, once → turning again (how long it took)
 */
import type { Pulse } from "./heartbeat.js";
import type { Logger } from "./log.js";
import { monotonicMs } from "./monotonic.js";
import type { StackFrame } from "./stack-capture.js";

/** A thread that is watched, from its start to its end. */
export interface WatchedThread {
  readonly shard: number;
  readonly pulse: Pulse;
  /** What debuggers call it; no two threads are called the same. */
  readonly title: string;
}

/** What a {@link Watchdog} is made of. */
export interface WatchdogOptions {
  /** A loop that has not turned for so long is blocked, in milliseconds. */
  readonly thresholdMs: number;
  readonly log: Pick<Logger, "warn">;
  /** Asks for the stack of a thread; false when it cannot be had. {@link Watchdog.stackSeen} brings it. */
  readonly requestStack: (title: string) => boolean;
  /** The clock, in milliseconds. */
  readonly nowMs?: () => number;
}

/** A blockage that goes on. */
interface Blockage {
  /** When a turn was seen last. */
  readonly sinceMs: number;
  isReported: boolean;
}

/** How long after the finding a blockage without a stack is reported without one, as a multiple of the threshold. */
const PATIENCE = 2;

/** Watches all threads of one server. */
export class Watchdog {
  readonly #options: WatchdogOptions;
  readonly #nowMs: () => number;
  readonly #threads = new Set<WatchedThread>();
  readonly #blocked = new Map<WatchedThread, Blockage>();

  constructor(options: WatchdogOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? monotonicMs;
  }

  watch(thread: WatchedThread): void {
    this.#threads.add(thread);
  }

  /** The thread is gone. */
  forget(thread: WatchedThread): void {
    this.#threads.delete(thread);
    this.#blocked.delete(thread);
  }

  /** Judges every thread by its pulse, which was taken just now. */
  look(): void {
    const now = this.#nowMs();
    for (const thread of this.#threads) this.#judge(thread, now);
  }

  /** The stack that was asked for. It can come late: code outside of JavaScript cannot be interrupted. */
  stackSeen(title: string, frames: readonly StackFrame[]): void {
    for (const [thread, blockage] of this.#blocked) {
      // If the loop has turned since then, the stack is of something else.
      if (thread.title === title && thread.pulse.now === thread.pulse.seen) this.#report(thread, blockage, frames);
    }
  }

  #judge(thread: WatchedThread, now: number): void {
    const { thresholdMs, requestStack } = this.#options;
    const { pulse } = thread;
    const blockage = this.#blocked.get(thread);
    if (pulse.silentMs < thresholdMs) {
      this.#blocked.delete(thread);
      if (blockage !== undefined) this.#recovered(thread, blockage, now);
      return;
    }
    pulse.noteBlockedMs(pulse.silentMs);
    if (blockage === undefined) {
      const begun: Blockage = { sinceMs: now - pulse.silentMs, isReported: false };
      this.#blocked.set(thread, begun);
      pulse.countBlocked();
      if (!requestStack(thread.title)) this.#report(thread, begun, undefined);
    } else if (!blockage.isReported && pulse.silentMs > thresholdMs * (1 + PATIENCE)) {
      this.#report(thread, blockage, []);
    }
  }

  #recovered({ shard, pulse }: WatchedThread, blockage: Blockage, now: number): void {
    const blockedMs = Math.round(now - blockage.sinceMs);
    pulse.noteBlockedMs(blockedMs);
    const where = blockage.isReported ? {} : { where: NATIVE };
    this.#options.log.warn(`The event loop of shard ${shard} turns again`, {
      event: "unblocked",
      blockedShard: shard,
      blockedMs,
      ...where,
    });
  }

  /** @param frames Undefined when they could not be asked for, empty when no answer came. */
  #report({ shard }: WatchedThread, blockage: Blockage, frames: readonly StackFrame[] | undefined): void {
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
      blockedMs: Math.round(this.#nowMs() - blockage.sinceMs),
      ...(where === undefined ? { stack: (frames ?? []).map((frame) => `at ${frame}`).join("\n") } : { where }),
    });
  }
}

const NATIVE = "in native code (a regular expression, a synchronous call), which cannot be interrupted";
