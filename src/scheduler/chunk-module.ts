/** What runs on a compute thread for `mapTasks` and `reduceTasks`: a function, called for each item of a list. */
import { RingloomError } from "../errors.js";
import { importModule } from "../runtime/module.js";
import type { TaskFunctionName } from "./function-table.js";
import { exportedFunction, type TaskFunction } from "./task-functions.js";
import { isCancelled } from "./task-scope.js";
import { type TransferItem, TransferredValue, transfer } from "./transfer.js";

const known = new Map<string, Promise<TaskFunction>>();

/** Calls the function for each item, one behind the other. */
export async function mapChunk(name: TaskFunctionName, items: readonly unknown[]): Promise<unknown[]> {
  const run = await functionOf(name);
  const results: unknown[] = [];
  const handedOver: TransferItem[] = [];
  for (const item of items) {
    stopIfCancelled();
    const result = run(item);
    results.push(unwrapped(result instanceof Promise ? await result : result, handedOver));
  }
  return handedOver.length === 0 ? results : transfer(results, handedOver);
}

/** Combines the items from left to right into one. There is at least one. */
export async function reduceChunk(name: TaskFunctionName, items: readonly unknown[]): Promise<unknown> {
  const run = await functionOf(name);
  let [sum] = items;
  let handedOver: TransferItem[] = [];
  for (const item of items.slice(1)) {
    stopIfCancelled();
    const result = run(sum, item);
    // What an earlier step wanted handed over is in the way of the next one, or gone.
    handedOver = [];
    sum = unwrapped(result instanceof Promise ? await result : result, handedOver);
  }
  return handedOver.length === 0 ? sum : transfer(sum, handedOver);
}

/** What a function returned, without the mark that it is to be handed over. */
function unwrapped(result: unknown, handedOver: TransferItem[]): unknown {
  if (!(result instanceof TransferredValue)) return result;
  handedOver.push(...result.items);
  return result.value;
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
