/** A shard's seat in the scheduler: told of settled tasks by the shard's driver. A shard that only spawns opens it when its module first needs one; a shard that runs tasks, at its birth. */
import type { DriverWake } from "../driver/contract.js";
import { setDefaultSeat, setSeat } from "./current-seat.js";
import type { SchedulerAssignment } from "./scheduler-memory.js";
import { Seat, type SeatCounts } from "./seat.js";
import { ShardExecutor } from "./shard-executor.js";

/** How often tasks are looked for while the shard has no driver, in milliseconds: a module may spawn tasks while it loads, and in its hooks after the drain. */
const LOOK_MS = 1;
/** How often a shard that ends looks whether the tasks are done that it has begun, in milliseconds. */
const END_LOOK_MS = 5;

const NO_COUNTS: SeatCounts = { spawned: 0, settled: 0, overloaded: 0, cancelled: 0 };
let seat: Seat | undefined;
let executor: ShardExecutor | undefined;
let hasDriver = false;
let isInFlight = false;
let lookTimer: NodeJS.Timeout | undefined;

/** Gives this thread a seat: at once when shards run the tasks, else when its module first spawns a task; `spawnsTasks` is called then. */
export function openShardSeat(assignment: SchedulerAssignment, spawnsTasks: () => void): void {
  if (assignment.sleep === "word") {
    setDefaultSeat(() => {
      spawnsTasks();
      seat = new Seat(assignment, setInFlight);
      return seat;
    });
    return;
  }
  seat = new Seat(assignment, setInFlight, () => executor?.wake());
  setSeat(seat);
  executor = new ShardExecutor(seat, assignment.sleep === "driver");
  lookMeanwhile();
}

/** What the shard's tasks count: zeros before its first one. */
export function taskCounts(): Readonly<Record<string, number>> {
  return {
    ...(seat?.counts ?? NO_COUNTS),
    inFlight: seat?.liveCount ?? 0,
    cloned: seat?.values.counts.cloned ?? 0,
    ported: seat?.values.ports.count ?? 0,
  };
}

/** What the shard's driver does for the seat: to be given to it when it is created. */
export function shardWake(assignment: SchedulerAssignment | undefined): DriverWake | undefined {
  const doorbell = assignment?.doorbells[assignment.thread];
  if (doorbell === undefined) return undefined;
  hasDriver = true;
  lookMeanwhile();
  return { doorbell, rung: look, idle: assignment?.sleep === "driver" ? executor : undefined };
}

/** The shard's driver has ended, and hooks that run after it may wait for tasks. */
export function shardDriverEnded(): void {
  hasDriver = false;
  lookMeanwhile();
}

/** How a shard's tasks come to their end. */
export interface ShardTasksEnd {
  readonly deadlineMs: number;
  /** Another thread serves its place already; see {@link ComputePool.handOver}. */
  readonly hasSuccessor: boolean;
}

/** This thread is about to end: begins no further task, and resolves when those are done that it has begun, or after `deadlineMs`. With a successor, it runs before what it was sent when the place was its own. */
export async function endShardTasks({ deadlineMs, hasSuccessor }: ShardTasksEnd): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (hasSuccessor && executor?.tryLeave() === false && performance.now() < endMs) {
    await new Promise((resolve) => setTimeout(resolve, END_LOOK_MS));
  }
  executor?.retire();
  while ((executor?.runningNow ?? 0) > 0 && performance.now() < endMs) {
    executor?.continueBegun();
    await new Promise((resolve) => setTimeout(resolve, END_LOOK_MS));
  }
}

function look(): void {
  seat?.drainSettled();
  executor?.rung();
}

function setInFlight(isNow: boolean): void {
  isInFlight = isNow;
  lookMeanwhile();
}

function lookMeanwhile(): void {
  clearInterval(lookTimer);
  lookTimer = undefined;
  if (hasDriver || (!isInFlight && executor === undefined)) return;
  lookTimer = setInterval(look, LOOK_MS);
  // Tasks of others keep no thread alive.
  if (!isInFlight) lookTimer.unref();
}
