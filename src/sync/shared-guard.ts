/** What is held of a shared mutex or semaphore. */

/**
 * Something that is held until it is released, or until its thread dies. `using` releases it at the end of the block.
 * @experimental
 */
export class SharedGuard implements Disposable {
  /** Whether the thread that held it before has died with it: what it was changing may be half done. */
  readonly wasAbandoned: boolean;
  #free: (() => void) | undefined;

  /** @internal */
  constructor(wasAbandoned: boolean, free: () => void) {
    this.wasAbandoned = wasAbandoned;
    this.#free = free;
  }

  /** Whether it is still held. */
  get isHeld(): boolean {
    return this.#free !== undefined;
  }

  /**
   * Gives it back, to the thread that has waited longest.
   * @returns Whether it was held. Releasing again does nothing: what somebody else holds by now stays theirs.
   */
  release(): boolean {
    const free = this.#free;
    this.#free = undefined;
    free?.();
    return free !== undefined;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** Calls a function with what is held, and releases it when the function has ended. */
export async function whileHolding<Result>(
  acquired: Promise<SharedGuard>,
  run: (guard: SharedGuard) => Result | PromiseLike<Result>,
): Promise<Result> {
  const guard = await acquired;
  try {
    return await run(guard);
  } finally {
    guard.release();
  }
}
