import { RingloomError, type RingloomErrorCode, type RingloomErrorOptions } from "../errors.js";

/**
 * An error that knows the status it answers with when no handler catches it: 413 for a body over its limit, 503 for a full pool.
 *
 * The message of an error with a status below 500 may be shown to the client, that of any other is not.
 * @experimental
 */
export class HttpError extends RingloomError {
  override readonly name = "HttpError";
  /** Status code of the answer, 400..599. */
  readonly status: number;

  constructor(
    code: RingloomErrorCode | (string & {}),
    status: number,
    message: string,
    options: RingloomErrorOptions = {},
  ) {
    super(code, message, options);
    this.status = status;
  }
}

/** What a body's reader is told when the server answers in the handler's place. */
export function refusal(status: number): RingloomError {
  if (status === 408)
    return new HttpError("ERR_RINGLOOM_TIMEOUT", 408, "Cannot read the request body: the client stopped sending it");
  if (status === 413)
    return new HttpError("ERR_RINGLOOM_BODY_TOO_LARGE", 413, "Cannot read the request body: it is too long");
  return new RingloomError("ERR_RINGLOOM_ABORTED", `Cannot read the request body: the request was answered ${status}`);
}
