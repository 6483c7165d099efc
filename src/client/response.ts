/** What a request resolves with: the head of the response, and its body to be read once, in one of several forms. */

import { ReadableStream } from "node:stream/web";
import { LightHeaders, lookup } from "../http/light-headers.js";
import { bodyTooLarge, bodyUsed, type RequestName } from "./client-errors.js";
import { type Coding, codingsOf, unpackChunks, unpackWhole } from "./content-codings.js";
import { JoinedPieces } from "./joined-pieces.js";
import type { RawBody } from "./raw-body.js";

/** What a response is made of. */
export interface ResponseParts {
  readonly request: RequestName;
  readonly status: number;
  readonly statusText: string;
  /** Lines `name: value` divided by CRLF. */
  readonly fields: string;
  readonly body: RawBody;
  /** Flat; complete when the body is. */
  readonly trailers: () => readonly string[];
}

/** What the client adds. */
export interface ResponseSettings {
  readonly redirects: number;
  readonly decompress: boolean;
  readonly bodyBytesMax: number;
}

/**
 * A response. Its body has to be read, or given up by {@link ClientResponse.discard}: until then it has its connection to itself (a small one does not).
 *
 * ```ts
 * import { request } from "ringloom/client";
 *
 * const response = await request("http://127.0.0.1:9090/users/7");
 * if (response.status !== 200) throw new Error(`status ${response.status}: ${await response.text()}`);
 * console.log(response.headers.get("content-type"), await response.json());
 * ```
 * @experimental
 */
export class ClientResponse {
  readonly status: number;
  readonly statusText: string;
  /** The URL that answered, after redirects. */
  readonly url: string;
  /** How many redirects were followed. */
  readonly redirects: number;
  /** The body as a stream, unpacked. */
  readonly body: ResponseBody;
  readonly #parts: ResponseParts;
  #headers: Headers | undefined;

  /** @internal */
  constructor(parts: ResponseParts, settings: ResponseSettings) {
    this.status = parts.status;
    this.statusText = parts.statusText;
    this.url = parts.request.url;
    this.redirects = settings.redirects;
    this.#parts = parts;
    const encoding = settings.decompress ? lookup(parts.fields, 0, "content-encoding") : undefined;
    const codings = encoding === undefined ? [] : codingsOf(encoding);
    this.body = new ResponseBody(parts, codings, settings.bodyBytesMax);
  }

  /** Whether the status is from 200 to 299. */
  get ok(): boolean {
    return this.status >= 200 && this.status <= 299;
  }

  /** The fields as the server sent them; Content-Encoding and Content-Length are those of the packed body. */
  get headers(): Headers {
    this.#headers ??= new LightHeaders(this.#parts.fields, 0) as unknown as Headers;
    return this.#headers;
  }

  /** The fields behind a chunked body, once it has been read to its end; empty before. */
  get trailers(): Headers {
    const flat = this.#parts.trailers();
    const trailers = new Headers();
    for (let index = 0; index < flat.length; index += 2) trailers.append(flat[index] ?? "", flat[index + 1] ?? "");
    return trailers;
  }

  /**
   * The body as bytes.
   * @param bytesMax how many there may be; more reject with `ERR_RINGLOOM_BODY_TOO_LARGE` and cost the connection. Default: the client's `bodyBytesMax`.
   */
  bytes(bytesMax?: number): Promise<Buffer> {
    return this.body.collect(bytesMax);
  }

  /** The body as text: UTF-8, without a byte order mark. As {@link bytes}. */
  async text(bytesMax?: number): Promise<string> {
    const bytes = await this.body.collect(bytesMax);
    const hasMark = bytes.length >= 3 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
    return bytes.toString("utf8", hasMark ? 3 : 0);
  }

  /** The body as JSON; rejects with a SyntaxError for what is none. As {@link bytes}. */
  async json<Value = unknown>(bytesMax?: number): Promise<Value> {
    return JSON.parse(await this.text(bytesMax)) as Value;
  }

  /** Gives the body up. Its connection is closed unless all of it is there. */
  discard(): void {
    this.body.cancel();
  }
}

/**
 * The body of a {@link ClientResponse}: pieces that are read one after the other, at the reader's pace.
 * @experimental
 */
