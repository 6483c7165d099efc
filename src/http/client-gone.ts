import { RingloomError } from "../errors.js";

/** The reason of an aborted request. */
export function clientGone(cause?: RingloomError): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", "The client closed the connection before the answer was complete", {
    cause,
  });
}
