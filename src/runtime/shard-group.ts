/** The shards of one server together: all start or none does, and they stop together. */
import { assert } from "../assert.js";
import { RingloomError } from "../errors.js";
import type { Listeners } from "./listeners.js";
import type { RuntimeOptions } from "./options.js";
import { fromShardError, type ShardAssignment } from "./shard-protocol.js";
import { type ShardEnd, ShardThread } from "./shard-thread.js";

/** How long after the deadline a shard may still take to report, in milliseconds; then its thread is terminated. */
export const CUT_SLACK_MS = 1_000;

/**
 * How long a stop waits for all shards to have closed their listeners, in milliseconds. Until then all go on as before, so that a client
 * that one shard sends away does not connect to another one in the moment in which that one closes. A shard that is busy
 * for longer than this must not hold up the others.
 */
export const LISTENERS_STOP_MS_MAX = 1_000;

/** Told at once when a shard ends that had served and was not asked to end. */
export type ShardLost = (end: ShardEnd) => void;

/**
 * Why and how a server stopped.
 * @experimental
 */
export interface StopReport {
  /** `requested`, or the first shard that failed. */
  readonly cause: "requested" | "shard-failed";
  readonly shards: number;
  readonly shardsDrained: number;
  readonly requestsFinished: number;
  readonly connectionsClosedIdle: number;
  readonly connectionsCut: number;
  readonly ms: number;
  /** 0 when every shard drained and nothing was cut, else 1. */
  readonly exitCode: 0 | 1;
  /** The shards that did not drain, with their errors. */
  readonly failures: readonly ShardEnd[];
}

/** The shards of one server and what happens to them together. */
export class ShardGroup {
  readonly stopped: Promise<StopReport>;
  readonly #listeners: Listeners;
  readonly #options: RuntimeOptions;
  readonly #shardLost: ShardLost | undefined;
  readonly #threads: ShardThread[] = [];
  readonly #ends: ShardEnd[] = [];
  #readyCount = 0;
  #onAllReady: ((address: { host: string; port: number }) => void) | undefined;
  #onStartFailed: ((error: unknown) => void) | undefined;
  #onStopped!: (report: StopReport) => void;
  #stopCause: StopReport["cause"] | undefined;
  #stopStartedMs = 0;
  #deadline: NodeJS.Timeout | undefined;
  readonly #listening = new Set<ShardThread>();
  #listenersDeadline: NodeJS.Timeout | undefined;

  constructor(listeners: Listeners, options: RuntimeOptions, shardLost: ShardLost | undefined) {
    this.#shardLost = shardLost;
    this.#listeners = listeners;
    this.#options = options;
    this.stopped = new Promise((resolve) => {
      this.#onStopped = resolve;
    });
  }

