/**
 * How many shards, and how much memory each one gets: pure functions of what the machine and the control groups allow and of what
 * the options ask for.
 */
import { availableParallelism, totalmem } from "node:os";
import { CONNECTIONS_DEFAULT } from "../constants.js";
import type { DriverName, SpinPolicy } from "../driver/contract.js";
import { type FileReader, readTextFile } from "../driver/system-files.js";
import { RingloomError } from "../errors.js";
import { blockingDefault } from "../scheduler/task-options.js";
import { COMPUTE_MAX } from "../scheduler/topology.js";
import { type CgroupLimits, readCgroupLimits } from "./cgroup.js";
import { type PortSharing, portSharing } from "./listeners.js";
import { type MemoryBudget, memoryNeeded, planMemory } from "./memory-plan.js";
import { parseCpuList, type RuntimeOptions } from "./options.js";

/** What a process may use here. */
export interface MachineFacts {
  /** The CPUs of the affinity mask, by number. */
  readonly cpus: readonly number[];
  readonly cgroup: CgroupLimits;
  readonly memoryTotalBytes: number;
  /** Why only one shard can listen, a phrase; undefined when several can. */
  readonly singleShardReason: string | undefined;
  /** RLIMIT_NOFILE. Node raises its soft limit to the hard one at start. */
  readonly descriptorsMax: number;
}

/** The settled sizes. All memory figures are of one shard unless the name says otherwise. */
export interface Sizing {
  readonly shards: number;
  /** Why so many, as a phrase: `2 CPUs allowed`. */
  readonly shardsReason: string;
  /** Compute threads, and why so many. */
  readonly compute: number;
  readonly computeReason: string;
  readonly connectionsMax: number;
  readonly writePoolBytes: number;
  readonly receiveSlabBytes: number;
  readonly spin: SpinPolicy;
  readonly spinReason: string;
  readonly memory: MemoryBudget;
}

/** Descriptors that are not connections: rings, listeners, standard streams, files of the module. */
const DESCRIPTORS_RESERVED = 64;

/** What this process may use, from /proc and /sys where they exist and from Node's own figures elsewhere. */
export function readMachineFacts(read: FileReader = readTextFile, sharing: PortSharing = portSharing()): MachineFacts {
  const listed = /^Cpus_allowed_list:\s*(\S+)/m.exec(read("/proc/self/status") ?? "")?.[1];
  const cpus = listed === undefined ? undefined : parseCpuList(listed);
  return {
    cpus: cpus ?? Array.from({ length: availableParallelism() }, (_, index) => index),
    cgroup: readCgroupLimits(read),
    memoryTotalBytes: totalmem(),
    singleShardReason: sharing.isPossible ? undefined : sharing.reason,
    descriptorsMax: readLimit(read("/proc/self/limits") ?? "", "Max open files").hard,
  };
}

/** A line of /proc/self/limits, soft and hard; Infinity for "unlimited" and where the file does not exist. */
export function readLimit(limits: string, name: string): { readonly soft: number; readonly hard: number } {
  const line = limits.split("\n").find((candidate) => candidate.startsWith(name)) ?? "";
  const [soft, hard] = line.slice(name.length).trim().split(/\s+/);
  return { soft: limitNumber(soft), hard: limitNumber(hard) };
}

/**
 * Settles every `auto` of the options against the facts.
 * Throws `ERR_RINGLOOM_INVALID_OPTION` when more shards are asked for than can listen here, and `ERR_RINGLOOM_MEMORY_LIMIT` when they do not fit the memory limit.
 */
export function sizeRuntime(facts: MachineFacts, options: RuntimeOptions, driver: DriverName): Sizing {
  const { shards, shardsReason } = countShards(facts, options, driver);
  const { compute, computeReason } = countCompute(facts, options, { shards, hasSlab: driver !== "portable" });
  const byDescriptors = Math.max(facts.descriptorsMax - DESCRIPTORS_RESERVED, 1);
  const { budget, connectionsMax } = planMemory({
    ...memoryLimit(facts),
    shards,
    compute,
    blocking: countBlocking(options, compute, facts.cpus.length),
    hasSlab: driver !== "portable",
    // The kernel spreads connections over the listeners by a hash, so each shard must be able to hold more than its even share.
    connectionsMax: Math.min(byDescriptors, CONNECTIONS_DEFAULT),
    options,
  });
  return {
    shards,
    shardsReason,
    compute,
    computeReason,
    connectionsMax,
    writePoolBytes: budget.writePoolBytesPerShard,
    receiveSlabBytes: budget.receiveSlabBytesPerShard,
    ...chooseSpin(facts, options, shards),
    memory: budget,
  };
}

