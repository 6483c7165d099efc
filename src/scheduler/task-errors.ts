/** Why a call of a task was given up, by its own signal and its own time. */
import { RingloomError } from "../errors.js";

/** Its signal was aborted; `cause` is the signal's reason. */
export function aborted(cause: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", "The task was given up.", { operation: "task", cause });
}

/** Its time is over. */
export function timedOut(timeoutMs: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_TIMEOUT", `The task took longer than ${timeoutMs} ms.`, {
    operation: "task",
    details: { timeoutMs },
  });
}
