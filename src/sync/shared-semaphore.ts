/** A semaphore that all threads of a server share. How it works: `src/shared/permits.ts`. */
import { GATHERING_THREADS_MAX } from "../shared/gathering.js";
import { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { holding } from "./guard.js";
import type { SharedGuard } from "./shared-guard.js";
import { checkInteger, openShared, type SharedOptions, waitingMaxOf } from "./shared-open.js";
import { SharedPermits } from "./shared-permits.js";

const OPERATION = "sharedSemaphore";
const PERMITS_MAX = 4_096;

/**
 * Opens the semaphore of that name, the same for all shards of the server and the threads that run its tasks, with 1 to 4,096 permits. The first call of a thread waits for the main thread to answer: make it at the module's top level.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`, also when it exists with other permits; otherwise as `sharedMutex`.
 * @example
 * ```ts run
 * import { sharedSemaphore } from "ringloom/sync";
 * const connections = sharedSemaphore("connections", 10);
 * const answer = await connections.with(async () => "ten at a time, on all cores");
 * ```
 * @experimental
 */
export function sharedSemaphore(name: string, permits: number, options: SharedOptions = {}): SharedSemaphore {
  checkInteger(OPERATION, "permits", permits, [1, PERMITS_MAX]);
  const shape = { base: 0, threads: GATHERING_THREADS_MAX, permits };
  const structure = { kind: "permits", shape, extraBytes: 0 } as const;
  const waitingMax = waitingMaxOf(options);
  return openShared({ operation: OPERATION, name, structure, waitingMax }, (place) => {
    const subject = { operation: "acquire", what: `the shared semaphore ${JSON.stringify(name)}`, waitingMax };
    return new SharedSemaphore(name, permits, new SharedPermits(place, shape, subject));
  });
}

/**
 * A semaphore for all threads; see {@link sharedSemaphore}. Threads that wait get permits in the order in which they came, and the callers of one thread in theirs. As a branch of `select` it gives one permit. Permits of a thread that dies
 * come back, and who gets one is told by {@link SharedGuard.wasAbandoned}.
 * @experimental
 */
export class SharedSemaphore implements Selectable<SharedGuard> {
  readonly name: string;
  /** Permits in all. */
  readonly permits: number;
  readonly #permits: SharedPermits;

  /** @internal */
  constructor(name: string, permits: number, held: SharedPermits) {
    this.name = name;
    this.permits = permits;
    this.#permits = held;
  }

  /** Permits that nobody has at the moment. */
  get available(): number {
    return this.#permits.permits.freeCount;
  }

  /** Permits that threads had when they died, all in all. */
  get abandonedCount(): number {
    return this.#permits.permits.abandonedCount;
  }

  /**
   * Waits for a permit, and takes it.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_OVERLOADED` when too many wait on this thread.
   */
  acquire(options?: WaitOptions): Promise<SharedGuard> {
    return this.#permits.acquire(options);
  }

  /** Takes a permit if one is free, else undefined. */
  tryAcquire(): SharedGuard | undefined {
    return this.#permits.tryAcquire();
  }

  /** Calls a function while it holds a permit. */
  with<Result>(run: (guard: SharedGuard) => Result | PromiseLike<Result>, options?: WaitOptions): Promise<Result> {
    return holding(this.acquire(options), run);
  }

  [selectable](branch: SelectWaiter<SharedGuard>): (() => void) | undefined {
    return this.#permits.asBranch(branch);
  }
}
