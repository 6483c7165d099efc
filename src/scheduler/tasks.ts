/** The typed proxy over a module's exports: each call of it is a task. */
import { isAbsolute } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { RingloomError } from "../errors.js";
import type { TaskOptions } from "./call-options.js";
import { currentSpawner, type Spawner } from "./current-seat.js";
import { groupOf } from "./group.js";
import { registerCall } from "./task-calls.js";

/** The functions among a module's exports. */
type FunctionNames<Module> = {
  [Name in keyof Module]: Module[Name] extends (...args: never[]) => unknown ? Name : never;
}[keyof Module];

/**
 * A module's exported functions, each of which runs as a task.
 * @experimental
 */
export type Tasks<Module> = {
  readonly [Name in FunctionNames<Module>]: Module[Name] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
    : never;
} & {
  /** The same functions, run in another way. */
  with(options: TaskOptions): Tasks<Module>;
};

/**
 * Offers the exported functions of a module as tasks that run on other threads. Nothing is loaded before the first call; then each thread
 * that runs a task of the module imports it.
 *
 * Arguments and results are copied, unless they are handed over (`transfer`) or are SharedArrayBuffers. JSON-like values, typed arrays, Buffers, Dates, Maps and Sets up to 1 MiB travel through shared memory; whatever else can be
 * cloned takes a slower way, which is counted.
 * @param module A file URL, such as `new URL("./images.js", import.meta.url)`.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` for anything but a file. The calls reject with `ERR_RINGLOOM_OVERLOADED` when the thread has too many
 * tasks in flight, `ERR_RINGLOOM_THREAD_LOST` when the thread that ran it ended, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_MODULE_LOAD`,
 * `ERR_RINGLOOM_NO_SUCH_FUNCTION`, `ERR_RINGLOOM_NOT_CLONEABLE`, or with what the function threw.
 * @example
 * ```ts
 * import { tasks } from "ringloom";
 * const images = tasks<{ resize(bytes: Uint8Array, width: number): Uint8Array }>(new URL("./images.js", import.meta.url));
 * export const small = (bytes: Uint8Array) => images.resize(bytes, 320);
 * ```
 * @experimental
 */
export function tasks<Module>(module: URL | string): Tasks<Module> {
  return makeProxy(moduleUrl(module), {}) as Tasks<Module>;
}

function makeProxy(module: string, options: TaskOptions): object {
  const functions = new Map<string, unknown>();
  return new Proxy(Object.create(null) as object, {
    get(_target, name) {
      // A proxy that had `then` would be taken for a promise.
      if (typeof name !== "string" || name === "then") return undefined;
      let found = functions.get(name);
      if (found === undefined) {
        found =
          name === "with"
            ? (more: TaskOptions) => makeProxy(module, { ...options, ...more })
            : taskFunction(module, name, options);
        functions.set(name, found);
      }
      return found;
    },
  });
}

function taskFunction(module: string, name: string, options: TaskOptions): (...args: unknown[]) => Promise<unknown> {
  let known: Spawner | undefined;
  let number = -1;
  const task = (...args: unknown[]): Promise<unknown> => call(args, options);
  registerCall(task, { module, name, options, call });
  return task;

  function call(args: readonly unknown[], given: TaskOptions): Promise<unknown> {
    try {
      const seat = currentSpawner("tasks");
      // The process may have closed one scheduler and started another, which has other numbers.
      if (seat !== known) {
        number = seat.functionNumber({ module, name });
        known = seat;
      }
      if (given.group === undefined) return seat.spawn(number, args, given);
      return groupOf(given.group).start(
        (membership, timeoutMs) => seat.spawn(number, args, { ...given, timeoutMs, membership }),
        given,
      );
    } catch (error) {
      return Promise.reject(error);
    }
  }
}

function moduleUrl(module: URL | string): string {
  const text = String(module);
  if (text.startsWith("file:")) return pathToFileURL(fileURLToPath(text)).href;
  if (isAbsolute(text)) return pathToFileURL(text).href;
  throw new RingloomError(
    "ERR_RINGLOOM_INVALID_OPTION",
    `Cannot offer tasks of ${text}: give a file URL, made with import.meta.url.`,
    { operation: "tasks", details: { module: text } },
  );
}
