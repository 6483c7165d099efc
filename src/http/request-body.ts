/**
 * The body of one request, between the connection that pushes bytes in as they arrive and the handler that pulls them out.
 *
 * ```
 * connection --push--> [ chunks, at most 64 KiB + one receive ] --read--> stream, iterator, answer
 *            --push--> [ one buffer of the body's size        ] --------> bytes, arrayBuffer, text, json
 * ```
 *
 * Until a reader comes, and while a streaming reader is slower than the client, chunks queue up to the high-water mark; then the
 * connection is paused, and TCP slows the client down. A buffering reader takes the second path: bytes go from the receive memory
 * into their last place with one copy.
 */
import { assert } from "../assert.js";
import { RingloomError } from "../errors.js";
import { HttpError } from "./http-error.js";
import { allocateUnfilled, LARGE_BODY_BYTES_MIN, type LargeBody, type LargeBodyPool } from "./large-body-pool.js";

/** Queued bytes at which the connection is paused. */
export const BODY_HIGH_WATER_BYTES = 64 * 1024;
/** Queued bytes at or below which it is resumed. */
export const BODY_LOW_WATER_BYTES = 16 * 1024;
/** Small pieces that wait are put together in blocks of this size: a reader that lags gets fewer and larger chunks. */
const QUEUE_BLOCK_BYTES = 16 * 1024;
/** First buffer for a body of unknown length, in bytes. It doubles. */
const GROWING_BUFFER_BYTES_FIRST = 4 * 1024;

assert(BODY_LOW_WATER_BYTES < BODY_HIGH_WATER_BYTES, "a body resumes below where it paused");

/** The connection, as its request's body sees it. No method is called inside `push`, `end` or `fail` except `pauseBody` and `resumeBody`. */
export interface BodyOwner {
  /** Stop delivering this body. */
  pauseBody(): void;
  /** Go on. */
  resumeBody(): void;
  /** Somebody reads, for the first time. The connection sends `100 Continue` if the client waits for it (RFC 9110, section 10.1.1). */
  bodyWanted(): void;
}

/** Options of {@link RequestBody}. */
export interface RequestBodyOptions {
  /** The most bytes that the buffering readers accept. */
  readonly limitBytes: number;
  /** Content-Length, or -1 when it is not known (chunked coding). */
  readonly expectedLength: number;
  readonly pool: LargeBodyPool;
}

/** A body that {@link RequestBody.stream} made a web stream of, so that an answer that sends it on can skip the web stream. */
const bodyOfStream = new WeakMap<ReadableStream<Uint8Array>, RequestBody>();

/**
 * A request's body. It is read once, by one of `bytes`, `arrayBuffer`, `text`, `json`, `stream` or `for await`; every further attempt fails with
 * `ERR_RINGLOOM_BODY_USED`. Reading fails with
 *
 * - `ERR_RINGLOOM_BODY_TOO_LARGE` (status 413) when the body is longer than its limit,
 * - `ERR_RINGLOOM_OVERLOADED` (status 503) when it is above 32 KiB and the large-body pool is exhausted,
 * - `ERR_RINGLOOM_ABORTED` when the client went before the end, or the answer was complete before reading began,
 * - whatever the connection passed to `fail`, such as `ERR_RINGLOOM_TIMEOUT` (status 408).
 * @experimental
 */
export class RequestBody {
  readonly #owner: BodyOwner;
  readonly #pool: LargeBodyPool;
  readonly #limitBytes: number;
  readonly #expectedLength: number;

  #chunks: Uint8Array[] = [];
  /** The last queued block, with room at its end that was never written. */
  #tail: Uint8Array | undefined;
  #tailBytes = 0;
  /** In chunks and tail. */
  #queuedBytes = 0;
  #receivedBytes = 0;
  #paused = false;
  #used = false;
  #started = false;
  #ended = false;
  #failed = false;
  #error: unknown;
  #trailers: readonly string[] | undefined;

  #buffer: Uint8Array | undefined;
  #bufferedBytes = 0;
  #keep = false;
  #place: LargeBody | undefined;
  #resolve: ((bytes: Uint8Array | undefined) => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;

  constructor(owner: BodyOwner, options: RequestBodyOptions) {
    this.#owner = owner;
    this.#pool = options.pool;
    this.#limitBytes = options.limitBytes;
    this.#expectedLength = options.expectedLength;
  }

  /** Whether a reader has been chosen. */
  get used(): boolean {
    return this.#used;
  }

