/**
 * A rolling restart: one shard after the other gets a new thread, which loads the module anew, and the old thread finishes what it had begun.
 * A successor that does not start ends the restart, and the shard that it was for goes on as it was.
 */
import { RingloomError } from "../errors.js";
import type { HookFailure } from "./lifecycle.js";
import type { Seat } from "./seat.js";
import type { ShardEnd } from "./shard-thread.js";

/**
 * What a rolling restart did.
 * @experimental
 */
export interface RestartReport {
  /** Shards that have a new thread. */
  readonly shards: number;
  /** Requests that the old threads answered after they had stopped to accept. */
  readonly requestsFinished: number;
  readonly connectionsClosedIdle: number;
  /** Connections that the deadline (`drainMs`) cut. */
  readonly connectionsCut: number;
  /** Old threads that did not drain. */
  readonly failures: readonly ShardEnd[];
  /** The hooks of old threads that threw or took too long. */
  readonly hookFailures: readonly HookFailure[];
  readonly ms: number;
}

/** What a restart asks of the group. */
export interface RestartOwner {
  /** Starts a successor for a seat. */
  spawn(seat: Seat): void;
  isRunning(): boolean;
  canHandOver(): boolean;
}

/** The rolling restarts of one server: one at a time, and at most one that waits. */
export class RollingRestart {
  readonly #seats: readonly Seat[];
  readonly #owner: RestartOwner;
  #running: Promise<RestartReport> | undefined;
  #waiting: Promise<RestartReport> | undefined;

  constructor(seats: readonly Seat[], owner: RestartOwner) {
    this.#seats = seats;
    this.#owner = owner;
  }

  /**
   * Restarts every shard. During a restart a further request waits for its end and then begins, because the module may have changed meanwhile;
   * several of them become one. Rejects with `ERR_RINGLOOM_CLOSED` when the server does not run (any more), with `ERR_RINGLOOM_UNSUPPORTED` where a
   * port cannot be shared, and with the error of the first shard that did not start.
   */
  request(): Promise<RestartReport> {
    if (this.#running === undefined) return this.#begin();
    this.#waiting ??= this.#running.then(
      () => this.#begin(),
      () => this.#begin(),
    );
    return this.#waiting;
  }

  #begin(): Promise<RestartReport> {
    this.#waiting = undefined;
    const running = this.#restartAll().finally(() => {
      this.#running = undefined;
    });
    this.#running = running;
    return running;
  }

  /** The seat's successor serves. */
  successorReady(seat: Seat): void {
    if (seat.handOver === undefined) return;
    seat.handOver.isSuccessorReady = true;
    this.#settle(seat);
  }

  /** The seat's old thread is gone, one way or another. */
  oldGone(seat: Seat, end: ShardEnd): void {
    if (seat.handOver?.old.generation !== end.generation) return;
    seat.handOver.oldEnd = end;
    this.#settle(seat);
  }

  /** The seat's successor is gone before it served. Returns whether the old thread still serves, so that nothing has to be done. */
  successorGone(seat: Seat, error: unknown): boolean {
    const { handOver } = seat;
    if (handOver === undefined) return false;
    seat.handOver = undefined;
    handOver.reject(error);
    return seat.current === handOver.old;
  }

  /** The server stops. */
  cancel(): void {
    for (const seat of this.#seats) {
      seat.handOver?.reject(closed());
      seat.handOver = undefined;
    }
  }

  async #restartAll(): Promise<RestartReport> {
    const startedMs = performance.now();
    if (!this.#owner.canHandOver()) {
      throw new RingloomError(
        "ERR_RINGLOOM_UNSUPPORTED",
        "Cannot restart: a new shard can take over a port only with the addon, or with Node 22.12 or newer on Linux.",
        { operation: "restart" },
      );
    }
    const ends: ShardEnd[] = [];
    for (const seat of this.#seats) {
      if (!this.#owner.isRunning()) throw closed();
      // A seat whose thread has died is getting a new one anyway.
      if (seat.current !== undefined && seat.successor === undefined) ends.push(await this.#restartSeat(seat));
    }
    return summary(ends, performance.now() - startedMs);
  }

  #restartSeat(seat: Seat): Promise<ShardEnd> {
    return new Promise<ShardEnd>((resolve, reject) => {
      if (seat.current === undefined) return;
      seat.handOver = { old: seat.current, oldEnd: undefined, isSuccessorReady: false, resolve, reject };
      this.#owner.spawn(seat);
    });
  }

  #settle(seat: Seat): void {
    const { handOver } = seat;
    if (handOver?.oldEnd === undefined || !handOver.isSuccessorReady) return;
    seat.handOver = undefined;
    handOver.resolve(handOver.oldEnd);
  }
}

function summary(ends: readonly ShardEnd[], ms: number): RestartReport {
  const total = (count: (end: ShardEnd) => number | undefined) => ends.reduce((sum, end) => sum + (count(end) ?? 0), 0);
  return {
    shards: ends.length,
    requestsFinished: total((end) => end.report?.requestsFinished),
    connectionsClosedIdle: total((end) => end.report?.connectionsClosedIdle),
    connectionsCut: total((end) => end.report?.connectionsForced),
    failures: ends.filter((end) => end.kind !== "drained"),
    hookFailures: ends.flatMap((end) => end.report?.hookFailures ?? []),
    ms,
  };
}

function closed(): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", "Cannot restart: the server is stopping.", { operation: "restart" });
}
