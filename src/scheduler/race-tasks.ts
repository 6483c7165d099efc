/** The first of several tasks, without the others running on. */
import { group } from "./group.js";
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
  const racers = group({ onFailure: "continue" });
  try {
    return await Promise.race(Array.from(calls, (call) => call({ group: racers })));
  } finally {
    racers.cancel();
  }
}