  /** Starts all threads; resolves with the address once all are ready, rejects once all are gone after a failure. */
  async start(assignments: readonly ShardAssignment[], shardMain: URL): Promise<{ host: string; port: number }> {
    const ready = new Promise<{ host: string; port: number }>((resolve, reject) => {
      this.#onAllReady = resolve;
      this.#onStartFailed = reject;
    });
    const events = {
      ready: (_shard: number, host: string, port: number) => this.#onReady(host, port),
      listenerStopped: (shard: number) => this.#onListenerStopped(shard),
      gone: (end: ShardEnd) => this.#onGone(end),
    };
    for (const assignment of assignments) {
      this.#threads.push(new ShardThread({ shardMain, assignment }, events));
    }
    const timer = this.#startTimer();
    try {
      return await ready;
    } catch (error) {
      await this.stopped;
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  stop(cause: StopReport["cause"]): void {
    if (this.#stopCause !== undefined) return;
    this.#stopCause = cause;
    this.#stopStartedMs = performance.now();
    const { drainGraceMs, drainMs } = this.#options;
    // Idle connections are closed before the deadline counts them among those that it cuts.
    const graceMs = Math.min(drainGraceMs, drainMs / 2);
    for (const thread of this.#threads) {
      this.#listeners.beginDrain(thread.shard);
      thread.drain({ graceMs, deadlineMs: drainMs });
      if (thread.state === "draining") this.#listening.add(thread);
    }
    const waitMs = Math.min(LISTENERS_STOP_MS_MAX, drainMs / 2);
    this.#listenersDeadline = setTimeout(() => this.#tellNobodyListens(), waitMs);
    // The shards keep the deadline themselves. This is for one whose JavaScript does not return.
    this.#deadline = setTimeout(() => this.#terminateAll(), drainMs + CUT_SLACK_MS);
    this.#finishIfAllGone();
  }

  cut(): void {
    if (this.#stopCause === undefined) this.stop("requested");
    for (const thread of this.#threads) thread.cut();
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#terminateAll(), CUT_SLACK_MS);
    this.#finishIfAllGone();
  }

  #startTimer(): NodeJS.Timeout | undefined {
    const { startMs } = this.#options;
    if (startMs === 0) return undefined;
    return setTimeout(() => {
      const waiting = this.#threads.filter((thread) => thread.state === "starting").map((thread) => thread.shard);
      this.#failStart(
        new RingloomError(
          "ERR_RINGLOOM_TIMEOUT",
          `Cannot start: after ${startMs} ms the module was not loaded on shard ${waiting.join(", ")}. Does its top level await something that never comes?`,
          { operation: "start", details: { startMs, shards: waiting } },
        ),
      );
    }, startMs);
  }

  #onReady(host: string, port: number): void {
    this.#readyCount++;
    assert(this.#readyCount <= this.#threads.length, "a shard becomes ready once");
    if (this.#readyCount === this.#threads.length) this.#onAllReady?.({ host, port });
  }

  #onListenerStopped(shard: number): void {
    this.#listeners.forget(shard);
    this.#noLongerListening(shard);
  }

  #noLongerListening(shard: number): void {
    for (const thread of this.#listening) if (thread.shard === shard) this.#listening.delete(thread);
    if (this.#stopCause !== undefined && this.#listening.size === 0) this.#tellNobodyListens();
  }

  #tellNobodyListens(): void {
    clearTimeout(this.#listenersDeadline);
    for (const thread of this.#threads) thread.nobodyListens();
  }

  /**
   * A shard ended. If nobody asked for it, the server stops as a whole: the others finish what they have, and the exit code tells.
   * Replacing the shard belongs here: its listening socket is still open, and its connections' peers reconnect.
   */
  #onGone(end: ShardEnd): void {
    this.#ends.push(end);
    if (!end.wasReady) this.#failStart(startError(end));
    else if (end.kind === "died" || end.kind === "failed") this.#shardLost?.(end);
    // Whoever waits in a dead shard's queue would wait for ever; closing resets them, so that they can try again elsewhere.
    this.#listeners.close(end.shard);
    if (this.#stopCause === undefined) this.stop("shard-failed");
    this.#noLongerListening(end.shard);
    this.#finishIfAllGone();
  }

  #failStart(error: unknown): void {
    this.#onStartFailed?.(error);
    this.#onStartFailed = undefined;
    this.#terminateAll();
  }

  #terminateAll(): void {
    for (const thread of this.#threads) thread.terminate();
  }

  #finishIfAllGone(): void {
    if (this.#stopCause === undefined || this.#ends.length < this.#threads.length) return;
    clearTimeout(this.#deadline);
    clearTimeout(this.#listenersDeadline);
    this.#listeners.closeAll();
    this.#onStopped(makeReport(this.#stopCause, this.#ends, performance.now() - this.#stopStartedMs));
  }
}

function makeReport(cause: StopReport["cause"], ends: readonly ShardEnd[], ms: number): StopReport {
  const drained = ends.filter((end) => end.kind === "drained");
  const total = (count: (end: ShardEnd) => number | undefined) => ends.reduce((sum, end) => sum + (count(end) ?? 0), 0);
  const connectionsCut = total((end) => end.report?.connectionsForced);
  const isClean = cause === "requested" && drained.length === ends.length && connectionsCut === 0;
  return {
    cause,
    shards: ends.length,
    shardsDrained: drained.length,
    requestsFinished: total((end) => end.report?.requestsFinished),
    connectionsClosedIdle: total((end) => end.report?.connectionsClosedIdle),
    connectionsCut,
    ms,
    exitCode: isClean ? 0 : 1,
    failures: ends.filter((end) => end.kind !== "drained"),
  };
}

/** The error of a shard that never became ready, as close to the original as a thread border allows. */
function startError(end: ShardEnd): RingloomError {
  if (end.error !== undefined) return fromShardError(end.error, "start");
  return new RingloomError(
    "ERR_RINGLOOM_SHARD_FAILED",
    `Shard ${end.shard} ended with exit code ${end.exitCode} before it served. Does the module call process.exit?`,
    { operation: "start", details: { shard: end.shard, exitCode: end.exitCode } },
  );
}
