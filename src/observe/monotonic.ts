/** The clock that all threads of a process share. */

/** Milliseconds of the monotonic clock, the same on every thread. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}
