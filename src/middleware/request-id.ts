/** One name for a request in every log that it passes. */
import { randomUUID } from "node:crypto";
import type { Middleware } from "../http/app.js";
import type { Context } from "../http/context.js";
import { checkOptions } from "./check-options.js";

/**
 * Options of {@link requestId}.
 * @experimental
 */
export interface RequestIdOptions {
  /** The header that carries it, there and back. Default `x-request-id`. */
  readonly header?: string;
  /** Whether an id that comes with the request is kept: only behind a proxy that sets it. Default false. At most 128 characters of `A-Z a-z 0-9 . _ : / + = -` are. */
  readonly trust?: boolean;
  /** Makes an id. Default: a random UUID. */
  readonly generate?: (c: Context) => string;
}

const OPTIONS = ["header", "trust", "generate"];
const SAFE = /^[\w.:/+=-]{1,128}$/;

/**
 * Gives each request an id: `c.locals.requestId`, and a header of its answer, that to a failure too.
 *
 * ```ts run
 * import { App } from "ringloom/http";
 * import { requestId } from "ringloom/middleware";
 *
 * const app = new App();
 * app.use(requestId());
 * app.get("/", (c) => c.text(`you are ${c.locals.requestId}`));
 *
 * const response = await app.request("/");
 * if ((await response.text()) !== `you are ${response.headers.get("x-request-id")}`) throw new Error("two ids");
 * ```
 * @experimental
 */
export function requestId(options: RequestIdOptions = {}): Middleware {
  checkOptions("requestId", options, OPTIONS);
  const { header = "x-request-id", trust = false, generate = () => randomUUID() } = options;
  return (c, next) => {
    const given = trust ? c.header(header) : undefined;
    const id = given !== undefined && SAFE.test(given) ? given : generate(c);
    c.locals.requestId = id;
    c.addLastingHeader(header, id);
    return next();
  };
}
