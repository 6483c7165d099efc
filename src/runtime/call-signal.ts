/**
 * What a function that another thread has called knows of its caller: whether that still waits.
 *
 * It is known while the function's synchronous part runs, as with tasks that have no scope (`src/scheduler/task-scope.ts`): an AsyncLocalStorage would make each promise of the shard dearer, for the few functions that ask.
 */
import { RingloomError } from "../errors.js";

let current: RunningCall | undefined;

/** A call that runs on this shard. */
export class RunningCall {
  #controller: AbortController | undefined;
  #reason: RingloomError | undefined;

  /** Runs the synchronous part of its function. */
  run<Result>(work: () => Result): Result {
    const outer = current;
    current = this;
    try {
      return work();
    } finally {
      current = outer;
    }
  }

  /** Nobody waits for it any more. */
  giveUp(code: string): void {
    if (this.#reason !== undefined) return;
    this.#reason = new RingloomError(code, `The caller has given this call up (${code}).`, {
      operation: "invokeOnShard",
    });
    this.#controller?.abort(this.#reason);
  }

  /** Made when it is first asked for. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    return this.#controller.signal;
  }
}

/**
 * In a function that `invokeOnShard` runs: a signal that is aborted when the caller gives the call up, or its thread ends. So a cancellation follows an operation to the shard that it runs on. Ask before the first `await`; behind it, and where
 * nobody has called from another thread, it is a signal that is never aborted, so that a function can be called either way.
 *
 * The reason is a RingloomError: `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, or `ERR_RINGLOOM_THREAD_LOST`.
 *
 * ```ts
 * import { callSignal, invokeOnShard, shardFunction } from "ringloom";
 * import { readFile } from "ringloom/fs";
 *
 * const load = shardFunction("load", (path: string) => readFile(path, { signal: callSignal() }));
 *
 * // On whichever shard has the fewest calls of this thread; given up there as well when it is here.
 * export const loadSomewhere = (path: string, signal: AbortSignal) =>
 *   invokeOnShard(load, { shard: "least-pending", signal }, path);
 * ```
 * @experimental
 */
export function callSignal(): AbortSignal {
  return current?.signal ?? new AbortController().signal;
}
