/**
 * The supervisor: the main thread's part of a server. It chooses and sizes, owns the listening sockets, starts one thread per
 * shard, watches and replaces them, and ends them in order. It runs no handler and knows no protocol.
 *
 *     start: choose driver → size → hook → open sockets → load every shard → all listen → hook
 *     stop:  not ready → hook → drain every shard → close the sockets → all gone (or cut at the deadline) → hook → report
 *
 * Signals are the caller's: see `stopOnSignals` in `signals.ts`.
 */
import { chooseDriver, chooseTlsDriver, type DriverChoice } from "../driver/choose.js";
import { checkUnixPlace, type UnixPlace } from "../driver/unix-listen.js";
import { RingloomError } from "../errors.js";
import { MessageKeeper } from "../messages/message-keeper.js";
import { loadNative, nativeProblem } from "../native.js";
import { createHeartbeat } from "../observe/heartbeat.js";
import { resolveLogSettings } from "../observe/log.js";
import type { ComputePool } from "../scheduler/compute-pool.js";
import { openComputePool } from "../scheduler/open-pool.js";
import { taskThreads } from "../scheduler/topology.js";
import { TlsAcceptor } from "../tls/acceptor.js";
import { readTlsFiles, type TlsFiles, tlsFilesOf } from "../tls/tls-files.js";
import { createCounters } from "./counters.js";
import type { ServerHealth } from "./health.js";
import { returnLargeBlocks } from "./large-blocks.js";
import { Hooks } from "./lifecycle.js";
import { Listeners } from "./listeners.js";
import { computeHeapLimits, heapLimits } from "./memory-plan.js";
import type { RuntimeOptions } from "./options.js";
import type { RestartReport } from "./rolling-restart.js";
import { createRoster } from "./roster.js";
import { type InvokeOptions, ShardCalls } from "./shard-functions.js";
import { type GroupEvents, ShardGroup } from "./shard-group.js";
import type { ShardAssignment } from "./shard-protocol.js";
import { type MachineFacts, readMachineFacts, type Sizing, sizeRuntime } from "./sizing.js";
import type { RuntimeFacts } from "./stats.js";
import type { StopCause, StopReport } from "./stop-report.js";
import { lookMs, watchShards } from "./watch-shards.js";

/** What to supervise. */
export interface SupervisorRequest {
  /** The user's module, a file URL (see `resolveModule`). */
  readonly module: URL;
  /** The module that each shard's thread runs; it calls `runShard`. */
  readonly shardMain: URL;
  readonly options: RuntimeOptions;
  /** Options of the service, handed to the shards as they are. */
  readonly service: Readonly<Record<string, unknown>>;
  /** Hooks for the whole process: what a supervisor module exports as `lifecycle`, unchecked. */
  readonly lifecycle?: unknown;
  readonly events?: GroupEvents;
}

/** How long a server that gets SIGTERM in a Kubernetes pod goes on serving everybody, in milliseconds, unless an option says otherwise. */
const READY_DELAY_MS_POD = 5_000;

/** A running server, seen from the main thread. */
export class Supervisor {
  readonly choice: DriverChoice;
  readonly sizing: Sizing;
  readonly host: string;
  readonly port: number;
  /** Of the Unix socket that the server listens on, where it does; host and port are then empty and 0. */
  readonly path: string | undefined;
  /** Where its certificates are; undefined without TLS. */
  readonly tls: TlsFiles | undefined;
  /** Resolves when everything has stopped, whatever the cause. Never rejects. */
  readonly stopped: Promise<StopReport>;
  /** How long {@link stop} goes on serving everybody when the signal is SIGTERM, in milliseconds. */
  readonly readyDelayMs: number;
  readonly #group: ShardGroup;
  readonly #hooks: Hooks;
  readonly #calls: ShardCalls;
  #drainHook: ReturnType<Hooks["attempt"]> | undefined;

