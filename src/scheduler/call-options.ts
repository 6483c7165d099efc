/** The options of one call of a task. */
import type { Placement } from "./placement.js";
import type { TransferItem } from "./transfer.js";

/**
 * How a task is run.
 * @experimental
 */
export interface TaskOptions {
  /** Where it runs. Default: on whichever thread has room. */
  readonly placement?: Placement;
  /**
   * Gives it up: the promise rejects with `ERR_RINGLOOM_ABORTED` at once, a task that has not begun never runs. One that runs goes on: running
   * JavaScript cannot be interrupted.
   */
  readonly signal?: AbortSignal;
  /** When the task is given up with `ERR_RINGLOOM_TIMEOUT`, in milliseconds; 0 is never. Default 0. */
  readonly timeoutMs?: number;
  /** It may be run again when the thread that ran it is lost. Default false: then it rejects with `ERR_RINGLOOM_THREAD_LOST`. */
  readonly idempotent?: boolean;
  /**
   * What in the arguments is handed over instead of copied, as in `postMessage`: ArrayBuffers (a view stands for the whole of its buffer), MessagePorts. Buffers are detached then. Not with `idempotent`: what was handed over is
   * lost with the thread.
   */
  readonly transfer?: readonly TransferItem[];
}
