/** Deadlines that cross threads: milliseconds of the clock that all threads of a process share, modulo 2^32, and never 0, which means that there is none. */

/** Now. Threads that ask `performance.now()` each count from their own start. */
export function monotonicMs(): number {
  const [seconds, nanos] = process.hrtime();
  return ((seconds % SECONDS_WRAP) * 1_000 + Math.trunc(nanos / 1e6)) | 0;
}

/** The deadline in `timeoutMs` from now, at most 24.8 days; one that is over at once lies a millisecond in the past. */
export function deadlineIn(timeoutMs: number): number {
  return (monotonicMs() + Math.ceil(timeoutMs)) | 0 || 1;
}

/** 2^32 seconds are a whole number of turns of the milliseconds, and their product with 1,000 is exact. */
const SECONDS_WRAP = 2 ** 32;
