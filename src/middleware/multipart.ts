/** Forms with files (RFC 7578), part by part as they arrive. */
import { PassThrough, pipeline, Readable } from "node:stream";
import { Busboy, type BusboyInstance } from "@fastify/busboy";
import type { Context } from "../http/context.js";
import { HttpError } from "../http/http-error.js";
import { checkOptions, wholeNumber } from "./check-options.js";

/**
 * Limits of {@link multipart}. More of anything is an `HttpError` 413.
 * @experimental
 */
export interface MultipartOptions {
  /** Length of one field's value, in bytes. Default 65536. */
  readonly fieldBytesMax?: number;
  /** Default 100. */
  readonly fieldsMax?: number;
  /** Length of one file, in bytes. Default 16777216. */
  readonly fileBytesMax?: number;
  /** Default 10. */
  readonly filesMax?: number;
  /** Header lines of one part. Default 32. */
  readonly headersMax?: number;
}

/**
 * A field of a form.
 * @experimental
 */
export interface FieldPart {
  readonly kind: "field";
  readonly name: string;
  readonly value: string;
}

/**
 * A file of a form.
 * @experimental
 */
export interface FilePart {
  readonly kind: "file";
  readonly name: string;
  /** As the client says, without folders; empty where it says none. Do not use it as a path. */
  readonly filename: string;
  /** As the client says. */
  readonly contentType: string;
  /** Its bytes. What is not read before the next part is asked for is dropped. Fails with 413 when the file is too long. */
  readonly stream: Readable;
}

/**
 * A part of a form.
 * @experimental
 */
export type Part = FieldPart | FilePart;

const NAMES = ["fieldBytesMax", "fieldsMax", "fileBytesMax", "filesMax", "headersMax"];

/**
 * The parts of a `multipart/form-data` request, one by one as they arrive: a file's bytes are read from the client only as fast as its stream is.
 *
 * ```ts run
 * import { text } from "node:stream/consumers";
 * import { App } from "ringloom/http";
 * import { multipart } from "ringloom/middleware";
 *
 * const app = new App();
 * app.post("/upload", async (c) => {
 *   const lengths: Record<string, number> = {};
 *   for await (const part of multipart(c, { fileBytesMax: 1_000_000 })) {
 *     lengths[part.name] = part.kind === "field" ? part.value.length : (await text(part.stream)).length;
 *   }
 *   return c.json(lengths);
 * });
 *
 * const body = new FormData();
 * body.set("title", "notes");
 * body.set("file", new Blob(["hello"]), "notes.txt");
 * const response = await app.request("/upload", { method: "POST", body });
 * if ((await response.text()) !== '{"title":5,"file":5}') throw new Error("lost a part");
 * ```
 * @throws HttpError 415 for another content type, 400 for a form that is malformed or ends early, 413 for one over its limits.
 * @experimental
 */
export async function* multipart(c: Context, options: MultipartOptions = {}): AsyncGenerator<Part, void, undefined> {
  const reader = new PartReader(c, options);
  try {
    for (;;) {
      const part = await reader.next();
      if (part === undefined) return;
      yield part;
      if (part.kind === "file") part.stream.resume();
    }
  } finally {
    reader.stop();
  }
}

/** Feeds the parser and keeps what it has found until somebody asks. */
class PartReader {
  readonly #source: Readable;
  readonly #parts: Part[] = [];
  /** The file that was begun last. */
  #file: PassThrough | undefined;
  #isEnded = false;
  #error: unknown;
  #wake: (() => void) | undefined;

