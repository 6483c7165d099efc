/**
 * Seeing what is settled on a thread that has neither a driver nor an executor: the main thread.
 *
 * | in flight | the thread |
 * |---|---|
 * | so many, and so long, that all of them take over two milliseconds | looks once a millisecond: looking all the time, or woken by each one, it would take the cores from those who run them |
 * | tasks so short that the next one ends sooner than a sleeping thread wakes | looks for some microseconds before it sleeps |
 * | others | sleeps until one is settled |
 */
import type { Doorbell } from "../driver/contract.js";
import { LoopBell } from "./loop-bell.js";
import { promisesRun } from "./promises-run.js";
import type { Seat } from "./seat.js";

/** How to listen. */
export interface ListenOptions {
  readonly doorbell: Doorbell;
  /** How long it looks before it sleeps, in microseconds: waking a sleeping thread costs more than most tasks. */
  readonly spinMicros: number;
  /** Called when the thread looks, whatever woke it. */
  readonly rung: () => void;
  readonly isClosed: () => boolean;
}

/** While tasks are settled one after the other, the event loop turns this often, in milliseconds: what waits for them needs no turn. */
const TURN_MS = 1;
/** How long a thread naps that has much in flight, in milliseconds. */
const NAP_MS = 1;
/** It does when the tasks in flight take so many times as long, so that it is back before the last of them. */
const NAPS_LEFT = 2;
/** And when there are so many of them for each thread that runs tasks: none of those is without work while this one naps. */
const TASKS_LEFT = 16;

/** Settles what is done, until the seat is closed; then the bell has to be rung once more. */
export async function listenForSettled(seat: Seat, options: ListenOptions): Promise<void> {
  const { doorbell, spinMicros, rung, isClosed } = options;
  const bell = new LoopBell(doorbell);
  let turnedMs = performance.now();
  while (!isClosed()) {
    if (hasMuchInFlight(seat)) {
      await new Promise((resolve) => setTimeout(resolve, NAP_MS));
      turnedMs = performance.now();
    } else if (!findsSettledSoon(seat, spinMicros)) {
      await bell.next();
    }
    rung();
    if (seat.drainSettled() === 0) continue;
    if (performance.now() - turnedMs < TURN_MS) await promisesRun();
    else {
      await new Promise((resolve) => setImmediate(resolve));
      turnedMs = performance.now();
    }
  }
}

function hasMuchInFlight(seat: Seat): boolean {
  const { liveCount, places } = seat;
  if (liveCount < TASKS_LEFT * places.count) return false;
  return (liveCount / places.count) * seat.averageMicros > NAPS_LEFT * NAP_MS * 1_000;
}

function findsSettledSoon(seat: Seat, spinMicros: number): boolean {
  if (seat.hasSettled()) return true;
  if (seat.liveCount === 0 || !isSpinWorthwhile(seat, spinMicros)) return false;
  const endMs = performance.now() + spinMicros / 1_000;
  do {
    if (seat.hasSettled()) return true;
  } while (performance.now() < endMs);
  return false;
}

/** Whether the next task is likely to end while this thread would look. */
function isSpinWorthwhile(seat: Seat, spinMicros: number): boolean {
  return seat.averageMicros / seat.places.count <= spinMicros;
}
