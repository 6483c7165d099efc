/**
 * What a compute thread runs: tasks, until it is terminated. It sleeps in `Atomics.wait` when nothing of its own can happen meanwhile, and else in its event loop.
 *
 * Of what a task has left behind without waiting for it, Node tells handles, timers and requests, but neither promises nor jobs of libuv's pool (zlib, crypto). So promises run before each sleep in `Atomics.wait`, and the event loop turns after it; a sleep
 * is no longer than the thread has been idle, and a second at most: a job that takes a while is seen after as long again.
 */
import { readlinkSync } from "node:fs";
import { setPriority } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import { COMPUTE_SLICE_MICROS, wantTimeSlice } from "../runtime/time-slice.js";
import { setSeat } from "./current-seat.js";
import { openDeskLine } from "./desk-message.js";
import type { Executor } from "./executor.js";
import { LoopBell } from "./loop-bell.js";
import { allowParking } from "./park-until.js";
import { promisesRun } from "./promises-run.js";
import type { SchedulerAssignment } from "./scheduler-memory.js";
import { Seat } from "./seat.js";
import { openShardLine } from "./shard-line.js";
import { Spin } from "./spin.js";

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
/** Without a task that waits for something, promises go on so often while there is work, in milliseconds. */
const YIELD_MS = 1;
/** Looks for work between two looks at the clock, which costs as much as one of them. */
const LOOKS = 4;
/** The longest sleep on the word, in milliseconds. */
const FROZEN_MS_MAX = 1_000;
/** How often a thread that is loading a module looks whether others have taken what it has left to them, in milliseconds. */
const LEFT_MS = 1;

// The cast is safe because the supervisor of the same build makes it.
const assignment = workerData as ComputeAssignment;
lowerPriority(assignment.nice);
wantTimeSlice(COMPUTE_SLICE_MICROS);
const seat = new Seat(assignment);
setSeat(seat);
allowParking();
const executor = seat.openExecutor();
const bell = new LoopBell(assignment.doorbells[assignment.thread]!);
const spin = new Spin(assignment.spinMicros);
/** When the last look began that was in vain. */
let lookedMs = 0;
// Keeps the thread alive while it sleeps in its loop.
parentPort?.on("message", () => undefined);
if (parentPort !== null) openDeskLine(parentPort);
if (parentPort !== null) openShardLine(parentPort, assignment.callableShards);
parentPort?.postMessage("ready");
await turn();
/** Resources that exist without any task: ports, such as the one to the supervisor. What else there is at birth is passing, and would later hide something of a task's. */
let resourcesAtRest = process.getActiveResourcesInfo().filter((name) => name === "MessagePort").length;
await work(executor);

async function work(runner: Executor): Promise<never> {
  let turnedMs = performance.now();
  let yieldedMs = turnedMs;
  let isTurnDue = false;
  /** When there was something to do last. */
  let busyMs = turnedMs;
  runner.keepsSearch = true;
  for (;;) {
    const count = runner.runMany(TASKS_PER_ROUND, TURN_MS) + seat.drainSettled();
    if (count > 0) seat.publishFigures(runner.figures);
    // Nobody waits for a promise here, as far as tasks are concerned, so the thread looks for the next one at once.
    const hasLooked = isQuiet(runner) && performance.now() - yieldedMs < YIELD_MS;
    if (hasLooked && findsWorkSoon(runner)) continue;
    if (runner.isSearching) runner.handOn();
    // Promises of this round go on here.
    await undefined;
    yieldedMs = performance.now();
    if (count > 0 || !isQuiet(runner)) busyMs = yieldedMs;
    isTurnDue ||= runner.runningNow > 0 || yieldedMs - turnedMs > TURN_MS;
    // What comes while the thread still looks for work is not held up by a turn.
    if (runner.hasLeft) isTurnDue = await pause();
    else if (count === 0 || hasLooked) isTurnDue = (await park(runner, { hasLooked, busyMs })) || isTurnDue;
    // Who was woken to search does so first: meanwhile nobody else is woken, and what the event loop does next may take long.
    if (isTurnDue && !runner.isWoken) {
      await turn();
      turnedMs = performance.now();
      isTurnDue = false;
    }
  }
}

/** Whether no task of this thread, and none that it has spawned, waits for something. */
function isQuiet(runner: Executor): boolean {
  return runner.runningNow === 0 && seat.liveCount === 0 && !runner.hasLeft;
}

/** Announce, recheck, sleep. False if the thread has found work before it slept. */
async function park(
  runner: Executor,
  { hasLooked, busyMs }: { readonly hasLooked: boolean; readonly busyMs: number },
): Promise<boolean> {
  const { idle, self } = seat.segment;
  if (!hasLooked && findsWorkSoon(runner)) return false;
  await promisesRun();
  const isFrozen = isQuiet(runner) && isAtRest();
  if (!idle.announce(self, isFrozen ? "word" : "loop")) return true;
  if (hasWork(runner)) {
    runner.isWoken = idle.retract(self);
    runner.hasSeenWork = true;
    return true;
  }
  if (isFrozen) {
    const idleMs = Math.max(1, performance.now() - busyMs);
    runner.isWoken = idle.sleep(self, Math.min(idleMs, FROZEN_MS_MAX));
    runner.askInboxFirst();
  } else {
    await bell.next();
    runner.isWoken = idle.retract(self);
  }
  spin.slept(performance.now() - lookedMs);
  return true;
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

/** While it looks this thread is the searcher, if no other is: whoever publishes work then wakes nobody, which would cost more than most tasks, and this thread hands the search on when it has found something. */
function findsWorkSoon(runner: Executor): boolean {
  const { idle, self } = seat.segment;
  const isSearcher = runner.isSearching || idle.beginSearch(self);
  runner.isSearching = false;
  lookedMs = performance.now();
  const endMs = lookedMs + spin.limitMs;
  do {
    for (let look = 0; look < LOOKS; look++) {
      if (!hasWork(runner)) continue;
      runner.isWoken = isSearcher;
      runner.hasSeenWork = true;
      return true;
    }
  } while (performance.now() < endMs);
  if (isSearcher) idle.endSearch(self);
  return false;
}

/** What this thread has left to others, because it is loading the module, would wake it at once if it parked. */
function pause(): Promise<true> {
  return new Promise((resolve) => setTimeout(resolve, LEFT_MS, true as const));
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
