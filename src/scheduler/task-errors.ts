/** Why a task ended otherwise than by what it returned or threw. */
import { RingloomError } from "../errors.js";

/** Nothing runs tasks any more. */
export function closed(message: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", message, { operation: "spawn" });
}

/** Its caller gave it up; `cause` is the signal's reason. */
export function aborted(cause: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", "The task was given up.", { operation: "task", cause });
}

/** Its own time is over. */
export function timedOut(timeoutMs: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_TIMEOUT", `The task took longer than ${timeoutMs} ms.`, {
    operation: "task",
    details: { timeoutMs },
  });
}
