/** Cross-origin requests from browsers (Fetch standard, section 3.3, "CORS protocol"). */
import type { Middleware } from "../http/app.js";
import type { Context } from "../http/context.js";
import { checkOptions, invalidOption } from "./check-options.js";

/**
 * Which origins may use an app. An origin is compared as a whole: `https://example.org`.
 * @experimental
 */
export type CorsOrigin =
  | "*"
  | string
  | RegExp
  | readonly (string | RegExp)[]
  | ((origin: string, c: Context) => boolean);

/**
 * Options of {@link cors}.
 * @experimental
 */
export interface CorsOptions {
  /** Who may read answers. Default `"*"`: everybody, without credentials. A regular expression has to match the whole origin. */
  readonly origin?: CorsOrigin;
  /** Methods that a preflight allows. Default: GET, HEAD, PUT, PATCH, POST, DELETE. */
  readonly methods?: readonly string[];
  /** Request headers that a preflight allows. Default: those that it asks for. */
  readonly allowedHeaders?: readonly string[];
  /** Answer headers that scripts may read beside the safelisted ones. Default none. */
  readonly exposedHeaders?: readonly string[];
  /** Whether requests may carry cookies. Default false. Not together with the origin `"*"`. */
  readonly credentials?: boolean;
  /** How long a browser may keep the answer to a preflight, in seconds. Default: the browser's own, 5. */
  readonly maxAgeSeconds?: number;
}

const OPTIONS = ["origin", "methods", "allowedHeaders", "exposedHeaders", "credentials", "maxAgeSeconds"];
const METHODS = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"];

/**
 * Answers preflights with 204 and tells browsers who may read the other answers, those to failures too. Add it before the routes.
 *
 * ```ts run
 * import { App } from "ringloom/http";
 * import { cors } from "ringloom/middleware";
 *
 * const app = new App();
 * app.use(cors({ origin: ["https://example.org"], credentials: true }));
 * app.get("/", (c) => c.text("hello"));
 *
 * const response = await app.request("/", { headers: { origin: "https://example.org" } });
 * if (response.headers.get("access-control-allow-origin") !== "https://example.org") throw new Error("not allowed");
 * ```
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` for unknown options and for credentials of everybody, which browsers refuse.
 * @experimental
 */
export function cors(options: CorsOptions = {}): Middleware {
  checkOptions("cors", options, OPTIONS);
  const { origin = "*", credentials = false, maxAgeSeconds } = options;
  if (origin === "*" && credentials)
    throw invalidOption("cors", "credentials", 'the origin "*" cannot have credentials: name the origins');
  if (maxAgeSeconds !== undefined && !(Number.isInteger(maxAgeSeconds) && maxAgeSeconds >= 0))
    throw invalidOption("cors", "maxAgeSeconds", `${maxAgeSeconds} is no number of seconds`);
  const allows = judgeOf(origin);
  const methods = (options.methods ?? METHODS).join(", ");
  const allowedHeaders = options.allowedHeaders?.join(", ");
  const exposedHeaders = options.exposedHeaders?.join(", ");

  function preflight(c: Context): void {
    c.setHeader("access-control-allow-methods", methods);
    const asked = allowedHeaders ?? c.header("access-control-request-headers");
    if (asked !== undefined && asked !== "") c.setHeader("access-control-allow-headers", asked);
    if (maxAgeSeconds !== undefined) c.setHeader("access-control-max-age", maxAgeSeconds);
    if (allowedHeaders === undefined) c.appendHeader("vary", "access-control-request-headers");
  }

  return (c, next) => {
    const asking = c.header("origin");
    const isAllowed = asking !== undefined && allows(asking, c);
    // Whoever gets this from a cache may be somebody else than who asked first.
    if (origin !== "*") c.addLastingHeader("vary", "origin");
    if (isAllowed || origin === "*")
      c.addLastingHeader("access-control-allow-origin", origin === "*" ? "*" : (asking ?? ""));
    if (isAllowed && credentials) c.addLastingHeader("access-control-allow-credentials", "true");
    if (c.method === "OPTIONS" && asking !== undefined && c.header("access-control-request-method") !== undefined) {
      if (isAllowed) preflight(c);
      return c.empty();
    }
    if (isAllowed && exposedHeaders !== undefined) c.addLastingHeader("access-control-expose-headers", exposedHeaders);
    return next();
  };
}

function judgeOf(origin: CorsOrigin): (asking: string, c: Context) => boolean {
  if (typeof origin === "function") return origin;
  if (origin === "*") return () => true;
  const list = Array.isArray(origin) ? (origin as readonly (string | RegExp)[]) : [origin as string | RegExp];
  const names = new Set(list.filter((one) => typeof one === "string"));
  // Without the ends, /example\.org/ would let example.org.evil.net in.
  const patterns = list
    .filter((one) => one instanceof RegExp)
    .map((one) => new RegExp(`^(?:${one.source})$`, one.flags.replace(/[gy]/g, "")));
  return (asking) => names.has(asking) || patterns.some((pattern) => pattern.test(asking));
}