  constructor(c: Context, options: MultipartOptions) {
    const parser = parserOf(c, options);
    parser.on("field", (name: string | undefined, value, nameTruncated, valueTruncated) => {
      if (name === undefined) this.#end(nameless());
      else if (nameTruncated || valueTruncated) this.#end(tooLarge(`field ${JSON.stringify(name)} is too long`));
      else this.#found({ kind: "field", name, value });
    });
    parser.on("file", (name: string | undefined, source, filename: string | undefined, _encoding, contentType) => {
      if (name === undefined) {
        source.on("error", () => {}).resume();
        this.#end(nameless());
        return;
      }
      // Its own stream fails with errors that know no status.
      const stream = new PassThrough();
      const fail = (error: unknown): void => {
        stream.destroy(asHttpError(error));
        this.#end(asHttpError(error));
      };
      source.on("error", fail);
      source.on("limit", () => fail(tooLarge(`file ${JSON.stringify(name)} is too long`)));
      // Whoever reads it gets the error; nobody may.
      stream.on("error", () => {});
      source.pipe(stream);
      // Left early, by a `break` or a sink that failed: the parser goes on only when what is left of the file has gone through it.
      stream.on("close", () => {
        source.unpipe(stream);
        source.resume();
      });
      this.#file = stream;
      this.#found({ kind: "file", name, filename: filename ?? "", contentType, stream });
    });
    parser.on("partsLimit", () => this.#end(tooLarge("it has too many parts")));
    parser.on("filesLimit", () => this.#end(tooLarge("it has too many files")));
    parser.on("fieldsLimit", () => this.#end(tooLarge("it has too many fields")));
    this.#source = Readable.from(c.request);
    pipeline(this.#source, parser, (error) => this.#fed(error == null ? undefined : asHttpError(error)));
  }

  async next(): Promise<Part | undefined> {
    while (this.#parts.length === 0) {
      if (this.#error !== undefined) throw this.#error;
      if (this.#isEnded) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#parts.shift();
  }

  /** Nobody wants the rest. */
  stop(): void {
    for (const part of this.#parts) if (part.kind === "file") part.stream.destroy();
    this.#parts.length = 0;
    this.#source.destroy();
  }

  #found(part: Part): void {
    if (this.#isEnded) return;
    this.#parts.push(part);
    this.#wake?.();
  }

  /** The parser has everything, or gets no more: a client that goes is no news to the file that it was sending, and whoever reads that would wait for ever. */
  #fed(error: Error | undefined): void {
    if (error !== undefined && !this.#isEnded) this.#file?.destroy(error);
    this.#end(error);
  }

  #end(error: unknown): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#error = error;
    this.#wake?.();
    if (error !== undefined) this.#source.destroy();
  }
}

function parserOf(c: Context, options: MultipartOptions): BusboyInstance {
  checkOptions("multipart", options, NAMES);
  const subject = "multipart";
  const limits = {
    fieldSize: wholeNumber(subject, {
      option: "fieldBytesMax",
      value: options.fieldBytesMax,
      fallback: 65_536,
      min: 0,
    }),
    fields: wholeNumber(subject, { option: "fieldsMax", value: options.fieldsMax, fallback: 100, min: 0 }),
    fileSize: wholeNumber(subject, {
      option: "fileBytesMax",
      value: options.fileBytesMax,
      fallback: 16_777_216,
      min: 0,
    }),
    files: wholeNumber(subject, { option: "filesMax", value: options.filesMax, fallback: 10, min: 0 }),
    headerPairs: wholeNumber(subject, { option: "headersMax", value: options.headersMax, fallback: 32, min: 1 }),
  };
  const contentType = c.header("content-type") ?? "";
  if (!/^multipart\/form-data\b/i.test(contentType))
    throw new HttpError("ERR_RINGLOOM_UNSUPPORTED", 415, "Cannot read the form: it is no multipart/form-data");
  try {
    return new Busboy({ headers: { "content-type": contentType }, limits });
  } catch (cause) {
    throw malformed("its content type has no boundary", cause);
  }
}

function asHttpError(error: unknown): Error {
  if (error instanceof HttpError) return error;
  // A body that ended because its client went has an error of its own.
  const { code } = error as { code?: unknown };
  if (error instanceof Error && typeof code === "string" && code.startsWith("ERR_RINGLOOM_")) return error;
  return malformed(error instanceof Error ? error.message : String(error), error);
}

/** RFC 7578, section 4.2. */
function nameless(): HttpError {
  return malformed("a part has no name", undefined);
}

function malformed(why: string, cause: unknown): HttpError {
  return new HttpError("ERR_RINGLOOM_BAD_ENCODING", 400, `Cannot read the form: ${why}`, { cause });
}

function tooLarge(why: string): HttpError {
  return new HttpError("ERR_RINGLOOM_BODY_TOO_LARGE", 413, `Cannot read the form: ${why}`);
}
