/**
 * What a thread for blocking tasks runs: one task after the other, until there has been none for a while. It always sleeps in its event loop, because a task may wait for something too; then the thread takes
 * others meanwhile, so that tasks which call tasks of their own kind cannot use up all threads by waiting.
 *
 * It is announced as asleep only when it has nothing at all to do: who has a task for it then need not ask whether its event loop is busy.
 */
import { parentPort, workerData } from "node:worker_threads";
import { setSeat } from "./current-seat.js";
import { openDeskLine } from "./desk-message.js";
import { LoopBell } from "./loop-bell.js";
import { allowParking } from "./park-until.js";
import { BLOCKING_IDLE_CODE, type SchedulerAssignment } from "./scheduler-memory.js";
import { Seat } from "./seat.js";
import { openShardLine } from "./shard-line.js";

/** What a blocking thread is given at birth (`workerData`). */
export interface BlockingAssignment extends SchedulerAssignment {
  /** How long it waits for a task before it ends, in milliseconds. */
  readonly idleMs: number;
}

// The cast is safe because the supervisor of the same build makes it.
const assignment = workerData as BlockingAssignment;
const seat = new Seat(assignment);
setSeat(seat);
allowParking();
const executor = seat.openBlockingExecutor();
const bell = new LoopBell(assignment.doorbells[assignment.thread]!);
/** One wait at a time; it may outlast the patience of {@link sleep}. */
let ring: Promise<true> | undefined;
// Keeps the thread alive while it sleeps.
parentPort?.on("message", () => undefined);
if (parentPort !== null) openDeskLine(parentPort);
if (parentPort !== null) openShardLine(parentPort, assignment.callableShards);
parentPort?.postMessage("ready");

do {
  while (executor.runMany(1, 0) + seat.drainSettled() > 0) {
    seat.publishFigures(executor.figures);
    await new Promise((resolve) => setImmediate(resolve));
  }
  seat.publishFigures(executor.figures);
} while (await sleep());
// What the tasks have left behind, a timer for instance, does not keep the thread.
process.exit(BLOCKING_IDLE_CODE);

/** Announce, recheck, sleep. False when nothing has come for long. */
async function sleep(): Promise<boolean> {
  const { parkers, self } = seat.segment;
  if (executor.runningNow > 0 || seat.liveCount > 0) {
    if (!hasWork()) await rung();
    return true;
  }
  if (!parkers.announce(self, "loop")) return true;
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise((resolve) => {
    timer = setTimeout(resolve, assignment.idleMs);
  });
  const wasRung = hasWork() || (await Promise.race([rung(), patience])) === true;
  clearTimeout(timer);
  // Who has notified it since counts on it, and so does who is sending it something.
  return parkers.retract(self) || wasRung || !seat.tryLeave(hasWork);
}

function rung(): Promise<true> {
  ring ??= bell.next().then(() => {
    ring = undefined;
    return true;
  });
  return ring;
}

function hasWork(): boolean {
  return !executor.isIdle() || seat.hasSettled();
}
