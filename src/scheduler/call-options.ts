/** The options of one call of a task. */

import type { Placement } from "./placement.js";
import type { TaskGroup } from "./task-group.js";
import type { TransferItem } from "./transfer.js";

/**
 * How a task is run.
 * @experimental
 */
export interface TaskOptions {
  /** Where it runs. Default: on whichever thread has room. */
  readonly placement?: Placement;
  /**
   * Gives it up: the promise rejects with `ERR_RINGLOOM_ABORTED` at once, a task that has not begun never runs. One that runs goes on, since running
   * JavaScript cannot be interrupted, but can see it: {@link taskSignal}, {@link isCancelled}.
   */
  readonly signal?: AbortSignal;
  /** When the task is given up with `ERR_RINGLOOM_TIMEOUT`, in milliseconds; 0 is never. Default 0. */
  readonly timeoutMs?: number;
  /** It may be run again when the thread that ran it is lost. Default false: then it rejects with `ERR_RINGLOOM_THREAD_LOST`. */
  readonly idempotent?: boolean;
  /**
   * It blocks its thread, in `execSync`, `readFileSync` or `Atomics.wait` for instance: runs on one of a few extra threads, which hold up nobody else. Not together with a placement. Default false.
   */
  readonly blocking?: boolean;
  /** The group that it belongs to. Default: none but that of the task that calls it. */
  readonly group?: TaskGroup;
  /**
   * Called by a task, it is on its own: not given up with that one, not held to its deadline, and its group does not wait for it. Default false.
   */
  readonly detached?: boolean;
  /**
   * What in the arguments is handed over instead of copied, as in `postMessage`: ArrayBuffers (a view stands for the whole of its buffer), MessagePorts. Buffers are detached then. Not with `idempotent`: what was handed over is
   * lost with the thread.
   */
  readonly transfer?: readonly TransferItem[];
}

/** What a group and a task that is called in it have to do with each other. */
export interface Membership {
  /** Aborted when the group gives up its tasks. Not the signal that users see: who looks at that one may keep it. */
  readonly tasksSignal: AbortSignal;
  /** It was published. */
  taskBegun(): void;
  /** It has ended: nobody runs it any more. Its promise was settled before. */
  taskEnded(): void;
}

/** Options with what the scheduler adds to them. */
export interface SpawnOptions extends TaskOptions {
  readonly membership?: Membership;
}
