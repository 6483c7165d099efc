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
