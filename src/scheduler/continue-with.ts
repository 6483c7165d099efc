/** Tasks that pass their result on: it goes from thread to thread, and never to whoever called the first. */
import type { TaskOptions } from "./call-options.js";
import { callOf, registerCall, type TaskCall } from "./task-calls.js";
import { invalid } from "./task-checks.js";
import { tasks } from "./tasks.js";

/**
 * Makes one task of two: a compute thread calls `first`, and then `next` with what that has resolved with, so the value in between never comes to this thread. A failure of either rejects the call; cancellation and deadline
 * reach whichever is under way.
 *
 * Each keeps the placement, the timeout and the idempotence of the proxy that it comes from; a signal or a group of `first`'s is for both. The whole may be run again when a thread is lost if each of its functions may.
 * What `first` is handed over (`transfer`) goes to its thread without a copy.
 * @returns A task function again, which can be continued, called in a group and mapped over.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` for functions that are not of {@link tasks}, and for a signal, a group or a `transfer` of `next`'s.
 * @example
 * ```ts
 * import { continueWith, tasks } from "ringloom";
 * const images = tasks<{ resize(bytes: Uint8Array): Uint8Array; store(bytes: Uint8Array): string }>(new URL("./images.js", import.meta.url));
 * const resizeAndStore = continueWith(images.resize, images.store);
 * export const thumbnail = (bytes: Uint8Array): Promise<string> => resizeAndStore(bytes);
 * ```
 * @experimental
 */
export function continueWith<Args extends readonly unknown[], Between, Result>(
  first: (...args: Args) => Promise<Between>,
  next: (value: Between) => Promise<Result>,
): (...args: Args) => Promise<Result> {
  const head = callOf(first, "first");
  const tail = callOf(next, "next");
  const { signal, group, transfer } = tail.options;
  if (signal !== undefined || group !== undefined) {
    throw invalid("next", next, "a signal or a group belongs to the first function, and is for both");
  }
  if (transfer !== undefined) {
    throw invalid(
      "next",
      next,
      "its argument is made on another thread, which hands over what first returns by transfer()",
    );
  }
  const steps = [...stepsOf(head), ...stepsOf(tail)];
  const options = whole(head.options, steps);
  const task = (...args: Args): Promise<Result> => call(args, options) as Promise<Result>;
  registerCall(task, { module: CHAIN.href, name: "runChain", options, call });
  chains.set(call, steps);
  return task;

  function call(args: readonly unknown[], given: TaskOptions): Promise<unknown> {
    return chainTasks.with(given).runChain(steps, args, given.transfer);
  }
}

/** A task of a chain, as it travels. */
export interface ChainStep {
  readonly module: string;
  readonly name: string;
  /** Those that can travel. */
  readonly options: Pick<TaskOptions, "placement" | "timeoutMs" | "idempotent" | "detached" | "blocking">;
}

const CHAIN = new URL("./chain-module.js", import.meta.url);
const chainTasks = tasks<typeof import("./chain-module.js")>(CHAIN);
const chains = new WeakMap<TaskCall["call"], readonly ChainStep[]>();

/** What holds for the whole chain. */
function whole({ signal, group, transfer }: TaskOptions, steps: readonly ChainStep[]): TaskOptions {
  return {
    ...(signal === undefined ? {} : { signal }),
    ...(group === undefined ? {} : { group }),
    ...(transfer === undefined ? {} : { transfer }),
    idempotent: steps.every(({ options }) => options.idempotent === true),
  };
}

/** A chain in a chain is its steps. */
function stepsOf({ module, name, options, call }: TaskCall): readonly ChainStep[] {
  const { placement, timeoutMs = 0, idempotent = false, detached = false, blocking = false } = options;
  const travels = { ...(placement === undefined ? {} : { placement }), timeoutMs, idempotent, detached, blocking };
  return chains.get(call) ?? [{ module, name, options: travels }];
}
