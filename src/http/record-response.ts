/** Takes a web-standard Response that a handler returned as if the handler had answered through its context, so that middleware meets one kind of answer. */
import { AnswerCapture } from "./answer-capture.js";
import type { Context } from "./context.js";
import { sendResponse } from "./fetch-handler.js";

/**
 * Records `response` as the answer of `c`, whose own headers stay. Resolves when the answer is there; rejects when the Response cannot be sent.
 * A body that is not whole within one turn of the event loop becomes a stream.
 */
export async function recordResponse(c: Context, response: Response): Promise<void> {
  const capture = new AnswerCapture(c);
  sendResponse(response, capture);
  await capture.recorded;
}