  /** Whether a reader has asked for bytes and has not come to the end. Such a body goes on after {@link RequestBody.discard}. */
  get reading(): boolean {
    return this.#started && !this.#failed && !(this.#ended && this.#queuedBytes === 0);
  }

  /** Whether the connection has delivered all of it. */
  get complete(): boolean {
    return this.#ended;
  }

  /** Content-Length, or -1 when it is not known. */
  get expectedLength(): number {
    return this.#expectedLength;
  }

  /** Body bytes that have arrived so far. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Trailer fields after the end of a chunked body, flat, name after value; undefined before, and when there are none. */
  get trailers(): readonly string[] | undefined {
    return this.#trailers;
  }

  /** Takes `length` bytes from `bytes` at `offset`. They are copied before it returns. */
  push(bytes: Uint8Array, offset: number, length: number): void {
    assert(!this.#ended, "no body bytes after the end of the body");
    this.#receivedBytes += length;
    if (this.#failed || length === 0) return;
    if (this.#buffer !== undefined) {
      this.#pushBuffered(bytes, offset, length);
      return;
    }
    if (this.#resolve !== undefined) {
      this.#settle(copyOf(bytes, offset, length));
      return;
    }
    this.#enqueue(bytes, offset, length);
    if (this.#queuedBytes >= BODY_HIGH_WATER_BYTES && !this.#paused) {
      this.#paused = true;
      this.#owner.pauseBody();
    }
  }

  /** The connection delivered everything. `trailers` is flat, name after value. */
  end(trailers?: readonly string[]): void {
    if (this.#failed || this.#ended) return;
    this.#ended = true;
    this.#trailers = trailers;
    if (this.#buffer !== undefined) this.#settle(this.#takeBuffered());
    else if (this.#resolve !== undefined) this.#settle(undefined);
  }

  /** The rest will not come. What a reader waits for rejects with `error`; a body that is complete already is not affected. */
  fail(error: unknown): void {
    if (this.#failed || this.#ended) return;
    this.#abandon(error);
  }

  /**
   * The answer is complete. A body that nobody began to read drops what is queued and what still comes, and returns true; reading it
   * later fails with `ERR_RINGLOOM_ABORTED`. A reader that has begun is served to the end, and false is returned.
   */
  discard(): boolean {
    if (this.#started && !this.#failed) return false;
    if (!this.#failed) this.#abandon(aborted("the answer was complete before the body was read"));
    return true;
  }

  /**
   * The whole body. What is returned is the caller's: memory of exactly its length, which nothing else refers to.
   */
  bytes(): Promise<Uint8Array> {
    return this.#collect(true);
  }

  /** The whole body as an ArrayBuffer of its own. */
  async arrayBuffer(): Promise<ArrayBuffer> {
    return exactBuffer(await this.#collect(true));
  }

  /** The whole body, decoded from UTF-8 with replacement characters for what is none and without its byte order mark, as `Request#text` does it. */
  async text(): Promise<string> {
    return this.#decodeAndRelease(await this.#collect(false));
  }

  /** The whole body, parsed. Throws `ERR_RINGLOOM_BODY_INVALID` (status 400) for what is not JSON. */
  async json<T = unknown>(): Promise<T> {
    const text = await this.text();
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw new HttpError("ERR_RINGLOOM_BODY_INVALID", 400, "Cannot parse the request body: it is not JSON", { cause });
    }
  }

  /** The body as a web byte stream, which keeps nothing in a queue of its own. Cancelling it drops the rest. */
  stream(): ReadableStream<Uint8Array> {
    this.#take();
    const stream: ReadableStream<Uint8Array> = new ReadableStream({
      type: "bytes",
      pull: async (controller: ReadableByteStreamController) => {
        const chunk = await this.read();
        if (chunk !== undefined) {
          controller.enqueue(chunk);
          return;
        }
        controller.close();
        // A pending BYOB request must be answered too, else its read never settles (Streams standard, 4.7.4).
        controller.byobRequest?.respond(0);
      },
      cancel: () => this.cancel(),
    });
    bodyOfStream.set(stream, this);
    return stream;
  }

  /** The body, chunk by chunk. Leaving the loop early drops the rest. */
  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    this.#take();
    return this.#iterate();
  }

  /**
   * The next chunk, or undefined at the end: what the streaming readers are made of. One call at a time.
   * @internal
   */
  read(): Promise<Uint8Array | undefined> {
    assert(this.#resolve === undefined, "one read of a body at a time");
    this.#used = true;
    this.#start();
    if (this.#chunks.length === 0) this.#closeTail();
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#queuedBytes -= chunk.length;
      if (this.#paused && this.#queuedBytes <= BODY_LOW_WATER_BYTES) {
        this.#paused = false;
        this.#owner.resumeBody();
      }
      return Promise.resolve(chunk);
    }
    if (this.#failed) return Promise.reject(this.#error);
    if (this.#ended) return Promise.resolve(undefined);
    return this.#wait();
  }

  /**
   * Takes the body for `read` before the first chunk is asked for, so that the client is told to send it.
   * @internal
   */
  begin(): void {
    this.#used = true;
    this.#start();
  }

  /**
   * The reader wants no more: drops what is queued and what still comes.
   * @internal
   */
  cancel(): void {
    this.#used = true;
    this.#started = true;
    if (!this.#failed) this.#abandon(aborted("the body's reader was cancelled"));
  }

  #take(): void {
    if (this.#used) throw bodyUsed();
    this.#used = true;
  }

  #start(): void {
    if (this.#started) return;
    this.#started = true;
    if (!this.#ended && !this.#failed) this.#owner.bodyWanted();
  }

  #wait(): Promise<Uint8Array | undefined> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  #settle(bytes: Uint8Array | undefined): void {
    const resolve = this.#resolve;
    assert(resolve !== undefined, "a settled read was pending");
    this.#resolve = undefined;
    this.#reject = undefined;
    resolve(bytes);
  }

  async *#iterate(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (let chunk = await this.read(); chunk !== undefined; chunk = await this.read()) yield chunk;
    } finally {
      if (!(this.#ended && this.#queuedBytes === 0)) this.cancel();
    }
  }

  /** Reads to the end into one buffer. `keep` when the memory goes to the user. */
  async #collect(keep: boolean): Promise<Uint8Array> {
    this.#take();
    if (this.#failed) throw this.#error;
    const known = this.#ended ? this.#queuedBytes : this.#expectedLength;
    if (Math.max(known, this.#queuedBytes) > this.#limitBytes) {
      this.#abandon(tooLarge(this.#limitBytes));
      throw this.#error;
    }
    this.#closeTail();
    const only = this.#chunks[0];
    if (this.#ended && this.#chunks.length <= 1) {
      this.#start();
      this.#chunks = [];
      this.#queuedBytes = 0;
      return only ?? new Uint8Array(0);
    }
    this.#keep = keep;
    try {
      this.#buffer = this.#allocate(known >= 0 ? known : Math.max(GROWING_BUFFER_BYTES_FIRST, this.#queuedBytes));
    } catch (error) {
      this.#abandon(error);
      throw error;
    }
    this.#start();
    for (const chunk of this.#chunks) this.#append(chunk, 0, chunk.length);
    this.#chunks = [];
    this.#queuedBytes = 0;
    if (this.#ended) return this.#takeBuffered();
    const whole = this.#wait();
    if (this.#paused) {
      this.#paused = false;
      this.#owner.resumeBody();
    }
    return (await whole) ?? new Uint8Array(0);
  }

  /** The first chunk has a buffer of its own size, so that a small body which came before its reader is handed over as it is. */
  #enqueue(bytes: Uint8Array, offset: number, length: number): void {
    this.#queuedBytes += length;
    const tail = this.#tail;
    if (tail !== undefined && this.#tailBytes + length <= tail.length) {
      tail.set(bytes.subarray(offset, offset + length), this.#tailBytes);
      this.#tailBytes += length;
      return;
    }
    this.#closeTail();
    if (this.#chunks.length === 0 || length > QUEUE_BLOCK_BYTES / 2) {
      this.#chunks.push(copyOf(bytes, offset, length));
      return;
    }
    this.#tail = allocateUnfilled(QUEUE_BLOCK_BYTES);
    this.#tail.set(bytes.subarray(offset, offset + length));
    this.#tailBytes = length;
  }

  #closeTail(): void {
    const tail = this.#tail;
    if (tail === undefined) return;
    // A reader can see all of a chunk's memory through `.buffer`, so the room that is left goes with none.
    this.#chunks.push(tail.length === this.#tailBytes ? tail : tail.slice(0, this.#tailBytes));
    this.#tail = undefined;
  }

  #pushBuffered(bytes: Uint8Array, offset: number, length: number): void {
    const total = this.#bufferedBytes + length;
    if (total > this.#limitBytes) {
      this.#abandon(tooLarge(this.#limitBytes));
      return;
    }
    try {
      this.#grow(total);
    } catch (error) {
      this.#abandon(error);
      return;
    }
    this.#append(bytes, offset, length);
  }

  #append(bytes: Uint8Array, offset: number, length: number): void {
    const buffer = this.#buffer;
    assert(buffer !== undefined, "a buffering reader has a buffer");
    buffer.set(
      offset === 0 && length === bytes.length ? bytes : bytes.subarray(offset, offset + length),
      this.#bufferedBytes,
    );
    this.#bufferedBytes += length;
  }

  /** Memory for `capacity` bytes, and a place in the pool with it if they are many. */
  #allocate(capacity: number): Uint8Array {
    if (capacity <= LARGE_BODY_BYTES_MIN || this.#place !== undefined) return allocateUnfilled(capacity);
    // A body of unknown length may grow out of its block, so it never reads into one that returns to the pool.
    this.#place = this.#pool.acquire(capacity, this.#keep || this.#expectedLength < 0);
    return this.#place.bytes;
  }

  #grow(total: number): void {
    const old = this.#buffer;
    assert(old !== undefined, "a growing body has a buffer");
    if (total <= old.length) return;
    const capacity = Math.min(Math.max(old.length * 2, total), this.#limitBytes);
    const buffer = this.#allocate(capacity);
    buffer.set(old.subarray(0, this.#bufferedBytes));
    this.#buffer = buffer;
  }

  /** The collected bytes; frees the place unless they lie in a block that is still to be decoded. */
  #takeBuffered(): Uint8Array {
    const buffer = this.#buffer;
    assert(buffer !== undefined, "a complete body was buffered");
    const length = this.#bufferedBytes;
    this.#buffer = undefined;
    const isExact = buffer.length === length;
    // The unused end of a grown buffer is memory that was never written: it must not be handed out, not even through `.buffer`.
    const bytes = isExact ? buffer : this.#keep ? buffer.slice(0, length) : buffer.subarray(0, length);
    if (this.#place?.reusable !== true) this.#release();
    return bytes;
  }

  #decodeAndRelease(bytes: Uint8Array): string {
    const text = decodeUtf8(bytes);
    this.#release();
    return text;
  }

  #release(): void {
    const place = this.#place;
    if (place === undefined) return;
    this.#place = undefined;
    this.#pool.release(place);
  }

  /** Nothing more is delivered: frees what is held, rejects who waits, and lets the connection drop the rest of the body. */
  #abandon(error: unknown): void {
    this.#failed = true;
    this.#error = error;
    this.#chunks = [];
    this.#tail = undefined;
    this.#queuedBytes = 0;
    this.#buffer = undefined;
    this.#release();
    const reject = this.#reject;
    this.#resolve = undefined;
    this.#reject = undefined;
    reject?.(error);
    if (this.#paused) {
      this.#paused = false;
      this.#owner.resumeBody();
    }
  }
}

/** The body behind a stream that {@link RequestBody.stream} made, or undefined for any other stream. */
export function requestBodyOf(stream: ReadableStream<Uint8Array>): RequestBody | undefined {
  return bodyOfStream.get(stream);
}

/** Decodes UTF-8 as the Encoding standard's "UTF-8 decode": a byte order mark is dropped, what is no UTF-8 becomes U+FFFD. */
export function decodeUtf8(bytes: Uint8Array): string {
  const start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8", start);
}

/** The ArrayBuffer behind `bytes` when it holds nothing else, else a copy. */
export function exactBuffer(bytes: Uint8Array): ArrayBuffer {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length) return buffer;
  return bytes.slice().buffer as ArrayBuffer;
}

function copyOf(bytes: Uint8Array, offset: number, length: number): Uint8Array {
  const copy = length > GROWING_BUFFER_BYTES_FIRST ? allocateUnfilled(length) : new Uint8Array(length);
  copy.set(bytes.subarray(offset, offset + length));
  return copy;
}

function tooLarge(limitBytes: number): HttpError {
  return new HttpError(
    "ERR_RINGLOOM_BODY_TOO_LARGE",
    413,
    `Cannot read the request body: it is longer than ${limitBytes} bytes`,
    {
      operation: "read body",
      details: { limitBytes },
    },
  );
}

function bodyUsed(): RingloomError {
  return new RingloomError("ERR_RINGLOOM_BODY_USED", "Cannot read the request body: it has a reader already");
}

function aborted(why: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", `Cannot read the request body: ${why}`);
}
