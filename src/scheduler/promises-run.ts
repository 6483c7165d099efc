/** Resolves when all that waited for promises has run, and what that has resolved in turn; without a turn of the event loop. */
export function promisesRun(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}
