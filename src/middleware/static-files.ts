/** Files of a folder as answers: types, validators, ranges, precompressed siblings. */
import { join, resolve } from "node:path";
import { lookup } from "mrmime";
import Negotiator from "negotiator";
import type { FileStat } from "../driver/file-stat.js";
import { type File, open } from "../fs/file.js";
import { stat as statPath } from "../fs/stat.js";
import type { Handler } from "../http/app.js";
import type { Answer, Context } from "../http/context.js";
import { formatHttpDate } from "../http/http-date.js";
import { HttpError } from "../http/http-error.js";
import { type ByteRange, chosenRange } from "./byte-range.js";
import { checkOptions, invalidOption, wholeNumber } from "./check-options.js";
import { judgePreconditions, rangeApplies } from "./preconditions.js";
import { isHidden, safeRelativePath } from "./safe-path.js";
import { addVary } from "./vary.js";

/**
 * Options of {@link staticFiles}.
 * @experimental
 */
export interface StaticFilesOptions {
  /** Served for a path that ends with a slash. Default `index.html`; an empty text serves none. */
  readonly index?: string;
  /** How long a client may use its copy without asking, in seconds. Default 0: it asks each time, and mostly gets a 304. */
  readonly maxAgeSeconds?: number;
  /** Adds `immutable` to Cache-Control: for names that change with their contents. Default false. */
  readonly immutable?: boolean;
  /** Whether names with a part that begins with a dot are served. Default false: they are not found. */
  readonly hidden?: boolean;
  /** Serves `app.js.br` for `app.js` to a client that takes it, if that file is there. The preferred one first. Default none. */
  readonly precompressed?: readonly ("br" | "gzip" | "zstd")[];
  /** Content types by extension, beside those that the media type registry knows: `{ ".webc": "text/html" }`. */
  readonly types?: Readonly<Record<string, string>>;
  /** Served, with status 200, for a path without a file: the page of an app that routes in the browser. Relative to the folder. Default none. */
  readonly fallback?: string;
}

const NAMES = ["index", "maxAgeSeconds", "immutable", "hidden", "precompressed", "types", "fallback"];
const SUFFIXES = { br: ".br", gzip: ".gz", zstd: ".zst" } as const;
/** A chunk is one buffer that is filled again and again. */
const CHUNK_BYTES = 128 * 1024;
/** What a missing file's errors are. */
const NOT_THERE = ["ENOENT", "ENOTDIR", "ENAMETOOLONG", "ELOOP"];

interface Settings {
  readonly root: string;
  readonly index: string;
  readonly cacheControl: string;
  readonly hidden: boolean;
  readonly precompressed: readonly ("br" | "gzip" | "zstd")[];
  readonly types: Readonly<Record<string, string>>;
  readonly fallback: string | undefined;
}

/** A file that is open, and what is said of it. */
interface Found {
  readonly file: File;
  readonly stat: FileStat;
  /** The name that the type goes by: without the suffix of a coding. */
  readonly name: string;
  readonly encoding: string | undefined;
}

/**
 * A handler that serves the files below `folder`, for a route with a wildcard at its end. GET and HEAD; `Last-Modified`, `ETag`, conditional requests and one range of bytes (RFC 9110, sections 13 and 14); several ranges
 * at once are answered with the whole file. What is not there, is no plain file, or lies outside is 404, what may not be read 403. Symbolic links are followed.
 *
 * ```ts run
 * import { writeFile } from "ringloom/fs";
 * import { App } from "ringloom/http";
 * import { staticFiles } from "ringloom/middleware";
 * import { mkdtemp } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 *
 * const folder = await mkdtemp(join(tmpdir(), "ringloom-static-"));
 * await writeFile(join(folder, "hello.txt"), "hello");
 * const app = new App();
 * app.get("/assets/*", staticFiles(folder, { maxAgeSeconds: 3600 }));
 *
 * const response = await app.request("/assets/hello.txt");
 * if ((await response.text()) !== "hello") throw new Error("not served");
 * ```
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` for unknown options. A folder that does not exist is no error: nothing is found in it.
 * @experimental
 */
export function staticFiles(folder: string, options: StaticFilesOptions = {}): Handler {
  const settings = settingsOf(folder, options);
  return async (c) => {
    const rest = c.param(wildcardOf(c));
    const name = safeRelativePath(rest);
    if (name === undefined || (!settings.hidden && isHidden(name))) return missing(c, settings);
    const wanted = rest === "" || rest.endsWith("/") ? join(name, settings.index) : name;
    if ((rest === "" || rest.endsWith("/")) && settings.index === "") return missing(c, settings);
    const found = await find(c, settings, wanted);
    return found === undefined ? missing(c, settings) : await answer(c, settings, found);
  };
}

async function missing(c: Context, settings: Settings): Promise<Answer> {
  const found = settings.fallback === undefined ? undefined : await find(c, settings, settings.fallback);
  return found === undefined ? c.notFound() : await answer(c, settings, found);
}

/** The wildcard is the last of a route's parameters. */
function wildcardOf(c: Context): string {
  const name = c.liveHead().paramNames.at(-1);
  if (name === undefined)
    throw new TypeError("Cannot serve files: the route has no wildcard at its end, as in /assets/*");
  return name;
}

