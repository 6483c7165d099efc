/** An error of an event handler, or of the kernel, must not end the turn that it happened in; it goes where uncaught exceptions go. */
export function reportError(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}
