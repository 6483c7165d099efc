/** How middleware comes to see the answer of what it wraps. */
import type { Next } from "../http/app.js";
import type { Context, HandlerResult } from "../http/context.js";
import { ANSWER_NONE, ANSWER_UPGRADE } from "../http/exchange.js";
import { recordResponse } from "../http/record-response.js";
import { isThenable } from "../http/values.js";
import { isResponse } from "../http/web-answer.js";

/**
 * Runs what comes after a middleware, then `look` once an answer has been recorded in the context: also one that was returned as a Response. Without a promise where nothing is asynchronous.
 * Not called for an answer that no middleware can change: a connection that was upgraded, or handed to another framework.
 */
export function afterAnswer(
  c: Context,
  next: Next,
  look: () => void | Promise<void>,
): HandlerResult | Promise<HandlerResult> {
  const result = next();
  if (isThenable(result)) return Promise.resolve(result).then((value) => settle(c, value, look));
  return settle(c, result, look);
}

function settle(
  c: Context,
  result: HandlerResult,
  look: () => void | Promise<void>,
): HandlerResult | Promise<HandlerResult> {
  if (isResponse(result) && c.answerKind === ANSWER_NONE)
    return recordResponse(c, result)
      .then(look)
      .then(() => c);
  if (c.answerKind === ANSWER_NONE || c.answerKind === ANSWER_UPGRADE) return result;
  const looked = look();
  return looked === undefined ? c : looked.then(() => c);
}
