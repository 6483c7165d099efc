/**
 * `ringloom/time`: sleeps, deadlines and intervals on the thread's timer wheel. Everything here is experimental: it may change in a minor version.
 * @experimental
 */
export { Deadline, type DeadlineOptions, deadline, deadlineAt } from "./deadline.js";
export type { Instant } from "./instant.js";
export { Interval, type IntervalOptions, interval, intervalAt, type MissedTicks } from "./interval.js";
export { Sleep } from "./resettable-sleep.js";
export { type SleepOptions, sleep, sleepUntil } from "./sleep.js";
export { type TimedWork, type TimeoutOptions, timeout, timeoutAt } from "./timeout.js";