export class ResponseBody implements AsyncIterable<Buffer> {
  readonly #parts: ResponseParts;
  readonly #codings: readonly Coding[];
  readonly #bytesMax: number;
  #isUsed = false;
  #unpacked: AsyncGenerator<Buffer, void, undefined> | undefined;

  /** @internal */
  constructor(parts: ResponseParts, codings: readonly Coding[], bytesMax: number) {
    this.#parts = parts;
    this.#codings = codings;
    this.#bytesMax = bytesMax;
  }

  /** Whether somebody has begun to read it. */
  get isUsed(): boolean {
    return this.#isUsed;
  }

  /**
   * The next piece, which is the caller's; undefined at the end. One call at a time.
   * @throws RingloomError (rejects) what ended the connection, `ERR_RINGLOOM_UNEXPECTED_END`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_BAD_RESPONSE`;
   * `ERR_RINGLOOM_BODY_USED` when it is read in another form.
   */
  async read(): Promise<Buffer | undefined> {
    if (this.#isUsed && this.#unpacked === undefined) throw bodyUsed(this.#parts.request);
    this.#unpacked ??= this.#begin();
    const { done, value } = await this.#unpacked.next();
    return done === true ? undefined : value;
  }

  /** All pieces. Leaving the loop early gives the rest up. */
  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    if (this.#isUsed) throw bodyUsed(this.#parts.request);
    return this.#begin();
  }

  /** The body as a web stream. Cancelling it gives the rest up. */
  toWeb(): ReadableStream<Uint8Array> {
    const chunks = this[Symbol.asyncIterator]();
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const { done, value } = await chunks.next();
          if (done === true) controller.close();
          else controller.enqueue(new Uint8Array(value));
        },
        cancel: () => this.cancel(),
      },
      { highWaterMark: 0 },
    );
  }

  /** Gives up what has not been read. */
  cancel(): void {
    this.#isUsed = true;
    this.#parts.body.cancel();
  }

  /** @internal */
  async collect(bytesMax = this.#bytesMax): Promise<Buffer> {
    const { request, body } = this.#parts;
    if (!(bytesMax >= 0)) throw new RangeError(`Cannot read the body: bytesMax ${bytesMax} is not a number of bytes`);
    if (this.#isUsed) throw bodyUsed(request);
    this.#isUsed = true;
    const packed = body.takeAll() ?? (await this.#gather(bytesMax));
    if (packed.length > bytesMax) throw bodyTooLarge(request, bytesMax);
    if (this.#codings.length === 0) return packed;
    const unpacked = await unpackWhole(packed, this.#codings, bytesMax);
    if (unpacked === undefined) throw bodyTooLarge(request, bytesMax);
    return unpacked;
  }

  async #gather(bytesMax: number): Promise<Buffer> {
    const { request, body, fields } = this.#parts;
    const announced = Number(lookup(fields, 0, "content-length") ?? 0);
    const chunks: Buffer[] = [];
    const pieces = new JoinedPieces();
    let length = 0;
    while (announced <= bytesMax && length <= bytesMax) {
      const chunk = await body.read();
      if (chunk === undefined) return Buffer.concat(chunks, length);
      const joined = pieces.join(chunks.at(-1), chunk);
      if (joined === undefined) chunks.push(chunk);
      else chunks[chunks.length - 1] = joined;
      length += chunk.length;
    }
    body.cancel();
    throw bodyTooLarge(request, bytesMax);
  }

  #begin(): AsyncGenerator<Buffer, void, undefined> {
    this.#isUsed = true;
    const chunks = chunksOf(this.#parts.body);
    return this.#codings.length === 0 ? chunks : this.#unpack(chunks);
  }

  async *#unpack(chunks: AsyncGenerator<Buffer, void, undefined>): AsyncGenerator<Buffer, void, undefined> {
    try {
      yield* unpackChunks(chunks, this.#codings);
    } finally {
      this.#parts.body.cancel();
    }
  }
}

async function* chunksOf(body: RawBody): AsyncGenerator<Buffer, void, undefined> {
  try {
    for (let chunk = await body.read(); chunk !== undefined; chunk = await body.read()) yield chunk;
  } finally {
    body.cancel();
  }
}
