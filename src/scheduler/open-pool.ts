/** The compute pool of a server, from its options, and the main thread's way to it. */

import { availableParallelism } from "node:os";
import type { WorkerOptions } from "node:worker_threads";
import { THREADS_MAX } from "../constants.js";
import type { DriverName } from "../driver/contract.js";
import { RingloomError } from "../errors.js";
import { type ComputeMain, ComputePool } from "./compute-pool.js";
import { type Seat, setDefaultSeat, withdrawSeat } from "./seat.js";
import { BLOCKING_IDLE_MS, blockingDefault } from "./task-options.js";

/** The options that are about tasks. */
export interface ComputeOptions {
  /** Threads that run tasks; 0 for none. */
  readonly compute: number | "auto";
  readonly computeNice: number;
  /** Threads for tasks that block, at most. */
  readonly blocking: number | "auto";
  readonly tasksMax: number;
}

/** What a pool must know of its server. */
export interface PoolRequest {
  readonly shards: number;
  readonly driver: DriverName;
  readonly heapLimits: WorkerOptions["resourceLimits"];
  readonly main?: ComputeMain;
}

/** While one thread takes over from another both are there, and one that drains may outlive several restarts. */
const GUESTS_PER_SHARD = 3;
const SPIN_MICROS = 25;

/** Makes the pool; its threads start with the first task. Undefined when the options want none. The main thread's own tasks use it too, so that a process has one. */
export function openComputePool(options: ComputeOptions, request: PoolRequest): ComputePool | undefined {
  const compute = options.compute === "auto" ? Math.max(1, Math.trunc(availableParallelism() / 2)) : options.compute;
  if (compute === 0) {
    setDefaultSeat(noSeat);
    return undefined;
  }
  const blocking = options.blocking === "auto" ? blockingFor(request, compute) : options.blocking;
  const pool = new ComputePool({
    compute,
    blocking,
    blockingIdleMs: BLOCKING_IDLE_MS,
    guests: Math.min(request.shards * GUESTS_PER_SHARD, THREADS_MAX - compute - blocking - 1),
    guestDriver: request.driver,
    nice: options.computeNice,
    spinMicros: SPIN_MICROS,
    tasksMax: options.tasksMax,
    resourceLimits: request.heapLimits,
    main: request.main,
    closing: () => withdrawSeat(openSeat, pool.seat),
  });
  setDefaultSeat(openSeat);
  return pool;

  function openSeat(): Seat {
    pool.start();
    return pool.seat;
  }
}

/** Fewer where the ids of threads are scarce: what calls tasks comes first. */
function blockingFor({ shards }: PoolRequest, compute: number): number {
  const left = THREADS_MAX - compute - 1 - 2 * shards;
  return Math.max(1, Math.min(blockingDefault(), left));
}

function noSeat(): never {
  throw new RingloomError("ERR_RINGLOOM_WRONG_THREAD", "Cannot spawn: this server runs no tasks (--compute 0).", {
    operation: "spawn",
  });
}
