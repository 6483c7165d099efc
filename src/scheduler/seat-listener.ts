/**
 * Seeing what is settled on a thread that has neither a driver nor an executor: the main thread.
 *
 * | in flight | the thread |
 * |---|---|
 * | so many, and so long, that all of them take over two milliseconds | looks once in one to four milliseconds: looking all the time, or woken by each one, it would take the cores from those who run them |
 * | tasks so short that the next one ends sooner than a sleeping thread wakes | looks for some microseconds before it sleeps |
 * | others | sleeps until one is settled |
 */
import type { Doorbell } from "../driver/contract.js";
import { LoopBell } from "./loop-bell.js";
import { promisesRun } from "./promises-run.js";
import type { Seat } from "./seat.js";
import { Spin } from "./spin.js";

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
/** How long a thread naps that has much in flight, in milliseconds: each time it comes back, a thread that runs tasks gives way. */
const NAP_MS_MIN = 1;
const NAP_MS_MAX = 4;
/** It naps when the tasks in flight take so many times as long, so that it is back before the last of them. */
const NAPS_LEFT = 2;
/** Of so many tasks the older half counts half. */
const PACE_TASKS = 64;
/** Looks at what is settled between two looks at the clock, each of which costs as much as some of them. */
const LOOKS = 8;
/** And when there are so many of them for each thread that runs tasks: none of those is without work while this one naps. */
const TASKS_LEFT = 16;

/** Settles what is done, until the seat is closed; then the bell has to be rung once more. */
export async function listenForSettled(seat: Seat, options: ListenOptions): Promise<void> {
  const { doorbell, spinMicros, rung, isClosed } = options;
  const bell = new LoopBell(doorbell);
  const spin = new Spin(spinMicros);
  const pace = new Pace();
  let turnedMs = performance.now();
  while (!isClosed()) {
    const napMs = napMsOf(seat, pace);
    if (napMs > 0) {
      await new Promise((resolve) => setTimeout(resolve, napMs));
      turnedMs = performance.now();
    } else if (!isSpinWorthwhile(seat, spinMicros)) {
      await bell.next();
    } else if (!findsSettledSoon(seat, spin)) {
      const sleptMs = performance.now();
      await bell.next();
      spin.slept(performance.now() - sleptMs + spin.limitMs);
    }
    rung();
    const count = seat.drainSettled();
    if (count === 0) continue;
    const nowMs = performance.now();
    pace.settled(count, nowMs, seat.liveCount === 0);
    if (nowMs - turnedMs < TURN_MS) await promisesRun();
    else {
      await new Promise((resolve) => setImmediate(resolve));
      turnedMs = performance.now();
    }
  }
}

/** How fast tasks are settled, as the thread sees it that waits for them. What those say who run them is not enough for a nap: when one of them had to give up its core for some milliseconds, its last tasks seem that long. */
class Pace {
  #ms = 0;
  #count = 1;
  #lookedMs = 0;
  /** Nothing was in flight at the last look, so the time since then says nothing; nor does the time until nothing is. */
  #wasIdle = true;

  /** From one settled task to the next, in milliseconds. */
  get msEach(): number {
    return this.#ms / this.#count;
  }

  settled(count: number, nowMs: number, isIdle: boolean): void {
    if (!this.#wasIdle && !isIdle) {
      this.#ms += nowMs - this.#lookedMs;
      this.#count += count;
    }
    this.#lookedMs = nowMs;
    this.#wasIdle = isIdle;
    if (this.#count < PACE_TASKS) return;
    this.#ms /= 2;
    this.#count /= 2;
  }
}

/** How long this thread naps, in milliseconds, or 0 when it has not much in flight. */
function napMsOf(seat: Seat, pace: Pace): number {
  const { liveCount, places } = seat;
  if (liveCount < TASKS_LEFT * places.count) return 0;
  const leftMs = liveCount * Math.min(pace.msEach, seat.averageMicros / places.count / 1_000);
  if (leftMs <= NAPS_LEFT * NAP_MS_MIN) return 0;
  return Math.max(NAP_MS_MIN, Math.min(NAP_MS_MAX, leftMs / (2 * NAPS_LEFT)));
}

function findsSettledSoon(seat: Seat, spin: Spin): boolean {
  let endMs = 0;
  for (;;) {
    for (let look = 0; look < LOOKS; look++) {
      if (seat.hasSettled()) return true;
    }
    const nowMs = performance.now();
    if (endMs === 0) endMs = nowMs + spin.limitMs;
    if (nowMs >= endMs) return false;
  }
}

/** Whether the next task is likely to end while this thread would look. */
function isSpinWorthwhile(seat: Seat, spinMicros: number): boolean {
  if (seat.hasSettled()) return true;
  return seat.liveCount > 0 && seat.averageMicros / seat.places.count <= spinMicros;
}
