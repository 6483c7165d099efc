/**
 * How many shards, and how much memory each one gets: pure functions of what the machine and the control groups allow and of what
 * the options ask for.
 */
import { availableParallelism, totalmem } from "node:os";
import { CONNECTIONS_DEFAULT } from "../constants.js";
import type { DriverName, SpinPolicy } from "../driver/contract.js";
import { type FileReader, readTextFile } from "../driver/system-files.js";
import { RingloomError } from "../errors.js";
import { type CgroupLimits, readCgroupLimits } from "./cgroup.js";
import { type PortSharing, portSharing } from "./listeners.js";
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
  readonly connectionsMax: number;
  readonly writePoolBytes: number;
  readonly receiveSlabBytes: number;
  readonly spin: SpinPolicy;
  readonly spinReason: string;
  readonly memory: MemoryBudget;
}

/**
 * What the runtime's own buffers may come to, as data to print. The JavaScript heaps come on top.
 * @experimental
 */
export interface MemoryBudget {
  /** The memory that this process may use. */
  readonly limitBytes: number;
  readonly limitFrom: "cgroup v1" | "cgroup v2" | "machine";
  readonly slotBytesPerShard: number;
  readonly writePoolBytesPerShard: number;
  readonly receiveSlabBytesPerShard: number;
  readonly buffersBytesTotal: number;
}

const MIB = 1_048_576;
/** The buffers of all shards together may take this part of the memory limit; the rest is for heaps, code and the kernel. */
const BUFFER_SHARE = 1 / 4;
const RECEIVE_SLAB_SHARE = 1 / 4;
const WRITE_POOL_SHARE = 1 / 2;
const SLOTS_SHARE = 1 / 4;
const POOL_BYTES_MAX = 64 * MIB;
/** Upper estimate of what a connection costs in typed arrays, driver and HTTP together. */
const CONNECTION_SLOT_BYTES = 512;
const CONNECTIONS_DEFAULT_MIN = 256;
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
 * Throws `ERR_RINGLOOM_INVALID_OPTION` when more shards are asked for than can listen here.
 */
export function sizeRuntime(facts: MachineFacts, options: RuntimeOptions, driver: DriverName): Sizing {
  const { shards, shardsReason } = countShards(facts, options);
  const limit = memoryLimit(facts);
  const share = (limit.bytes * BUFFER_SHARE) / shards;
  const receiveSlabBytes = countReceiveSlab(options, driver, share * RECEIVE_SLAB_SHARE);
  const writePoolBytes =
    options.writePoolMib === "auto" ? clampMib(share * WRITE_POOL_SHARE) : options.writePoolMib * MIB;
  const connectionsMax =
    options.connections === "auto" ? countConnections(facts, share * SLOTS_SHARE) : options.connections;
  const slotBytes = connectionsMax * CONNECTION_SLOT_BYTES;
  return {
    shards,
    shardsReason,
    connectionsMax,
    writePoolBytes,
    receiveSlabBytes,
    ...chooseSpin(facts, options, shards),
    memory: {
      limitBytes: limit.bytes,
      limitFrom: limit.from,
      slotBytesPerShard: slotBytes,
      writePoolBytesPerShard: writePoolBytes,
      receiveSlabBytesPerShard: receiveSlabBytes,
      buffersBytesTotal: (slotBytes + writePoolBytes + receiveSlabBytes) * shards,
    },
  };
}

function countShards(facts: MachineFacts, options: RuntimeOptions): { shards: number; shardsReason: string } {
  const { singleShardReason } = facts;
  if (options.shards !== "auto") {
    if (options.shards > 1 && singleShardReason !== undefined) throw cannotShard(options.shards, singleShardReason);
    return { shards: options.shards, shardsReason: "as asked" };
  }
  if (singleShardReason !== undefined) return { shards: 1, shardsReason: singleShardReason };
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

function countConnections(facts: MachineFacts, bytes: number): number {
  const byMemory = Math.max(Math.floor(bytes / CONNECTION_SLOT_BYTES), CONNECTIONS_DEFAULT_MIN);
  // The kernel spreads connections over the listeners by a hash, so each shard must be able to hold more than its even share.
  const byDescriptors = Math.max(facts.descriptorsMax - DESCRIPTORS_RESERVED, 1);
  return Math.min(byMemory, byDescriptors, CONNECTIONS_DEFAULT);
}

function countReceiveSlab(options: RuntimeOptions, driver: DriverName, bytes: number): number {
  // Node reads into chunks of its own there.
  if (driver === "portable") return 0;
  return options.receiveSlabMib === "auto" ? clampMib(bytes) : options.receiveSlabMib * MIB;
}

function memoryLimit(facts: MachineFacts): { bytes: number; from: MemoryBudget["limitFrom"] } {
  const { memoryLimitBytes, memoryVersion } = facts.cgroup;
  if (memoryLimitBytes !== undefined && memoryVersion !== "none" && memoryLimitBytes < facts.memoryTotalBytes) {
    return { bytes: memoryLimitBytes, from: `cgroup ${memoryVersion}` };
  }
  return { bytes: facts.memoryTotalBytes, from: "machine" };
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

/** Whole MiB, which is a multiple of the write pool's 64 KiB and of the slab's 4 KiB. */
function clampMib(bytes: number): number {
  return Math.min(Math.max(Math.floor(bytes / MIB), 1) * MIB, POOL_BYTES_MAX);
}

function limitNumber(text: string | undefined): number {
  const value = Number(text || Number.NaN);
  return Number.isNaN(value) ? Number.POSITIVE_INFINITY : value;
}

function round(value: number): string {
  return String(Math.round(value * 100) / 100);
}
