/**
 * The supervisor: the main thread's part of a server. It chooses and sizes, owns the listening sockets, starts one thread per
 * shard, watches them, and ends them in order. It runs no handler and knows no protocol.
 *
 *     start: choose driver → size → open sockets → start threads → all ready
 *     stop:  drain every shard → close each socket as its shard lets go of it → all gone (or cut at the deadline) → report
 *
 * Signals are the caller's: see `stopOnSignals` in `signals.ts`.
 */
import { assert } from "../assert.js";
import type { DriverChoice } from "../driver/choose.js";
import { chooseDriver } from "../driver/choose.js";
import { RingloomError } from "../errors.js";
import { loadNative, nativeProblem } from "../native.js";
import { createCounters } from "./counters.js";
import { Listeners } from "./listeners.js";
import type { RuntimeOptions } from "./options.js";
import { fromShardError, type ShardAssignment } from "./shard-protocol.js";
import { type ShardEnd, ShardThread } from "./shard-thread.js";
import { type MachineFacts, readMachineFacts, type Sizing, sizeRuntime } from "./sizing.js";

/** How long after the deadline a shard may still take to report, in milliseconds; then its thread is terminated. */
export const CUT_SLACK_MS = 1_000;

/** What to supervise. */
export interface SupervisorRequest {
  /** The user's module, a file URL (see `resolveModule`). */
  readonly module: URL;
  /** The module that each shard's thread runs; it calls `runShard`. */
  readonly shardMain: URL;
  readonly options: RuntimeOptions;
  /** Options of the service, handed to the shards as they are. */
  readonly service: Readonly<Record<string, unknown>>;
  /** Told at once when a shard ends that had served and was not asked to end; the report comes later. */
  readonly shardLost?: (end: ShardEnd) => void;
}

/** Why and how a server stopped. */
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

/** A running server, seen from the main thread. */
export class Supervisor {
  readonly choice: DriverChoice;
  readonly sizing: Sizing;
  readonly host: string;
  readonly port: number;
  /** Resolves when everything has stopped, whatever the cause. Never rejects. */
  readonly stopped: Promise<StopReport>;
  readonly #group: ShardGroup;

  private constructor(group: ShardGroup, choice: DriverChoice, sizing: Sizing, address: { host: string; port: number }) {
    this.#group = group;
    this.choice = choice;
    this.sizing = sizing;
    this.host = address.host;
    this.port = address.port;
    this.stopped = group.stopped;
  }

  /**
   * Starts a server and resolves once every shard serves.
   * Rejects with the kernel's code when the port cannot be had, with `ERR_RINGLOOM_DRIVER_UNAVAILABLE`, with the error of the user's
   * module as it was thrown on the shard (`ERR_RINGLOOM_MODULE_LOAD`, `ERR_RINGLOOM_NOT_AN_APP`), or with
   * `ERR_RINGLOOM_TIMEOUT`; nothing is left running then.
   */
  static async start(request: SupervisorRequest): Promise<Supervisor> {
    const { options } = request;
    const choice = chooseDriver(options.driver);
    const facts = readMachineFacts();
    const sizing = sizeRuntime(facts, options);
    const cpus = assignCpus(options.cpu, facts, sizing.shards);
    const { host, port, backlog } = options;
    const listeners = await Listeners.open({ host, port, backlog, count: sizing.shards, driver: choice.name });
    const group = new ShardGroup(listeners, options, request.shardLost);
    const address = await group.start(makeAssignments(request, choice, sizing, cpus, listeners), request.shardMain);
    return new Supervisor(group, choice, sizing, address);
  }

  /** The address for people and clients; the unspecified address is shown as the loopback one. */
  get url(): string {
    const host = this.host === "0.0.0.0" ? "127.0.0.1" : this.host === "::" ? "::1" : this.host;
    return `http://${host.includes(":") ? `[${host}]` : host}:${this.port}`;
  }

  /** Begins an orderly stop; a second call changes nothing. Resolves with the report. */
  stop(): Promise<StopReport> {
    this.#group.stop("requested");
    return this.stopped;
  }

  /** Ends an orderly stop now: what is unfinished is cut. */
  cut(): void {
    this.#group.cut();
  }
}

