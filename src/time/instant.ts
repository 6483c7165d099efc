/** Points of time and durations as users give them. */
import type { Timers } from "./timers.js";

/**
 * A point of time: milliseconds of `performance.now()`, or a `Date`. A date is converted when it is given: setting the system's clock afterwards moves nothing.
 * @experimental
 */
export type Instant = number | Date;

/** A duration in milliseconds, checked: 0 or more, fractions and Infinity included. */
export function durationMs(operation: string, ms: unknown): number {
  if (typeof ms !== "number") throw new TypeError(`Cannot ${operation}: the time is ${typeof ms}, not milliseconds`);
  if (!(ms >= 0)) throw new RangeError(`Cannot ${operation}: the time is ${ms} ms, not 0 or more`);
  return ms;
}

/** The point of time that is `ms` from now. None at all is now, and the wait then takes one turn of the loop instead of a whole millisecond. */
export function fromNow(timers: Timers, ms: number): number {
  return ms === 0 ? Number.NEGATIVE_INFINITY : timers.now() + ms;
}

/** A point of time in milliseconds of the timers' clock, checked. */
export function instantMs(operation: string, timers: Timers, at: unknown): number {
  const ms = at instanceof Date ? timers.now() + (at.getTime() - Date.now()) : at;
  if (typeof ms !== "number")
    throw new TypeError(`Cannot ${operation}: the time is ${typeof at}, neither milliseconds nor a Date`);
  if (Number.isNaN(ms)) throw new RangeError(`Cannot ${operation}: the time is not a valid one`);
  return ms;
}
