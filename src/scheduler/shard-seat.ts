/** A shard's seat in the scheduler: opened when its module first needs one, and told of settled tasks by the shard's driver. */
import type { DriverWake } from "../driver/contract.js";
import type { SchedulerAssignment } from "./scheduler-memory.js";
import { Seat, type SeatCounts, setDefaultSeat } from "./seat.js";

/** How often tasks are looked for while the shard has no driver, in milliseconds: a module may spawn tasks while it loads, and in its hooks after the drain. */
const LOOK_MS = 1;

const NO_COUNTS: SeatCounts = { spawned: 0, settled: 0, overloaded: 0, cancelled: 0 };
let seat: Seat | undefined;
let hasDriver = false;
let lookTimer: NodeJS.Timeout | undefined;

/** Gives this thread a seat when its module first spawns a task; `spawnsTasks` is called then. */
export function openShardSeat(assignment: SchedulerAssignment, spawnsTasks: () => void): void {
  setDefaultSeat(() => {
    spawnsTasks();
    seat = new Seat(assignment, (isInFlight) => lookMeanwhile(isInFlight));
    return seat;
  });
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
  lookMeanwhile(false);
  return { doorbell, rung: () => seat?.drainSettled() };
}

/** The shard's driver has ended, and hooks that run after it may wait for tasks. */
export function shardDriverEnded(): void {
  hasDriver = false;
  lookMeanwhile((seat?.liveCount ?? 0) > 0);
}

function lookMeanwhile(isInFlight: boolean): void {
  clearInterval(lookTimer);
  lookTimer = undefined;
  if (isInFlight && !hasDriver) lookTimer = setInterval(() => seat?.drainSettled(), LOOK_MS);
}
