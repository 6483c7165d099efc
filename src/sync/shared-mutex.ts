/** A mutex that all threads of a server share. How it works: `src/shared/permits.ts`. */
import { GATHERING_THREADS_MAX } from "../shared/gathering.js";
import { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { holding } from "./guard.js";
import type { SharedGuard } from "./shared-guard.js";
import { openShared, type SharedOptions, waitingMaxOf } from "./shared-open.js";
import { SharedPermits } from "./shared-permits.js";

const OPERATION = "sharedMutex";
const SHAPE = { base: 0, threads: GATHERING_THREADS_MAX, permits: 1 } as const;

/**
 * Opens the mutex of that name, the same for all shards of the server and the threads that run its tasks. The first call of a thread waits for the main thread to answer: make it at the module's top level.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`; `ERR_RINGLOOM_OVERLOADED` with 1,024 shared structures, or 64 threads in this one; `ERR_RINGLOOM_WRONG_THREAD` on a thread that belongs to no server; `ERR_RINGLOOM_TIMEOUT` when the main
 * thread is blocked.
 * @example
 * ```ts run
 * import { sharedMutex } from "ringloom/sync";
 * const migration = sharedMutex("migration");
 * const guard = await migration.lock({ timeoutMs: 5_000 });
 * try {
 *   if (guard.wasAbandoned) console.log("the thread that held it died: what it did may be half done");
 *   // one thread at a time is here
 * } finally {
 *   guard.release();
 * }
 * ```
 * @experimental
 */
export function sharedMutex(name: string, options: SharedOptions = {}): SharedMutex {
  const structure = { kind: "permits", shape: SHAPE, extraBytes: 0 } as const;
  const waitingMax = waitingMaxOf(options);
  return openShared({ operation: OPERATION, name, structure, waitingMax }, (place) => {
    const subject = { operation: "lock", what: `the shared mutex ${JSON.stringify(name)}`, waitingMax };
    return new SharedMutex(name, new SharedPermits(place, SHAPE, subject));
  });
}

/**
 * A mutex for all threads; see {@link sharedMutex}. Threads that wait get it in the order in which they came, and the callers of one thread in theirs. As a branch of `select` it gives its guard. When the thread that holds it dies, the next
 * holder is told by {@link SharedGuard.wasAbandoned}. Locking it twice from the same code waits for ever.
 * @experimental
 */
export class SharedMutex implements Selectable<SharedGuard> {
  readonly name: string;
  readonly #permits: SharedPermits;

  /** @internal */
  constructor(name: string, permits: SharedPermits) {
    this.name = name;
    this.#permits = permits;
  }

  /** Whether somebody holds it at the moment. */
  get isLocked(): boolean {
    return this.#permits.permits.freeCount === 0;
  }

  /** How many threads have died while they held it. */
  get abandonedCount(): number {
    return this.#permits.permits.abandonedCount;
  }

  /**
   * Waits for the lock, and takes it.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_OVERLOADED` when too many wait on this thread.
   */
  lock(options?: WaitOptions): Promise<SharedGuard> {
    return this.#permits.acquire(options);
  }

  /** Takes the lock if it is free, else undefined. */
  tryLock(): SharedGuard | undefined {
    return this.#permits.tryAcquire();
  }

  /** Calls a function while it holds the lock. */
  with<Result>(run: (guard: SharedGuard) => Result | PromiseLike<Result>, options?: WaitOptions): Promise<Result> {
    return holding(this.lock(options), run);
  }

  [selectable](branch: SelectWaiter<SharedGuard>): (() => void) | undefined {
    return this.#permits.asBranch(branch);
  }
}
