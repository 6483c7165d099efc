/** What users see of groups: `group.ts` makes them. */

/**
 * How the tasks of a group belong together.
 * @experimental
 */
export interface GroupOptions {
  /** Gives up all that it has. */
  readonly signal?: AbortSignal;
  /** When all that it has is given up, in milliseconds from now; 0 is never. Default 0. A signal that was taken while the group had nothing under way, or before that, is aborted then too. */
  readonly timeoutMs?: number;
  /** Functions and tasks that are under way at once; the others wait in this thread, up to {@link GroupOptions.waitingMax}. Default: all, of tasks as many as the scheduler takes. */
  readonly concurrency?: number;
  /** Calls that may wait for `concurrency`; one more rejects with `ERR_RINGLOOM_OVERLOADED`. Default 10,000. */
  readonly waitingMax?: number;
  /** What the first failure does to the others: gives them up, or nothing. Default `"cancel"`. */
  readonly onFailure?: "cancel" | "continue";
  /**
   * Whether results are kept for the join. A group that lives as long as its server says false: then a join resolves with no results. Failures are kept all the same, up to 1,000 of them. Default true.
   */
  readonly keepResults?: boolean;
}

/**
 * Functions and tasks that end together. Made by {@link group}.
 * @experimental
 */
export interface TaskGroup {
  /** Aborted when the group is cancelled, by whatever. The signal that it was made with, and the task that it was made in, are heard while it has tasks, and looked at by each call and join. */
  readonly signal: AbortSignal;
  /** Functions and tasks that have not ended, waiting ones included. */
  readonly size: number;
  /**
   * Calls a function on this thread, at once and as any async function is called, unless `concurrency` makes it wait. It should end soon after the signal is aborted: the group waits for it. A rejection need not be handled: {@link TaskGroup.join} reports it. An error that was
   * caused by the signal, as those of Node's own functions and of ours are, is no failure.
   * @returns What the function returns. Rejects with `ERR_RINGLOOM_ABORTED` if the group was given up, `ERR_RINGLOOM_CLOSED` if its block was left, `ERR_RINGLOOM_OVERLOADED` if too many wait.
   */
  spawn<Result>(run: (signal: AbortSignal) => Result | PromiseLike<Result>): Promise<Result>;
  /**
   * Calls a function when the group's block is left and all that it has has ended: those that were deferred last come first, each after the one before has ended.
   */
  defer(cleanup: () => unknown): void;
  /**
   * Calls a function of {@link tasks} in this group. The same as `images.with({ group }).resize(…)`, which takes other options besides. A rejection need not be handled: {@link TaskGroup.join} reports it.
   */
  run<Args extends readonly unknown[], Result>(
    task: (...args: Args) => Promise<Result>,
    ...args: Args
  ): Promise<Result>;
  /** Gives up every function and task of the group, and those that they have spawned. New ones are refused with `ERR_RINGLOOM_ABORTED`. */
  cancel(reason?: unknown): void;
  /**
   * Resolves when all tasks have ended, with their results since the last join, in the order of the calls. Until then the results are kept.
   * @throws AggregateError of all failures, the first one first, if tasks have failed; RingloomError `ERR_RINGLOOM_ABORTED` or `ERR_RINGLOOM_TIMEOUT` if the group was cancelled without one.
   */
  join(): Promise<unknown[]>;
  /** What {@link TaskGroup.join} would resolve with, or undefined if a task has not ended. Throws as it rejects. */
  tryJoin(): unknown[] | undefined;
  /** Waits as {@link TaskGroup.join} does, and tells how each has ended, those too that were given up. Never rejects. */
  joinSettled(): Promise<PromiseSettledResult<unknown>[]>;
  /**
   * Gives up what was not joined, and waits until all has ended: nothing outlives the block of an `await using`. Then it calls what was deferred. Failures are what joins are for: it rejects, with an AggregateError, only if something deferred has failed.
   */
  [Symbol.asyncDispose](): Promise<void>;
}