  private constructor(parts: SupervisorParts, address: { host: string; port: number }) {
    const { group, hooks, request } = parts;
    this.#group = group;
    this.#hooks = hooks;
    this.choice = parts.choice;
    this.sizing = parts.sizing;
    this.host = address.host;
    this.port = address.port;
    this.path = unixPlaceOf(request.options)?.path;
    this.tls = tlsFilesOf(request.options);
    this.readyDelayMs = readyDelay(request.options);
    this.#calls = new ShardCalls(parts.sizing.shards, (shard, port) => group.connect(shard, port));
    this.stopped = parts.stopped.then((report) => this.#close(report));
  }

  /**
   * Starts a server and resolves once every shard serves.
   * Rejects with the kernel's code when the port cannot be had, with `ERR_RINGLOOM_DRIVER_UNAVAILABLE`, with the error of the user's
   * module as it was thrown on the shard (`ERR_RINGLOOM_MODULE_LOAD`, `ERR_RINGLOOM_NOT_AN_APP`, `ERR_RINGLOOM_HOOK_FAILED`), or with
   * `ERR_RINGLOOM_TIMEOUT`; nothing is left running then.
   */
  static async start(request: SupervisorRequest): Promise<Supervisor> {
    const { options, shardMain, events = {} } = request;
    const tls = tlsFilesOf(options);
    // Throws for what cannot be read before a thread would.
    if (tls !== undefined) new TlsAcceptor(readTlsFiles(tls));
    const choice = tls === undefined ? chooseDriver(options.driver) : chooseTlsDriver(options.driver);
    const facts = readMachineFacts();
    const sizing = sizeRuntime(facts, options, choice.name);
    returnLargeBlocks(sizing.memory);
    const cpus = assignCpus(options.cpu, facts, sizing.shards);
    // Throws for what cannot be, while there is nothing to take back yet.
    taskThreads(options, sizing);
    const hooks = new Hooks(request.lifecycle, { shardCount: sizing.shards }, options.hookMs);
    await hooks.run("start");
    const { host, port, backlog } = options;
    const reusePort = options.reusePort === "on";
    const unix = unixPlaceOf(options);
    const listeners = await Listeners.open({ host, port, backlog, reusePort, count: sizing.shards, unix });
    const roster = createRoster(sizing.shards);
    let compute: ComputePool | undefined;
    let messages: MessageKeeper;
    try {
      compute = openComputePool(options, {
        shards: sizing.shards,
        driver: choice.name,
        compute: sizing.compute,
        heapLimits: computeHeapLimits(sizing.memory),
      });
      messages = new MessageKeeper({
        shards: sizing.shards,
        driver: choice.name,
        messagesMax: options.messagesMax,
        bytesMax: sizing.memory.messageBytes,
        hotThreshold: options.hotThreshold,
        schedulerDoorbells: compute?.share.doorbells ?? [],
      });
    } catch (error) {
      // Out of descriptors, as a rule.
      await compute?.close();
      listeners.closeAll();
      await hooks.attempt("close", undefined);
      throw error;
    }
    const assign = assigner({ request, choice, sizing, cpus, listeners, roster, compute, messages });
    // Before the threads start, because the inspector attaches to a thread when that starts.
    const watch = await watchShards(options.watchdogMs);
    const shardCount = sizing.shards;
    const spareBytes = sizing.memory.headroomBytes - sizing.memory.messageBytes;
    const parts = {
      listeners,
      options,
      shardMain,
      shardCount,
      roster,
      assign,
      compute,
      messages,
      watch,
      events,
      spareBytes,
    };
    const group = new ShardGroup(parts);
    void group.stopped.then(() => watch?.end());
    const stopped = group.stopped.then(async (report) => {
      messages.close();
      await compute?.close();
      return report;
    });
    let supervisor: Supervisor;
    try {
      supervisor = new Supervisor({ request, group, stopped, hooks, choice, sizing }, await group.start());
    } catch (error) {
      listeners.closeAll();
      await hooks.attempt("close", undefined);
      throw error;
    }
    await supervisor.#announce();
    return supervisor;
  }

  /** The address for people and clients; the unspecified address is shown as the loopback one, a Unix socket as `unix:` and its path. */
  get url(): string {
    if (this.path !== undefined) return `unix:${this.path}`;
    const host = this.host === "0.0.0.0" ? "127.0.0.1" : this.host === "::" ? "::1" : this.host;
    return `${this.tls === undefined ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${this.port}`;
  }

  /** Where the server is in its life, and how each shard is. */
  get health(): ServerHealth {
    return this.#group.health();
  }

  /**
   * Begins an orderly stop; a second call changes nothing, unless its `readyDelayMs` ends sooner. Resolves with the report.
   *
   * @param options.readyDelayMs How long the server is not ready and still serves everybody, before it drains.
   */
  stop(options: { readonly readyDelayMs?: number; readonly cause?: StopCause } = {}): Promise<StopReport> {
    this.#drainHook ??= this.#hooks.attempt("drain", undefined);
    this.#group.stop(options.cause ?? "requested", options.readyDelayMs);
    return this.stopped;
  }

  /** Ends an orderly stop now: what is unfinished is cut. */
  cut(): void {
    this.#group.cut();
  }

  /** Gives one shard after the other a new thread, which loads the module anew, without losing a request; see `RollingRestart`. */
  restart(): Promise<RestartReport> {
    return this.#group.restart();
  }

  /** Ends the thread of a shard at once, even inside a loop that never returns; its connections close, and it is replaced. */
  terminateShard(shard: number): void {
    if (shard in this.#group.seats) return this.#group.terminate(shard);
    throw new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot terminate: there is no shard ${shard}.`, {
      operation: "terminateShard",
      details: { shard },
    });
  }

  /** Calls a function that the module registered with `shardFunction`; see `invokeOnShard`. */
  invokeOnShard(name: string, options: InvokeOptions, ...args: readonly unknown[]): Promise<unknown> {
    return this.#calls.invoke(name, options, args);
  }

  async #announce(): Promise<void> {
    try {
      await this.#hooks.run("ready");
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** The last shard is gone: the last hooks, and their failures in the report. */
  async #close(report: StopReport): Promise<StopReport> {
    this.#calls.close();
    const drain = await (this.#drainHook ?? this.#hooks.attempt("drain", undefined));
    const close = await this.#hooks.attempt("close", undefined);
    const failures = [drain, close].filter((failure) => failure !== undefined);
    if (failures.length === 0) return report;
    const hookFailures = [...report.hookFailures, ...failures];
    return { ...report, hookFailures, exitCode: report.exitCode === 0 ? 1 : report.exitCode };
  }
}

interface SupervisorParts {
  readonly request: SupervisorRequest;
  readonly group: ShardGroup;
  /** Resolves when the last shard and the threads that ran its tasks are gone. */
  readonly stopped: Promise<StopReport>;
  readonly hooks: Hooks;
  readonly choice: DriverChoice;
  readonly sizing: Sizing;
}

/** Where to listen that is no port. Throws `ERR_RINGLOOM_INVALID_OPTION`. */
function unixPlaceOf({ unix, unixMode }: RuntimeOptions): UnixPlace | undefined {
  if (unix === "none") return undefined;
  const mode = unixMode === "auto" ? undefined : /^[0-7]{1,4}$/.test(unixMode) ? Number.parseInt(unixMode, 8) : -1;
  const place = { path: unix, mode };
  checkUnixPlace(place);
  return place;
}

function readyDelay(options: RuntimeOptions): number {
  if (options.readyDelayMs !== "auto") return options.readyDelayMs;
  // Set by the kubelet in each container.
  return process.env.KUBERNETES_SERVICE_HOST === undefined ? 0 : READY_DELAY_MS_POD;
}

/** What the assignments of all threads are made of. */
export interface AssignerParts {
  readonly request: Pick<SupervisorRequest, "module" | "options" | "service">;
  readonly choice: DriverChoice;
  readonly sizing: Sizing;
  readonly cpus: readonly (number | undefined)[];
  readonly listeners: Pick<Listeners, "targetFor">;
  readonly roster: SharedArrayBuffer;
  readonly compute: ComputePool | undefined;
  readonly messages: MessageKeeper;
}

/** Returns what makes the assignment of one thread. */
export function assigner(parts: AssignerParts): (shard: number, generation: number) => ShardAssignment {
  const { request, choice, sizing, cpus, listeners, roster, compute, messages } = parts;
  const { ringEntries, loop, hookMs, unhandledRejections, watchdogMs, stuckMs } = request.options;
  const { connectionsMax, writePoolBytes, receiveSlabBytes, spin } = sizing;
  const tls = tlsFilesOf(request.options);
  const counters = createCounters(sizing.shards);
  const facts: RuntimeFacts = {
    driver: choice.name,
    driverReason: choice.reason,
    memoryBudget: sizing.memory,
    startedAtMs: Date.now(),
    roster,
    scheduler: compute?.share,
  };
  return (shard, generation) => ({
    shard,
    shardCount: sizing.shards,
    generation,
    driver: choice.name,
    sizes: { connectionsMax, writePoolBytes, receiveSlabBytes, ringEntries, spin, loop },
    memory: { heapLimits: heapLimits(sizing.memory), servicePoolBytes: sizing.memory.servicePoolBytesPerShard },
    log: resolveLogSettings(request.options.log, request.options.logLevel),
    accessLog: request.options.accessLog === "on",
    target: listeners.targetFor(shard),
    tls,
    cpu: cpus[shard],
    counters,
    heartbeat: createHeartbeat(),
    beatMs: lookMs(watchdogMs, stuckMs),
    hookMs,
    unhandledRejections,
    facts,
    scheduler: compute?.admit(shard),
    messages: messages.admit(shard),
    module: request.module.href,
    sourceMaps: request.options.sourceMaps === "on",
    service: request.service,
  });
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
