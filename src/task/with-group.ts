/** A block of code with a group of its own: the form for versions of Node that have no `await using`, and the one that shows every failure. */
import { comesFrom, group } from "../scheduler/group.js";
import type { GroupOptions, TaskGroup } from "../scheduler/task-group.js";

/**
 * Calls a function with a new group, and ends when both have ended: the function, and all that it has spawned. When the function throws, what it has spawned is given up.
 *
 * A failure in the group does not interrupt the function. One that waits for what it has spawned hands `group.signal` to its waits.
 * @returns What the function returns.
 * @throws (rejects) What has failed: the error itself if it is one, an AggregateError of all if they are several, the function's own first. RingloomError `ERR_RINGLOOM_ABORTED` or `ERR_RINGLOOM_TIMEOUT` if the group was given up without a failure.
 * @example
 * ```ts run
 * import { withGroup } from "ringloom/sync";
 * const sum = await withGroup(async (group) => {
 *   const [left, right] = [group.spawn(async () => 20), group.spawn(async () => 22)];
 *   return (await left) + (await right);
 * });
 * console.log(sum); // 42
 * ```
 * @experimental
 */
export async function withGroup<Result>(
  body: (group: TaskGroup) => Result | PromiseLike<Result>,
  options: GroupOptions = {},
): Promise<Result> {
  const all = group(options);
  const failures: unknown[] = [];
  let result: Result | undefined;
  try {
    result = await body(all);
  } catch (error) {
    const isOwn = !(all.signal.aborted && comesFrom(error, all.signal.reason));
    if (isOwn) failures.push(error);
    all.cancel(error);
  }
  for (const failure of await failuresOf(all, failures.length > 0)) {
    // The function may have thrown on what it got from a member.
    if (!failures.includes(failure)) failures.push(failure);
  }
  if (failures.length > 1) throw new AggregateError(failures, `${failures.length} failures; the first: ${failures[0]}`);
  if (failures.length === 1) throw failures[0];
  // The cast is safe because without a failure there is a result.
  return result as Result;
}

/** Joins the group and leaves it. That it was given up is a failure only if nothing else is. */
async function failuresOf(all: TaskGroup, hasFailed: boolean): Promise<unknown[]> {
  const failures: unknown[] = [];
  try {
    await all.join();
  } catch (error) {
    if (error instanceof AggregateError) failures.push(...error.errors);
    else if (!hasFailed) failures.push(error);
  }
  try {
    await all[Symbol.asyncDispose]();
  } catch (error) {
    failures.push(...(error instanceof AggregateError ? error.errors : [error]));
  }
  return failures;
}
