/**
 * What a compute thread runs: tasks, until it is terminated. It sleeps in `Atomics.wait` when nothing of its own can happen meanwhile, and else in its event loop.
 */
import { readlinkSync } from "node:fs";
import { setPriority } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import { openDeskLine } from "./desk-message.js";
import type { Executor } from "./executor.js";
import { LoopBell } from "./loop-bell.js";
import type { SchedulerAssignment } from "./scheduler-memory.js";
import { Seat, setSeat } from "./seat.js";

/** What a compute thread is given at birth (`workerData`). */
export interface ComputeAssignment extends SchedulerAssignment {
  /** The scheduling priority of the thread, 0 to 19: the kernel prefers threads with a lower one. */
  readonly nice: number;
  /** How long it looks for work before it sleeps, in microseconds. */
  readonly spinMicros: number;
}

/** Tasks that are run before microtasks are. */
const TASKS_PER_ROUND = 64;
/** Without a task that waits for something, the event loop turns this often while there is work, in milliseconds. */
const TURN_MS = 10;
/** How often a thread that is loading a module looks whether others have taken what it has left to them, in milliseconds. */
const LEFT_MS = 1;

// The cast is safe because the supervisor of the same build makes it.
const assignment = workerData as ComputeAssignment;
lowerPriority(assignment.nice);
const seat = new Seat(assignment);
setSeat(seat);
const executor = seat.openExecutor();
const bell = new LoopBell(assignment.doorbells[assignment.thread]!);
// Keeps the thread alive while it sleeps in its loop.
parentPort?.on("message", () => undefined);
if (parentPort !== null) openDeskLine(parentPort);
parentPort?.postMessage("ready");
await turn();
/** Resources that exist without any task: ports, such as the one to the supervisor. What else there is at birth is passing, and would later hide something of a task's. */
let resourcesAtRest = process.getActiveResourcesInfo().filter((name) => name === "MessagePort").length;
await work(executor);

async function work(runner: Executor): Promise<never> {
  let turnedMs = performance.now();
  let isTurnDue = false;
  for (;;) {
    const count = runner.runMany(TASKS_PER_ROUND, TURN_MS) + seat.drainSettled();
    if (count > 0) seat.publishFigures(runner.figures);
    // Promises of this round go on here.
    await undefined;
    isTurnDue ||= runner.runningNow > 0 || count === 0 || performance.now() - turnedMs > TURN_MS;
    if (count === 0) await (runner.hasLeft ? pause() : park(runner));
    // Who was woken to search does so first: meanwhile nobody else is woken, and what the event loop does next may take long.
    if (isTurnDue && !runner.isWoken) {
      await turn();
      turnedMs = performance.now();
      isTurnDue = false;
    }
  }
}

/** Announce, recheck, sleep. */
async function park(runner: Executor): Promise<void> {
  const { idle, self } = seat.segment;
  if (findsWorkSoon(runner)) return;
  const isFrozen = runner.runningNow === 0 && seat.liveCount === 0 && isAtRest();
  if (!idle.announce(self, isFrozen ? "word" : "loop")) return;
  if (hasWork(runner)) {
    runner.isWoken = idle.retract(self);
    runner.hasSeenWork = true;
    return;
  }
  if (isFrozen) {
    runner.isWoken = idle.sleep(self);
    runner.askInboxFirst();
    return;
  }
  await bell.next();
  runner.isWoken = idle.retract(self);
}

/** Whether nothing of this thread's own can happen while it sleeps. */
function isAtRest(): boolean {
  const now = process.getActiveResourcesInfo().length;
  const isQuiet = now <= resourcesAtRest;
  // The fewest that were ever seen: if one has gone, another one is a task's.
  if (isQuiet) resourcesAtRest = now;
  return isQuiet;
}

function hasWork(runner: Executor): boolean {
  return !runner.isIdle() || seat.hasSettled();
}

function findsWorkSoon(runner: Executor): boolean {
  const endMs = performance.now() + assignment.spinMicros / 1_000;
  do {
    if (hasWork(runner)) {
      runner.hasSeenWork = true;
      return true;
    }
  } while (performance.now() < endMs);
  return false;
}

/** What this thread has left to others, because it is loading the module, would wake it at once if it parked. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, LEFT_MS));
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Threads have priorities of their own on Linux, by the thread's id; elsewhere nothing is changed. */
function lowerPriority(nice: number): void {
  if (nice === 0 || process.platform !== "linux") return;
  try {
    const thread = Number(readlinkSync("/proc/thread-self").split("/").at(-1));
    if (Number.isInteger(thread)) setPriority(thread, nice);
  } catch {
    // A sandbox without /proc, or one that denies setpriority: the tasks run all the same.
  }
}
