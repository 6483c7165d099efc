/** The compute pool of a server, from its options, and the main thread's way to it. */

import type { WorkerOptions } from "node:worker_threads";
import type { DriverName } from "../driver/contract.js";
import { RingloomError } from "../errors.js";
import { type ComputeMain, ComputePool, type RunningShards } from "./compute-pool.js";
import { setDefaultSeat, withdrawSeat } from "./current-seat.js";
import type { Seat } from "./seat.js";
import { BLOCKING_IDLE_MS, blockingDefault } from "./task-options.js";
import { EXECUTORS_MAX, type TopologyOptions, taskThreads } from "./topology.js";

/** The options that are about tasks. */
export interface ComputeOptions extends TopologyOptions {
  readonly computeNice: number;
  /** Threads for tasks that block, at most. */
  readonly blocking: number | "auto";
  readonly tasksMax: number;
  /** Values by port that may be under way from one thread to another, in MiB. */
  readonly taskPortMib: number;
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

/** Makes the pool; compute threads start with the first task. Undefined when the options want none. The main thread's own tasks use it too, so that a process has one. */
export function openComputePool(options: ComputeOptions, request: PoolRequest): ComputePool | undefined {
  const { topology, count } = taskThreads(options, request);
  if (count === 0) {
    setDefaultSeat(noSeat);
    return undefined;
  }
  const isComputed = topology === "io+compute";
  const compute = isComputed ? count : 0;
  const blocking = options.blocking === "auto" ? blockingFor(request, compute) : options.blocking;
  const { restartsMax, restartWindowMs: windowMs, restartBackoffMs: backoffMs } = options;
  const threadsOfShards = Math.min(request.shards * THREADS_PER_SHARD, EXECUTORS_MAX - compute - blocking);
  const shards: RunningShards = {
    count,
    threads: threadsOfShards,
    sleep: request.driver === "portable" || options.loop === "uv" ? "loop" : "driver",
    steals: topology === "work-stealing",
  };
  const pool = new ComputePool({
    compute,
    blocking,
    blockingIdleMs: BLOCKING_IDLE_MS,
    guests: isComputed ? threadsOfShards : 0,
    guestDriver: request.driver,
    shards: isComputed ? undefined : shards,
    callableShards: request.shards,
    nice: options.computeNice,
    spinMicros: SPIN_MICROS,
    tasksMax: options.tasksMax,
    portMib: options.taskPortMib,
    restarts: { restartsMax, windowMs, backoffMs },
    resourceLimits: request.heapLimits,
    main: request.main,
    closing: () => withdrawSeat(openSeat, pool.seat),
  });
  setDefaultSeat(openSeat);
  // Shards that run tasks do not say when the first one comes, and one that blocks needs the supervisor.
  if (!isComputed) pool.start();
  return pool;

  function openSeat(): Seat {
    pool.start();
    return pool.seat;
  }
}

/** Fewer where the ids of threads are scarce: what calls tasks comes first. */
function blockingFor({ shards }: PoolRequest, compute: number): number {
  const left = EXECUTORS_MAX - compute - 2 * shards;
  return Math.max(1, Math.min(blockingDefault(), left));
}

function noSeat(): never {
  throw new RingloomError(
    "ERR_RINGLOOM_WRONG_THREAD",
    "Cannot spawn: this server has no threads for tasks (--compute).",
    {
      operation: "spawn",
    },
  );
}
