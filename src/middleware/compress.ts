/** Compressed answers (RFC 9110, section 8.4). */
import Negotiator from "negotiator";
import type { Middleware } from "../http/app.js";
import type { Context } from "../http/context.js";
import { ANSWER_WHOLE } from "../http/exchange.js";
import { type BodySource, iterableOf } from "../http/response-body.js";
import { statusHasNoBody } from "../http/status.js";
import { afterAnswer } from "./after-answer.js";
import { checkOptions, invalidOption, wholeNumber } from "./check-options.js";
import { COMPRESSORS, type Compressor, compressed, type Encoding } from "./compressors.js";
import { addVary } from "./vary.js";

/**
 * Options of {@link compress}.
 * @experimental
 */
export interface CompressOptions {
  /** Codings to offer, the preferred one first. Default: `zstd` where Node has it (22.15), `br`, `gzip`. */
  readonly encodings?: readonly Encoding[];
  /** Shorter bodies are sent as they are, in bytes. Default 1024. */
  readonly bytesMin?: number;
  /** Whether an answer of this content type is worth it. Default: text, JSON, XML, JavaScript, WebAssembly, SVG and the like; not `text/event-stream`, whose events would wait in the compressor. */
  readonly filter?: (contentType: string, c: Context) => boolean;
}

const NAMES = ["encodings", "bytesMin", "filter"];
const PREFERENCE: readonly Encoding[] = ["zstd", "br", "gzip"];
/** Text in disguise. Pictures, sound and archives are compressed already. */
const COMPRESSIBLE =
  /^(?:text\/(?!event-stream)|(?:application|image|model)\/(?:[\w.-]+\+)?(?:json|xml)\b|application\/(?:javascript|wasm|graphql|x-ndjson|rtf|sql|toml|yaml)\b|font\/(?:otf|ttf)\b)/i;

/**
 * Compresses answers in the coding that the client takes, if they are worth it. Bodies that are all there are compressed in libuv's pool of threads, in one piece; streams as they come.
 *
 * Left alone: answers to HEAD, parts of a range, those with a `Content-Encoding` or `Cache-Control: no-transform`, and those without a body. A strong ETag becomes a weak one, because the bytes differ.
 * Do not compress what holds both a secret and text that an attacker chose: the length tells about the secret (BREACH).
 *
 * ```ts run
 * import { App } from "ringloom/http";
 * import { compress } from "ringloom/middleware";
 *
 * const app = new App();
 * app.use(compress());
 * app.get("/", (c) => c.text("hello ".repeat(1000)));
 *
 * const response = await app.request("/", { headers: { "accept-encoding": "gzip" } });
 * if (response.headers.get("content-encoding") !== "gzip") throw new Error("sent as it is");
 * ```
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` for an unknown coding, or one that this Node does not have.
 * @experimental
 */
export function compress(options: CompressOptions = {}): Middleware {
  checkOptions("compress", options, NAMES);
  const bytesMin = wholeNumber("compress", { option: "bytesMin", value: options.bytesMin, fallback: 1024, min: 0 });
  const filter = options.filter ?? ((contentType: string) => COMPRESSIBLE.test(contentType));
  const encodings = checkedEncodings(options.encodings);
  return (c, next) => {
    return afterAnswer(c, next, () => {
      if (!isCandidate(c, filter)) return undefined;
      addVary(c, "accept-encoding");
      const encoding = chosen(c, encodings);
      const compressor = encoding === undefined ? undefined : COMPRESSORS[encoding];
      if (encoding === undefined || compressor === undefined || c.method === "HEAD") return undefined;
      return c.answerKind === ANSWER_WHOLE
        ? compressWhole(c, { encoding, compressor, bytesMin })
        : compressStream(c, { encoding, compressor });
    });
  };
}

function isCandidate(c: Context, filter: (contentType: string, c: Context) => boolean): boolean {
  const { statusCode, answerBody } = c;
  if (answerBody === null || statusHasNoBody(statusCode) || statusCode === 206) return false;
  if (c.getHeader("content-encoding") !== undefined || c.getHeader("content-range") !== undefined) return false;
  if (/\bno-transform\b/i.test(c.getHeader("cache-control") ?? "")) return false;
  const contentType = c.getHeader("content-type");
  return contentType !== undefined && filter(contentType, c);
}

/** The first of ours among those that the client prefers equally; undefined for the body as it is. */
function chosen(c: Context, encodings: readonly Encoding[]): Encoding | undefined {
  const accepted = c.header("accept-encoding");
  if (accepted === undefined) return undefined;
  const negotiator: EncodingNegotiator = new Negotiator({ headers: { "accept-encoding": accepted } });
  const best = negotiator.encoding([...encodings, "identity"], { preferred: [...encodings] });
  return best === undefined || best === "identity" ? undefined : (best as Encoding);
}

/** Newer than the types of the package. */
interface EncodingNegotiator {
  encoding(available: string[], options?: { readonly preferred: string[] }): string | undefined;
}

interface Choice {
  readonly encoding: Encoding;
  readonly compressor: Compressor;
}

async function compressWhole(c: Context, choice: Choice & { readonly bytesMin: number }): Promise<void> {
  const body = c.answerBody as string | Uint8Array;
  // A character of text is at least one byte.
  if (body.length < choice.bytesMin) return;
  const { statusCode } = c;
  const bytes = await choice.compressor.whole(body);
  markCompressed(c, choice.encoding);
  c.body(bytes, statusCode);
}

function compressStream(c: Context, choice: Choice): void {
  const { trailers } = c.more();
  markCompressed(c, choice.encoding);
  const source = iterableOf(c.answerBody as BodySource);
  // A stream that another answer replaces is ended; this one goes on inside the new one.
  c.answerBody = null;
  c.stream(compressed(source, choice.compressor));
  c.more().trailers = trailers;
}

function markCompressed(c: Context, encoding: Encoding): void {
  c.removeHeader("content-length");
  // The answering method of the handler chose the type; the next one would choose that of bytes.
  c.setHeader("content-type", c.getHeader("content-type") ?? "");
  c.setHeader("content-encoding", encoding);
  c.removeHeader("accept-ranges");
  const etag = c.getHeader("etag");
  if (etag !== undefined && !etag.startsWith("W/")) c.setHeader("etag", `W/${etag}`);
}

function checkedEncodings(encodings: readonly Encoding[] | undefined): readonly Encoding[] {
  if (encodings === undefined) return PREFERENCE.filter((encoding) => COMPRESSORS[encoding] !== undefined);
  for (const encoding of encodings) {
    if (!PREFERENCE.includes(encoding))
      throw invalidOption("compress", "encodings", `${String(encoding)} is none of ${PREFERENCE.join(", ")}`);
    if (COMPRESSORS[encoding] === undefined)
      throw invalidOption("compress", "encodings", `this Node has no ${encoding}: it came with Node 22.15`);
  }
  return encodings;
}