function countShards(
  facts: MachineFacts,
  options: RuntimeOptions,
  driver: DriverName,
): { shards: number; shardsReason: string } {
  const { singleShardReason } = facts;
  if (options.shards !== "auto") {
    if (options.shards > 1 && singleShardReason !== undefined) throw cannotShard(options.shards, singleShardReason);
    return { shards: options.shards, shardsReason: "as asked" };
  }
  if (singleShardReason !== undefined) return { shards: 1, shardsReason: singleShardReason };
  const byCpu = countShardsByCpu(facts);
  const { limitBytes } = memoryLimit(facts);
  // More threads than their memory allows would share it so thinly that none can run. One is tried in any case, and refused with the reason.
  let shards = byCpu.shards;
  const leastCompute = options.compute === "auto" ? 1 : options.compute;
  const compute = options.topology === "io+compute" ? leastCompute : 0;
  while (shards > 1 && memoryNeeded(shards, driver !== "portable", compute) > limitBytes) shards--;
  if (shards === byCpu.shards) return byCpu;
  return { shards, shardsReason: `memory for no more: ${Math.floor(limitBytes / 1_048_576)} MiB allowed` };
}

/** One thread for tasks comes before a second shard, because without any there are no tasks; further ones come after the shards. Where memory holds one shard alone, there is none. */
function countCompute(
  facts: MachineFacts,
  options: RuntimeOptions,
  { shards, hasSlab }: { shards: number; hasSlab: boolean },
): { compute: number; computeReason: string } {
  if (options.topology !== "io+compute") return { compute: 0, computeReason: `the topology is ${options.topology}` };
  if (options.compute !== "auto") return { compute: options.compute, computeReason: "as asked" };
  const wanted = Math.min(Math.max(1, Math.trunc(countShardsByCpu(facts).shards / 2)), COMPUTE_MAX);
  const { limitBytes } = memoryLimit(facts);
  let compute = wanted;
  while (compute > 0 && memoryNeeded(shards, hasSlab, compute) > limitBytes) compute--;
  if (compute === wanted) return { compute, computeReason: "half of the CPUs, at least 1" };
  return { compute, computeReason: `memory for no more: ${Math.floor(limitBytes / 1_048_576)} MiB allowed` };
}

function countBlocking({ topology, blocking }: RuntimeOptions, compute: number, cpus: number): number {
  if (topology === "io+compute" && compute === 0) return 0;
  return blocking === "auto" ? blockingDefault(cpus) : blocking;
}

function countShardsByCpu(facts: MachineFacts): { shards: number; shardsReason: string } {
  const allowed = facts.cpus.length;
  const quota = facts.cgroup.cpuQuota;
  if (quota !== undefined && Math.ceil(quota) < allowed) {
    return { shards: Math.ceil(quota), shardsReason: `CPU quota ${round(quota)} of ${allowed} allowed CPUs` };
  }
  return { shards: allowed, shardsReason: `${allowed} ${allowed === 1 ? "CPU" : "CPUs"} allowed` };
}

function cannotShard(shards: number, reason: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot start ${shards} shards: ${reason}.`, {
    operation: "size the runtime",
    details: { option: "shards", value: shards },
  });
}

function memoryLimit(facts: MachineFacts): { limitBytes: number; limitFrom: MemoryBudget["limitFrom"] } {
  const { memoryLimitBytes, memoryVersion } = facts.cgroup;
  if (memoryLimitBytes !== undefined && memoryVersion !== "none" && memoryLimitBytes < facts.memoryTotalBytes) {
    return { limitBytes: memoryLimitBytes, limitFrom: `cgroup ${memoryVersion}` };
  }
  return { limitBytes: facts.memoryTotalBytes, limitFrom: "machine" };
}

function chooseSpin(
  facts: MachineFacts,
  options: RuntimeOptions,
  shards: number,
): { spin: SpinPolicy; spinReason: string } {
  const microsMax = options.spinMicrosMax;
  if (options.spin !== "auto") return { spin: { mode: options.spin, microsMax }, spinReason: "as asked" };
  const quota = facts.cgroup.cpuQuota;
  if (quota !== undefined && quota < shards) {
    return { spin: { mode: "off", microsMax }, spinReason: "the CPU quota is below one CPU per shard" };
  }
  if (facts.cpus.length < shards) {
    return { spin: { mode: "off", microsMax }, spinReason: "there are fewer CPUs than shards" };
  }
  return { spin: { mode: "adaptive", microsMax }, spinReason: "each shard has a CPU" };
}

function limitNumber(text: string | undefined): number {
  const value = Number(text || Number.NaN);
  return Number.isNaN(value) ? Number.POSITIVE_INFINITY : value;
}

function round(value: number): string {
  return String(Math.round(value * 100) / 100);
}
