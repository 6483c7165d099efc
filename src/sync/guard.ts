/** What is held: a lock, or permits of a semaphore. */
import { staleError } from "../task/wait-errors.js";

/**
 * Something that is held until it is released. `using` releases it at the end of the block.
 * @experimental
 */
export class Guard implements Disposable {
  #free: (() => void) | undefined;

  /** @internal */
  constructor(free: () => void) {
    this.#free = free;
  }

  /** Whether it is still held. */
  get isHeld(): boolean {
    return this.#free !== undefined;
  }

  /**
   * Gives it back, to whoever has waited longest.
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

/** Throws `ERR_RINGLOOM_STALE_HANDLE` for a guard that was released. */
export function checkHeld(guard: Guard, operation: string): void {
  if (!guard.isHeld) throw staleError(operation, "its guard was released already");
}

/** Calls a function with what is held, and releases it when the function has ended. */
export async function holding<Held extends Guard, Result>(
  acquired: Promise<Held>,
  run: (guard: Held) => Result | PromiseLike<Result>,
): Promise<Result> {
  const guard = await acquired;
  try {
    return await run(guard);
  } finally {
    guard.release();
  }
}