/** The best form of a file that the client takes. */
async function find(c: Context, settings: Settings, name: string): Promise<Found | undefined> {
  const { precompressed } = settings;
  if (precompressed.length > 0) {
    addVary(c, "accept-encoding");
    const headers = { "accept-encoding": c.header("accept-encoding") ?? "" };
    for (const encoding of new Negotiator({ headers }).encodings([
      ...precompressed,
    ]) as (typeof precompressed)[number][]) {
      const found = await openPlain(settings, name, encoding);
      if (found !== undefined) return found;
    }
  }
  return await openPlain(settings, name, undefined);
}

async function openPlain(
  settings: Settings,
  name: string,
  encoding: keyof typeof SUFFIXES | undefined,
): Promise<Found | undefined> {
  const path = join(settings.root, name + (encoding === undefined ? "" : SUFFIXES[encoding]));
  try {
    // Opening a pipe would wait for somebody to write.
    if ((await statPath(path)).type !== "file") return undefined;
    const file = await open(path, { read: true });
    try {
      return { file, stat: await file.stat(), name, encoding };
    } catch (error) {
      await file.close();
      throw error;
    }
  } catch (error) {
    const { code } = error as { code?: string };
    if (code !== undefined && NOT_THERE.includes(code)) return undefined;
    if (code === "EACCES" || code === "EPERM")
      throw new HttpError("EACCES", 403, "Cannot serve the file: it may not be read", { cause: error });
    throw error;
  }
}

async function answer(c: Context, settings: Settings, found: Found): Promise<Answer> {
  const { file, stat } = found;
  let isSending = false;
  try {
    const validators = { etag: etagOf(stat), modifiedMs: stat.modifiedMs };
    c.setHeader("etag", validators.etag).setHeader(
      "last-modified",
      formatHttpDate(Math.floor(stat.modifiedMs / 1000) * 1000),
    );
    c.setHeader("cache-control", settings.cacheControl);
    const verdict = judgePreconditions((name) => c.header(name), validators, true);
    if (verdict !== undefined) return c.empty(verdict);
    c.setHeader("content-type", typeOf(settings, found.name)).setHeader("accept-ranges", "bytes");
    if (found.encoding !== undefined) c.setHeader("content-encoding", found.encoding);
    const asked =
      c.method === "GET" && rangeApplies((name) => c.header(name), validators) ? c.header("range") : undefined;
    const range = chosenRange(asked, stat.size);
    if (range === "unsatisfiable") {
      c.removeHeader("content-encoding");
      return c.setHeader("content-range", `bytes */${stat.size}`).empty(416);
    }
    if (range !== undefined) c.status(206).setHeader("content-range", `bytes ${range.start}-${range.end}/${stat.size}`);
    isSending = c.method !== "HEAD";
    return send(c, file, range ?? { start: 0, end: stat.size - 1 });
  } finally {
    if (!isSending) await file.close();
  }
}

function send(c: Context, file: File, { start, end }: ByteRange): Answer {
  const length = end + 1 - start;
  if (c.method === "HEAD") return c.setHeader("content-length", length).body(null);
  return c.stream(chunksOf(file, start, length), { contentLength: length });
}

/** The bytes of a file, a chunk at a time in the same buffer: a chunk is over when the next one is asked for. Closes the file. */
function chunksOf(file: File, start: number, length: number): AsyncIterable<Uint8Array> {
  let position = start;
  const end = start + length;
  let buffer: Buffer | undefined;
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        const count = Math.min(CHUNK_BYTES, end - position);
        if (count === 0) {
          await file.close();
          return { done: true, value: undefined };
        }
        buffer ??= Buffer.allocUnsafeSlow(count);
        const read = await file.readAt(buffer.subarray(0, count), position);
        // The length was announced; the connection is cut when it is not kept.
        if (read === 0) throw new Error(`Cannot send ${file.path}: it became shorter`);
        position += read;
        return { done: false, value: buffer.subarray(0, read) };
      },
      async return() {
        await file.close();
        return { done: true, value: undefined };
      },
    }),
  };
}

/** Size and time of the last change: what a deployment changes. */
function etagOf(stat: FileStat): string {
  return `"${stat.size.toString(36)}-${Math.round(stat.modifiedMs * 1000).toString(36)}"`;
}

function typeOf({ types }: Settings, name: string): string {
  const dot = name.lastIndexOf(".");
  const extension = dot < 0 ? "" : name.slice(dot).toLowerCase();
  const type = types[extension] ?? lookup(extension) ?? "application/octet-stream";
  const isText = type.startsWith("text/") || type === "application/json" || type === "application/javascript";
  return isText && !type.includes("charset") ? `${type}; charset=utf-8` : type;
}

function settingsOf(folder: string, options: StaticFilesOptions): Settings {
  checkOptions("staticFiles", options, NAMES);
  if (typeof folder !== "string" || folder === "")
    throw new TypeError(`Cannot serve files: the folder is ${String(folder)}`);
  const { index = "index.html", immutable = false, hidden = false, precompressed = [], types = {}, fallback } = options;
  for (const encoding of precompressed) {
    if (!(encoding in SUFFIXES)) throw invalidOption("staticFiles", "precompressed", `there is no ${String(encoding)}`);
  }
  const value = options.maxAgeSeconds;
  const maxAge = wholeNumber("staticFiles", { option: "maxAgeSeconds", value, fallback: 0, min: 0 });
  const cacheControl = `public, max-age=${maxAge}${immutable ? ", immutable" : ""}`;
  return { root: resolve(folder), index, cacheControl, hidden, precompressed, types, fallback };
}
