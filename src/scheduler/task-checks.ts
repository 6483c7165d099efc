/** Whether the options of a task are what they must be. Checked before anything changes, since JavaScript callers have no types. */
import { RingloomError } from "../errors.js";
import type { TaskOptions } from "./call-options.js";
import { checkTransferList } from "./transfer.js";

/** The longest time that a timer of Node's takes, in milliseconds: 24.8 days. A longer one would fire at once. */
export const TIMEOUT_MS_MAX = 2 ** 31 - 1;

const PLACEMENT_KINDS: ReadonlySet<unknown> = new Set(["stealable", "pinned", "round-robin", "sticky"]);

/** Throws `ERR_RINGLOOM_INVALID_OPTION` for options that no task can have. Which threads there are is for the seat to check. */
export function checkTaskOptions(options: TaskOptions): void {
  const { placement, signal, timeoutMs, idempotent, detached, blocking, transfer } = options;
  checkTimeout(timeoutMs);
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalid("signal", signal, "an AbortSignal is needed");
  }
  if (placement !== undefined && !PLACEMENT_KINDS.has(placement?.kind)) {
    throw invalid("placement", placement, "use stealable(), pinned(), roundRobin() or sticky()");
  }
  checkFlag("idempotent", idempotent);
  checkFlag("detached", detached);
  checkFlag("blocking", blocking);
  if (blocking === true && placement !== undefined) {
    throw invalid("placement", placement, "a task that blocks runs on any of the threads for such");
  }
  if (transfer === undefined) return;
  checkTransferList(transfer);
  if (idempotent === true && transfer.length > 0) {
    throw invalid(
      "idempotent",
      true,
      "what transfer hands over is lost with the thread, so the task could not run again",
    );
  }
}

/** Throws `ERR_RINGLOOM_INVALID_OPTION` for what no timer takes. */
export function checkTimeout(timeoutMs: number | undefined): void {
  if (timeoutMs === undefined || (timeoutMs >= 0 && timeoutMs <= TIMEOUT_MS_MAX && Number.isFinite(timeoutMs))) return;
  throw invalid("timeoutMs", timeoutMs, `a number of milliseconds from 0 to ${TIMEOUT_MS_MAX} is needed; 0 is never`);
}

/** Throws `ERR_RINGLOOM_INVALID_OPTION` for what is no integer, or too small; `Infinity` is an integer here. */
export function checkCount(option: string, count: number | undefined, least: number): void {
  if (count === undefined || count === Number.POSITIVE_INFINITY || (Number.isInteger(count) && count >= least)) return;
  throw invalid(option, count, `an integer of ${least} or more is needed`);
}

function checkFlag(option: string, value: boolean | undefined): void {
  if (value !== undefined && typeof value !== "boolean") throw invalid(option, value, "true or false is needed");
}

/** The error for a wrong option of a task, a group or a map. */
export function invalid(option: string, value: unknown, why: string): RingloomError {
  const shown =
    typeof value === "object"
      ? "an object of another kind"
      : typeof value === "function"
        ? "a function of another kind"
        : String(value);
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot use ${option} ${shown}: ${why}.`, {
    operation: "spawn",
    details: { option },
  });
}
