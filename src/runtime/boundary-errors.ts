/** The errors of a boundary. */
import { isCloneRefusal, notCloneable, RingloomError } from "../errors.js";

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

/** A value could not be cloned; `cause` is what the clone threw. What a getter of it throws is the call's failure. */
export function cloneFailed(cause: unknown): RingloomError {
  return isCloneRefusal(cause) ? notCloneable(operation, cause.message, cause) : callFailed(cause);
}

/** What the handler answered could not be cloned; `what` is V8's sentence about it. */
export function replyNotCloneable(what: string): RingloomError {
  return notCloneable(operation, what);
}

/** The handler threw `cause`. */
export function callFailed(cause: unknown): RingloomError {
  const what = cause instanceof Error ? cause.message : String(cause);
  return new RingloomError("ERR_RINGLOOM_CALL_FAILED", `The call failed: ${what}`, { operation, cause });
}
