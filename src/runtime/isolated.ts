/** Async contexts of their own for what other threads make run here: no message sees what another one, or whoever opened its port, entered. */
import { AsyncResource } from "node:async_hooks";

/** Made when the module loads, outside of any request. */
const root = new AsyncResource("RINGLOOM");

/** Runs `run` in no request's async context, for what makes a context for each thing that it does, and returns what it returns. */
export function runAtRoot<Result>(run: () => Result): Result {
  return root.runInAsyncScope(run);
}

/** Runs `run` in a fresh async context, which inherits nothing from the caller's, and returns what it returns. */
export function runIsolated<Result>(resourceName: string, run: () => Result): Result {
  return root.runInAsyncScope(() => new AsyncResource(resourceName).runInAsyncScope(run));
}
