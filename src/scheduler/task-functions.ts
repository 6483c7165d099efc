/** The functions that this thread can run: each module is imported once, when its first task comes. */
import { RingloomError } from "../errors.js";
import { importModule } from "../runtime/module.js";
import type { FunctionTable, TaskFunctionName } from "./function-table.js";

/** A task's function. */
export type TaskFunction = (...args: readonly unknown[]) => unknown;

/** Functions by number. */
export class TaskFunctions {
  readonly #table: FunctionTable;
  readonly #known: (TaskFunction | undefined)[] = [];
  readonly #loading = new Map<number, Promise<TaskFunction>>();

  constructor(table: FunctionTable) {
    this.#table = table;
  }

  /** The function, if its module is here already. */
  known(number: number): TaskFunction | undefined {
    return this.#known[number];
  }

  /** Whether the function's module is being imported. */
  isLoading(number: number): boolean {
    return this.#loading.has(number);
  }

  /** Imports the function's module. Rejects with `ERR_RINGLOOM_MODULE_LOAD` or `ERR_RINGLOOM_NO_SUCH_FUNCTION`; the next call tries again. */
  load(number: number): Promise<TaskFunction> {
    let loading = this.#loading.get(number);
    if (loading === undefined) {
      loading = this.#load(number).finally(() => this.#loading.delete(number));
      this.#loading.set(number, loading);
    }
    return loading;
  }

  async #load(number: number): Promise<TaskFunction> {
    const found = this.#table.nameOf(number);
    if (found === undefined) {
      throw new RingloomError(
        "ERR_RINGLOOM_NO_SUCH_FUNCTION",
        `Cannot run a task: no function has the number ${number}.`,
        {
          operation: "run task",
          details: { number },
        },
      );
    }
    const module = await importModule(new URL(found.module));
    const run = functionOf(module, found.name);
    if (run === undefined) {
      const names = module.names.filter((name) => functionOf(module, name) !== undefined);
      this.#table.foundAll(found.module, names);
      throw noSuchFunction(module, found);
    }
    this.#table.found(number);
    this.#known[number] = run;
    return run;
  }
}

/** A function among a module's exports. Throws `ERR_RINGLOOM_NO_SUCH_FUNCTION`. */
export function exportedFunction(module: LoadedFunctions, wanted: TaskFunctionName): TaskFunction {
  const run = functionOf(module, wanted.name);
  if (run === undefined) throw noSuchFunction(module, wanted);
  return run;
}

function functionOf(module: LoadedFunctions, name: string): TaskFunction | undefined {
  const exported = name === "default" ? module.defaultExport : module.named(name);
  // The cast is safe because arguments are the caller's affair.
  return typeof exported === "function" ? (exported as TaskFunction) : undefined;
}

function noSuchFunction(module: LoadedFunctions, { module: url, name }: TaskFunctionName): RingloomError {
  const functions = module.names.join(", ") || "nothing";
  return new RingloomError(
    "ERR_RINGLOOM_NO_SUCH_FUNCTION",
    `Cannot run ${name} of ${url}: it is no exported function (exported: ${functions}).`,
    { operation: "run task", details: { module: url, name } },
  );
}

/** What {@link importModule} gives. */
type LoadedFunctions = Awaited<ReturnType<typeof importModule>>;
