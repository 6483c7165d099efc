/** What users see of groups: `group.ts` makes them. */

/**
 * How the tasks of a group belong together.
 * @experimental
 */
export interface GroupOptions {
  /** Gives up all of its tasks. */
  readonly signal?: AbortSignal;
  /** When all of its tasks are given up, in milliseconds from now; 0 is never. Default 0. */
  readonly timeoutMs?: number;
  /** Tasks that are under way at once; the others wait in this thread, up to {@link GroupOptions.waitingMax}. Default: all that the scheduler takes. */
  readonly concurrency?: number;
  /** Calls that may wait for `concurrency`; one more rejects with `ERR_RINGLOOM_OVERLOADED`. Default 10,000. */
  readonly waitingMax?: number;
  /** What the first failure does to the others: gives them up, or nothing. Default `"cancel"`. */
  readonly onFailure?: "cancel" | "continue";
}

/**
 * Tasks that end together. Made by {@link group}.
 * @experimental
 */
export interface TaskGroup {
  /** Aborted when the group is cancelled, by whatever. The signal that it was made with, and the task that it was made in, are heard while it has tasks, and looked at by each call and join. */
  readonly signal: AbortSignal;
  /** Tasks that have not ended, waiting ones included. */
  readonly size: number;
  /**
   * Calls a function of {@link tasks} in this group. The same as `images.with({ group }).resize(…)`, which takes other options besides. A rejection need not be handled: {@link TaskGroup.join} reports it.
   */
  run<Args extends readonly unknown[], Result>(
    task: (...args: Args) => Promise<Result>,
    ...args: Args
  ): Promise<Result>;
  /** Gives up every task of the group, and those that they have spawned. New ones are refused with `ERR_RINGLOOM_ABORTED`. */
  cancel(reason?: unknown): void;
  /**
   * Resolves when all tasks have ended, with their results since the last join, in the order of the calls. Until then the results are kept.
   * @throws AggregateError of all failures, the first one first, if tasks have failed; RingloomError `ERR_RINGLOOM_ABORTED` or `ERR_RINGLOOM_TIMEOUT` if the group was cancelled without one.
   */
  join(): Promise<unknown[]>;
  /** What {@link TaskGroup.join} would resolve with, or undefined if a task has not ended. Throws as it rejects. */
  tryJoin(): unknown[] | undefined;
  /** Gives up what was not joined, and waits until all tasks have ended: none outlives the block of an `await using`. Never rejects. */
  [Symbol.asyncDispose](): Promise<void>;
}
