/**
 * The supervisor: the main thread's part of a server. It chooses and sizes, owns the listening sockets, starts one thread per
 * shard, watches them, and ends them in order. It runs no handler and knows no protocol.
 *
 *     start: choose driver → size → open sockets → start threads → all ready
 *     stop:  drain every shard, each closing its socket when nobody waits in it → all gone (or cut at the deadline) → report
 *
 * Signals are the caller's: see `stopOnSignals` in `signals.ts`.
 */
import { chooseDriver, type DriverChoice } from "../driver/choose.js";
import { RingloomError } from "../errors.js";
import { loadNative, nativeProblem } from "../native.js";
import { resolveLogSettings } from "../observe/log.js";
import { createPulses } from "../observe/pulse.js";
import { createCounters } from "./counters.js";
import { Listeners } from "./listeners.js";
import { heapLimits } from "./memory-plan.js";
import type { RuntimeOptions } from "./options.js";
import { ShardGroup, type ShardLost, type StopReport } from "./shard-group.js";
import type { ShardAssignment } from "./shard-protocol.js";
import { type MachineFacts, readMachineFacts, type Sizing, sizeRuntime } from "./sizing.js";
import { watchShards } from "./watch-shards.js";

/** What to supervise. */
export interface SupervisorRequest {
  /** The user's module, a file URL (see `resolveModule`). */
  readonly module: URL;
  /** The module that each shard's thread runs; it calls `runShard`. */
  readonly shardMain: URL;
  readonly options: RuntimeOptions;
  /** Options of the service, handed to the shards as they are. */
  readonly service: Readonly<Record<string, unknown>>;
  readonly shardLost?: ShardLost;
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

  private constructor(
    group: ShardGroup,
    choice: DriverChoice,
    sizing: Sizing,
    address: { host: string; port: number },
  ) {
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
    const sizing = sizeRuntime(facts, options, choice.name);
    const cpus = assignCpus(options.cpu, facts, sizing.shards);
    const { host, port, backlog } = options;
    const listeners = await Listeners.open({ host, port, backlog, count: sizing.shards, driver: choice.name });
    const group = new ShardGroup(listeners, options, request.shardLost);
    const pulses = createPulses(sizing.shards);
    // Before the threads start, because the inspector attaches to a thread when that starts.
    const endWatch = await watchShards(pulses, options.watchdogMs);
    void group.stopped.then(endWatch);
    try {
      const assignments = makeAssignments(request, choice, sizing, cpus, listeners);
      const address = await group.start(
        assignments.map((assignment) => ({ ...assignment, pulses })),
        request.shardMain,
      );
      return new Supervisor(group, choice, sizing, address);
    } catch (error) {
      listeners.closeAll();
      throw error;
    }
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

/** What each shard is given at birth. */
export function makeAssignments(
  request: Omit<SupervisorRequest, "shardMain" | "shardLost">,
  choice: DriverChoice,
  sizing: Sizing,
  cpus: readonly (number | undefined)[],
  listeners: Pick<Listeners, "targetFor">,
): Omit<ShardAssignment, "pulses">[] {
  const counters = createCounters(sizing.shards);
  const { ringEntries, loop } = request.options;
  const { connectionsMax, writePoolBytes, receiveSlabBytes, spin } = sizing;
  return Array.from({ length: sizing.shards }, (_, shard) => ({
    shard,
    shardCount: sizing.shards,
    driver: choice.name,
    sizes: { connectionsMax, writePoolBytes, receiveSlabBytes, ringEntries, spin, loop },
    memory: { heapLimits: heapLimits(sizing.memory), servicePoolBytes: sizing.memory.servicePoolBytesPerShard },
    log: resolveLogSettings(request.options.log, request.options.logLevel),
    accessLog: request.options.accessLog === "on",
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
    sourceMaps: request.options.sourceMaps === "on",
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
