/** The first of several tasks, without the others running on. */
import { group } from "./group.js";
import { invalid } from "./task-checks.js";
import type { TaskGroup } from "./task-group.js";

/**
 * What a call of a race is given, to be passed to `with()`.
 * @experimental
 */
export interface RaceOptions {
  readonly group: TaskGroup;
}

/**
 * Calls several tasks and settles as the first one does. The others are given up at once; they are not waited for.
 * @param calls Functions that call a task with the options which they get: that is how the losers are given up.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` without any call: nobody would ever win.
 * @example
 * ```ts
 * import { raceTasks, tasks } from "ringloom";
 * const solvers = tasks<{ annealing(graph: number[]): number[]; exact(graph: number[]): number[] }>(new URL("./solvers.js", import.meta.url));
 * export const solve = (graph: number[]) =>
 *   raceTasks([(options) => solvers.with(options).annealing(graph), (options) => solvers.with(options).exact(graph)]);
 * ```
 * @experimental
 */
export async function raceTasks<Result>(calls: Iterable<(options: RaceOptions) => Promise<Result>>): Promise<Result> {
  const runners = Array.from(calls);
  if (runners.length === 0) throw invalid("calls", calls, "at least one is needed");
  const racers = group({ onFailure: "continue" });
  try {
    return await Promise.race(runners.map((call) => call({ group: racers })));
  } finally {
    racers.cancel();
  }
}
