/** Waiting for a state in tests without sleeping: whoever changes the state calls `notify`, and each waiter looks again. */
export class Signal {
  readonly #waiters = new Set<() => void>();

  notify(): void {
    for (const look of [...this.#waiters]) look();
  }

  /** Resolves when `holds` does. The test's own time limit ends a wait that never does; `what` then says what was missing. */
  async until(what: string, holds: () => boolean, timeoutMs = 20_000): Promise<void> {
    if (holds()) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => settle(() => reject(new Error(`Waited in vain for: ${what}`))), timeoutMs);
      const settle = (outcome: () => void): void => {
        clearTimeout(timer);
        this.#waiters.delete(look);
        outcome();
      };
      const look = (): void => {
        if (holds()) settle(resolve);
      };
      this.#waiters.add(look);
    });
  }
}

/** Settles as `promise` does, or rejects after `timeoutMs`; meanwhile it keeps the process alive. */
export async function within<T>(what: string, promise: Promise<T>, timeoutMs = 20_000): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeUp = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited in vain for: ${what}`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, timeUp]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs `count` whole turns of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let index = 0; index < count; index++) await new Promise((resolve) => setImmediate(resolve));
}
