/** Progress goes to stderr, so that stdout holds the report alone. */

const startedMs = performance.now();

/** Writes one line with the seconds since the start. */
export function progress(text: string): void {
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1).padStart(6);
  process.stderr.write(`${seconds} s  ${text}\n`);
}