/** The shards of one server and what happens to them together. */
class ShardGroup {
  readonly stopped: Promise<StopReport>;
  readonly #listeners: Listeners;
  readonly #options: RuntimeOptions;
  readonly #shardLost: ((end: ShardEnd) => void) | undefined;
  readonly #threads: ShardThread[] = [];
  readonly #ends: ShardEnd[] = [];
  #readyCount = 0;
  #onAllReady: ((address: { host: string; port: number }) => void) | undefined;
  #onStartFailed: ((error: unknown) => void) | undefined;
  #onStopped!: (report: StopReport) => void;
  #stopCause: StopReport["cause"] | undefined;
  #stopStartedMs = 0;
  #deadline: NodeJS.Timeout | undefined;

  constructor(listeners: Listeners, options: RuntimeOptions, shardLost: SupervisorRequest["shardLost"]) {
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
    const heapMib = this.#options.heapMib === "auto" ? undefined : this.#options.heapMib;
    const events = {
      ready: (_shard: number, host: string, port: number) => this.#onReady(host, port),
      listenerStopped: (shard: number) => this.#listeners.close(shard),
      gone: (end: ShardEnd) => this.#onGone(end),
    };
    for (const assignment of assignments) {
      this.#threads.push(new ShardThread({ shardMain, assignment, heapMib }, events));
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
    for (const thread of this.#threads) {
      thread.drain({ graceMs: Math.min(drainGraceMs, drainMs), deadlineMs: drainMs });
    }
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

  /**
   * A shard ended. If nobody asked for it, the server stops as a whole: the others finish what they have, and the exit code tells.
   * Replacing the shard belongs here: its listening socket is still open, and its connections' peers reconnect.
   */
  #onGone(end: ShardEnd): void {
    this.#ends.push(end);
    if (!end.wasReady) this.#failStart(startError(end));
    else if (end.kind === "died" || end.kind === "failed") this.#shardLost?.(end);
    // Whoever waits in a dead shard's queue would wait for ever; closing resets them, so that they can try again.
    this.#listeners.close(end.shard);
    if (this.#stopCause === undefined) this.stop("shard-failed");
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

function makeAssignments(
  request: SupervisorRequest,
  choice: DriverChoice,
  sizing: Sizing,
  cpus: readonly (number | undefined)[],
  listeners: Listeners,
): ShardAssignment[] {
  const counters = createCounters(sizing.shards);
  const { ringEntries, loop } = request.options;
  const { connectionsMax, writePoolBytes, receiveSlabBytes, spin } = sizing;
  return Array.from({ length: sizing.shards }, (_, shard) => ({
    shard,
    shardCount: sizing.shards,
    driver: choice.name,
    sizes: { connectionsMax, writePoolBytes, receiveSlabBytes, ringEntries, spin, loop },
    target: listeners.targetFor(shard),
    cpu: cpus[shard],
    counters,
    facts: {
      driver: choice.name,
      driverReason: choice.reason,
      memoryBudget: sizing.memory,
      startedAtMs: Date.now(),
    },
    module: request.module.href,
    service: request.service,
  }));
}

/** The CPU of each shard. Throws `ERR_RINGLOOM_INVALID_OPTION` for a CPU that this process may not use, or without the addon. */
function assignCpus(cpu: RuntimeOptions["cpu"], facts: MachineFacts, shards: number): (number | undefined)[] {
  if (cpu === "none") return new Array<undefined>(shards).fill(undefined);
  const cpus = cpu === "auto" ? facts.cpus : cpu;
  const foreign = cpus.filter((number) => !facts.cpus.includes(number));
  if (foreign.length > 0) {
    throw invalidCpu(cpu, `CPU ${foreign.join(", ")} is not among the allowed ones (${facts.cpus.join(", ")})`);
  }
  if (loadNative() === undefined) throw invalidCpu(cpu, `pinning needs the addon, but ${nativeProblem()}`);
  return Array.from({ length: shards }, (_, shard) => cpus[shard % cpus.length]);
}

function invalidCpu(value: RuntimeOptions["cpu"], why: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot pin shards: ${why}.`, {
    operation: "assign CPUs",
    details: { option: "cpu", value },
  });
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
