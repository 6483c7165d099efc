/** Answers that the client has already cost only their head. */
import { createHash } from "node:crypto";
import type { Middleware } from "../http/app.js";
import type { Context } from "../http/context.js";
import { ANSWER_WHOLE } from "../http/exchange.js";
import { afterAnswer } from "./after-answer.js";
import { checkOptions, wholeNumber } from "./check-options.js";
import { judgePreconditions } from "./preconditions.js";

/**
 * Options of {@link conditional}.
 * @experimental
 */
export interface ConditionalOptions {
  /** A body of up to so many bytes gets an ETag when it has none: a SHA-1 over it, about 1 ms for a MiB. Streams get none. Default 1 MiB; 0 makes none. */
  readonly etagBytesMax?: number;
}

const OPTIONS = ["etagBytesMax"];
const MIB = 1024 * 1024;
/** What a 304 must not say, because the client's own copy knows it better (RFC 9110, section 15.4.5). */
const OF_THE_BODY = ["content-type", "content-encoding", "content-language", "content-length", "content-range"];

/**
 * Answers 304 to a GET or HEAD whose `If-None-Match` or `If-Modified-Since` says that the client has this answer, by the `ETag` and `Last-Modified` that the handler set, or an ETag over the body. Only answers
 * with status 200 are looked at. `If-Match` and `If-Unmodified-Since` of a request that changes something are the handler's to judge: when this middleware sees the answer, it has happened.
 *
 * ```ts run
 * import { App } from "ringloom/http";
 * import { conditional } from "ringloom/middleware";
 *
 * const app = new App();
 * app.use(conditional());
 * app.get("/", (c) => c.text("hello"));
 *
 * const etag = (await app.request("/")).headers.get("etag") ?? "";
 * const again = await app.request("/", { headers: { "if-none-match": etag } });
 * if (again.status !== 304) throw new Error("sent twice");
 * ```
 * @experimental
 */
export function conditional(options: ConditionalOptions = {}): Middleware {
  checkOptions("conditional", options, OPTIONS);
  const value = options.etagBytesMax;
  const etagBytesMax = wholeNumber("conditional", { option: "etagBytesMax", value, fallback: MIB, min: 0 });
  return (c, next) => {
    if (c.method !== "GET" && c.method !== "HEAD") return next();
    return afterAnswer(c, next, () => judge(c, etagBytesMax));
  };
}

function judge(c: Context, etagBytesMax: number): void {
  if (c.statusCode !== 200) return;
  const body = c.answerBody as string | Uint8Array | null;
  let etag = c.getHeader("etag");
  if (etag === undefined && c.answerKind === ANSWER_WHOLE && body !== null && body.length <= etagBytesMax) {
    etag = `"${createHash("sha1").update(body).digest("base64url")}"`;
    c.setHeader("etag", etag);
  }
  const lastModified = Date.parse(c.getHeader("last-modified") ?? "");
  const validators = { etag, modifiedMs: Number.isNaN(lastModified) ? undefined : lastModified };
  if (judgePreconditions((name) => c.header(name), validators, true) !== 304) return;
  replaceBody(c);
}

/** The answer becomes a 304. */
function replaceBody(c: Context): void {
  for (const name of OF_THE_BODY) c.removeHeader(name);
  c.empty(304);
}
