/** The errors of a boundary. */
import { RingloomError } from "../errors.js";

const operation = "boundary call";

/** No room at the other side. */
export function overloaded(why: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_OVERLOADED", `Cannot call: ${why}.`, { operation });
}

/** The call's time is over. */
export function timedOut(): RingloomError {
  return new RingloomError("ERR_RINGLOOM_TIMEOUT", "The call was not answered in time.", { operation });
}

/** The caller gave it up; `cause` is its signal's reason. */
export function canceled(cause?: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", "The call was given up.", { operation, cause });
}

/** One of the sides is gone. */
export function closed(): RingloomError {
  return new RingloomError(
    "ERR_RINGLOOM_CLOSED",
    "The boundary is closed: one of its sides closed it, or its thread ended.",
    {
      operation,
    },
  );
}

/** The handler threw `cause`, or a value could not be cloned. */
export function callFailed(cause: unknown): RingloomError {
  const what = cause instanceof Error ? cause.message : String(cause);
  return new RingloomError("ERR_RINGLOOM_CALL_FAILED", `The call failed: ${what}`, { operation, cause });
}
