/** The compute pool of a server, from its options. */

import type { WorkerOptions } from "node:worker_threads";
import { THREADS_MAX } from "../constants.js";
import type { DriverName } from "../driver/contract.js";
import { type ComputeMain, ComputePool } from "./compute-pool.js";

/** The options that are about tasks. */
export interface ComputeOptions {
  readonly computeNice: number;
  readonly tasksMax: number;
}

/** What a pool must know of its server. */
export interface PoolRequest {
  readonly shards: number;
  /** Threads that run tasks; 0 for none. */
  readonly compute: number;
  readonly driver: DriverName;
  readonly heapLimits: WorkerOptions["resourceLimits"];
  readonly main?: ComputeMain;
}

/** While one thread takes over from another both are there, and one that drains may outlive several restarts. */
const GUESTS_PER_SHARD = 3;
const SPIN_MICROS = 25;

/** Makes the pool; its threads start with the first task. Undefined when the options want none. */
export function openComputePool(options: ComputeOptions, request: PoolRequest): ComputePool | undefined {
  const { compute } = request;
  if (compute === 0) return undefined;
  return new ComputePool({
    compute,
    guests: Math.min(request.shards * GUESTS_PER_SHARD, THREADS_MAX - compute - 1),
    guestDriver: request.driver,
    nice: options.computeNice,
    spinMicros: SPIN_MICROS,
    tasksMax: options.tasksMax,
    resourceLimits: request.heapLimits,
    main: request.main,
  });
}
