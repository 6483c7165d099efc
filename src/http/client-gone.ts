import { AsyncResource } from "node:async_hooks";
import { RingloomError } from "../errors.js";

/** The reason of an aborted request. */
export function clientGone(cause?: RingloomError): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", "The client closed the connection before the answer was complete", {
    cause,
  });
}

/** Tells whoever listens to a request's signal that its client has gone. Listeners are the program's, so they get an async context of their own. */
export function abortRequest(abort: AbortController | undefined): void {
  if (abort !== undefined) new AsyncResource("RINGLOOM_ABORT").runInAsyncScope(() => abort.abort(clientGone()));
}
