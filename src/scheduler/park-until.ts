/** Waiting inside of a task for something that can only be asked: a GPU's fence, a device, a word of shared memory that others write. */
import { RingloomError } from "../errors.js";
import { checkTimeout, invalid } from "./task-checks.js";
import { taskSignal } from "./task-scope.js";

/**
 * How a task waits.
 * @experimental
 */
export interface ParkOptions {
  /** From one question to the next, in milliseconds, 1 to 60,000. Default 1. */
  readonly pollMs?: number;
  /** When it rejects with `ERR_RINGLOOM_TIMEOUT`, in milliseconds; 0 is never. Default 0. */
  readonly timeoutMs?: number;
  /** Ends the wait with `ERR_RINGLOOM_ABORTED`. The task's own signal does so too. */
  readonly signal?: AbortSignal;
}

const POLL_MS_DEFAULT = 1;
const POLL_MS_MAX = 60_000;

/** Whether this thread runs tasks and serves no sockets. */
let mayPark = false;

/** Called once by a thread that runs tasks and nothing else. */
export function allowParking(): void {
  mayPark = true;
}

/**
 * Asks again and again until there is an answer, and frees the thread for other tasks meanwhile. For what has no promise and no callback of its own; a loop that asks without a pause would keep the thread, and with it everybody else's tasks.
 *
 * Only in tasks on compute threads and on those for tasks that block: an I/O shard would spend the time of its sockets on asking.
 * @param poll Gives the answer, which is no promise, or `undefined` or `null` while there is none. Called at once, and then from the event loop of this thread: behind a task that burns CPU, it is late by that much.
 * @throws RingloomError `ERR_RINGLOOM_WRONG_THREAD`, `ERR_RINGLOOM_INVALID_OPTION`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`; what `poll` throws.
 * @example
 * ```ts
 * import { parkUntil } from "ringloom";
 * interface Kernel { submit(input: Float32Array): number; result(ticket: number): Float32Array | undefined }
 * declare const gpu: Kernel;
 * // A task's function: while the device computes, its thread runs other tasks.
 * export async function infer(input: Float32Array): Promise<Float32Array> {
 *   const ticket = gpu.submit(input);
 *   return parkUntil(() => gpu.result(ticket), { timeoutMs: 5_000 });
 * }
 * ```
 * @experimental
 */
export async function parkUntil<Answer>(
  poll: () => Answer | undefined | null,
  options: ParkOptions = {},
): Promise<NonNullable<Answer>> {
  checkParking(poll, options);
  const { pollMs = POLL_MS_DEFAULT, timeoutMs = 0, signal } = options;
  const own = taskSignal();
  const endMs = timeoutMs === 0 ? Number.POSITIVE_INFINITY : performance.now() + timeoutMs;
  for (;;) {
    if (signal?.aborted === true) throw givenUp(signal.reason);
    if (own.aborted) throw givenUp(own.reason);
    const answer = poll();
    if (isThenable(answer)) throw noAnswer(answer);
    if (answer !== undefined && answer !== null) return answer;
    const leftMs = endMs - performance.now();
    if (leftMs <= 0) throw timedOut(timeoutMs);
    await pause(Math.min(pollMs, Math.ceil(leftMs)), signal === undefined ? [own] : [own, signal]);
  }
}

function isThenable(answer: unknown): answer is PromiseLike<unknown> {
  return typeof answer === "object" && answer !== null && typeof Reflect.get(answer, "then") === "function";
}

function noAnswer(promise: PromiseLike<unknown>): RingloomError {
  // Nobody else hears how it ends.
  promise.then(undefined, () => undefined);
  return invalid("poll", promise, "its answer is a promise: who has one awaits it, there is nothing to ask again");
}

/** Ends early when a signal is aborted. */
function pause(ms: number, signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(end, ms);
    function end(): void {
      clearTimeout(timer);
      for (const signal of signals) signal.removeEventListener("abort", end);
      resolve();
    }
    for (const signal of signals) signal.addEventListener("abort", end);
  });
}

function checkParking(poll: unknown, { pollMs, timeoutMs, signal }: ParkOptions): void {
  if (!mayPark) {
    throw new RingloomError(
      "ERR_RINGLOOM_WRONG_THREAD",
      "Cannot park here: only a task on a compute thread, or on one for tasks that block, has a thread that it can free.",
      { operation: "parkUntil" },
    );
  }
  if (typeof poll !== "function")
    throw invalid("poll", poll, "a function is needed that gives the answer, or undefined or null");
  if (pollMs !== undefined && !(pollMs >= 1 && pollMs <= POLL_MS_MAX)) {
    throw invalid("pollMs", pollMs, `a number of milliseconds from 1 to ${POLL_MS_MAX} is needed`);
  }
  checkTimeout(timeoutMs);
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalid("signal", signal, "an AbortSignal is needed");
  }
}

function givenUp(cause: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", "The wait was given up.", { operation: "parkUntil", cause });
}

function timedOut(timeoutMs: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_TIMEOUT", `There was no answer within ${timeoutMs} ms.`, {
    operation: "parkUntil",
    details: { timeoutMs },
  });
}
