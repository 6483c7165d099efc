/**
 * How often a thread that has work of its own looks into the injector first, so that nothing starves there: after so many tasks as take about a millisecond.
 *
 * The time of a task is averaged exponentially, 0.1 for the newest. Tasks of 10 µs lead to every 100th, tasks of 100 µs to every 10th; never more often than every 8th, nor less than every 255th. Private memory.
 */
import { assert } from "../assert.js";

/** The shortest and the longest interval, in tasks. */
export const INJECTOR_INTERVAL_MIN = 8;
/** See {@link INJECTOR_INTERVAL_MIN}. */
export const INJECTOR_INTERVAL_MAX = 255;
const AIM_MICROS = 1000;
const WEIGHT_NEWEST = 0.1;
const INTERVAL_FIRST = 61;

/** One thread's interval. */
export class InjectorInterval {
  #averageMicros = AIM_MICROS / INTERVAL_FIRST;
  #left = INTERVAL_FIRST;

  /** The average time of a task, in microseconds: also a figure for the statistics. */
  get averageMicros(): number {
    return this.#averageMicros;
  }

  /** Tasks from one look to the next. */
  get interval(): number {
    const interval = Math.round(AIM_MICROS / this.#averageMicros);
    return Math.min(INJECTOR_INTERVAL_MAX, Math.max(INJECTOR_INTERVAL_MIN, interval));
  }

  /** `count` tasks have taken `micros` microseconds in all: one reading of the clock serves a batch. */
  observe(micros: number, count = 1): void {
    assert(count > 0, "a batch has a task");
    // A clock that was set back, or tasks shorter than its resolution.
    const each = Math.max(micros, 0) / count;
    const keep = (1 - WEIGHT_NEWEST) ** count;
    this.#averageMicros = Math.max(this.#averageMicros * keep + each * (1 - keep), Number.MIN_VALUE);
  }

  /** To be asked before each task: whether the injector comes first this time. */
  isDue(): boolean {
    if (--this.#left > 0) return false;
    this.#left = this.interval;
    return true;
  }
}
