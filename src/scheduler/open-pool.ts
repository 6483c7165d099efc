/** The compute pool of a server, from its options. */

import type { WorkerOptions } from "node:worker_threads";
import type { DriverName } from "../driver/contract.js";
import { type ComputeMain, ComputePool, type RunningShards } from "./compute-pool.js";
import { EXECUTORS_MAX, type TopologyOptions, taskThreads } from "./topology.js";

/** The options that are about tasks. */
export interface ComputeOptions extends TopologyOptions {
  readonly computeNice: number;
  readonly tasksMax: number;
  /** Who sleeps on a shard: its driver, or libuv. */
  readonly loop: "inverted" | "uv";
  /** How often threads may die before they have run anything. */
  readonly restartsMax: number;
  readonly restartWindowMs: number;
  readonly restartBackoffMs: number;
}

/** What a pool must know of its server. */
export interface PoolRequest {
  readonly shards: number;
  /** Compute threads; 0 for none. */
  readonly compute: number;
  readonly driver: DriverName;
  readonly heapLimits: WorkerOptions["resourceLimits"];
  readonly main?: ComputeMain;
}

/** While one thread takes over from another both are there, and one that drains may outlive several restarts. */
const THREADS_PER_SHARD = 3;
const SPIN_MICROS = 25;

/** Makes the pool; compute threads start with the first task. Undefined when the options want none. */
export function openComputePool(options: ComputeOptions, request: PoolRequest): ComputePool | undefined {
  const { topology, count } = taskThreads(options, request);
  if (count === 0) return undefined;
  const isComputed = topology === "io+compute";
  const compute = isComputed ? count : 0;
  const { restartsMax, restartWindowMs: windowMs, restartBackoffMs: backoffMs } = options;
  const threadsOfShards = Math.min(request.shards * THREADS_PER_SHARD, EXECUTORS_MAX - compute);
  const shards: RunningShards = {
    count,
    threads: threadsOfShards,
    sleep: request.driver === "portable" || options.loop === "uv" ? "loop" : "driver",
    steals: topology === "work-stealing",
  };
  return new ComputePool({
    compute,
    guests: isComputed ? threadsOfShards : 0,
    guestDriver: request.driver,
    shards: isComputed ? undefined : shards,
    nice: options.computeNice,
    spinMicros: SPIN_MICROS,
    tasksMax: options.tasksMax,
    restarts: { restartsMax, windowMs, backoffMs },
    resourceLimits: request.heapLimits,
    main: request.main,
  });
}
