/**
 * The place of one shard in a server: its number and its listening socket stay, the threads that serve there change.
 *
 *     successor (starting, loaded) → current (serving) → retiring (draining) → gone
 */
import type { ShardEnd, ShardThread } from "./shard-thread.js";

/** A rolling restart of one seat, in progress: over when the successor serves and the old thread is gone. */
export interface HandOver {
  readonly old: ShardThread;
  oldEnd: ShardEnd | undefined;
  isSuccessorReady: boolean;
  readonly resolve: (oldEnd: ShardEnd) => void;
  readonly reject: (error: unknown) => void;
}

/** One seat. The group of shards changes it; see `shard-group.ts`. */
export class Seat {
  readonly shard: number;
  /** The number of the thread that was started last, from 1. */
  generation = 0;
  /** How often the seat's thread died. */
  restarts = 0;
  /** The thread that serves. */
  current: ShardThread | undefined;
  /** The thread that is being started. */
  successor: ShardThread | undefined;
  /** Threads that finish what they had begun. */
  readonly retiring = new Set<ShardThread>();
  /** The current thread's event loop does not turn. */
  isStuck = false;
  /** Starts the next thread after a while, when the last one has died. */
  restartTimer: NodeJS.Timeout | undefined;
  /** Ends a successor that does not come up. */
  startTimer: NodeJS.Timeout | undefined;
  handOver: HandOver | undefined;
  /** How the seat's last thread died. */
  lastEnd: ShardEnd | undefined;

  constructor(shard: number) {
    this.shard = shard;
  }

  /** Every thread that is not gone. */
  get threads(): ShardThread[] {
    const own = [this.current, this.successor].filter((thread) => thread !== undefined);
    return [...own, ...this.retiring];
  }

  get isServing(): boolean {
    return this.current?.state === "ready" && !this.isStuck;
  }

  clearTimers(): void {
    clearTimeout(this.restartTimer);
    clearTimeout(this.startTimer);
  }
}
