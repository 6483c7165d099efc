/** What runs on a compute thread for `mapTasks` and `reduceTasks`: a function, called for each item of a list. */
import { RingloomError } from "../errors.js";
import { importModule } from "../runtime/module.js";
import type { TaskFunctionName } from "./function-table.js";
import { exportedFunction, type TaskFunction } from "./task-functions.js";
import { isCancelled } from "./task-scope.js";

const known = new Map<string, Promise<TaskFunction>>();

/** Calls the function for each item, one behind the other. */
export async function mapChunk(name: TaskFunctionName, items: readonly unknown[]): Promise<unknown[]> {
  const run = await functionOf(name);
  const results: unknown[] = [];
  for (const item of items) {
    stopIfCancelled();
    const result = run(item);
    results.push(result instanceof Promise ? await result : result);
  }
  return results;
}

/** Combines the items from left to right into one. There is at least one. */
export async function reduceChunk(name: TaskFunctionName, items: readonly unknown[]): Promise<unknown> {
  const run = await functionOf(name);
  let [sum] = items;
  for (const item of items.slice(1)) {
    stopIfCancelled();
    const result = run(sum, item);
    sum = result instanceof Promise ? await result : result;
  }
  return sum;
}

function stopIfCancelled(): void {
  if (isCancelled()) throw new RingloomError("ERR_RINGLOOM_ABORTED", "The task was given up.", { operation: "task" });
}

/** A module that does not load may do so the next time. */
function functionOf(name: TaskFunctionName): Promise<TaskFunction> {
  const key = `${name.name} ${name.module}`;
  const found = known.get(key) ?? importModule(new URL(name.module)).then((module) => exportedFunction(module, name));
  known.set(key, found);
  found.catch(() => known.delete(key));
  return found;
}
