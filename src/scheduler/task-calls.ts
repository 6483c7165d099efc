/** What stands behind the functions that `tasks()` offers, for those who call them in another way: groups, maps, chains. */
import type { TaskOptions } from "./call-options.js";
import { invalid } from "./task-checks.js";

/** Any function that `tasks()` offers. */
export type AnyTaskFunction = (...args: never[]) => Promise<unknown>;

/** One such function. */
export interface TaskCall {
  /** A file URL. */
  readonly module: string;
  readonly name: string;
  /** Those of the proxy that it comes from. */
  readonly options: TaskOptions;
  call(args: readonly unknown[], options: TaskOptions): Promise<unknown>;
}

const calls = new WeakMap<object, TaskCall>();

/** Remembers what stands behind a function. */
export function registerCall(task: object, call: TaskCall): void {
  calls.set(task, call);
}

/** What stands behind a function, if it is one of `tasks()`. */
export function findCall(task: unknown): TaskCall | undefined {
  return typeof task === "function" ? calls.get(task) : undefined;
}

/** The same. Throws `ERR_RINGLOOM_INVALID_OPTION` for anything else. */
export function callOf(task: unknown, option: string): TaskCall {
  const call = findCall(task);
  if (call === undefined) throw invalid(option, task, "a function of a module that tasks() offers is needed");
  return call;
}
