import { AsyncResource } from "node:async_hooks";
import { Readable } from "node:stream";
import { RingloomError } from "../errors.js";
import { clientGone } from "./client-gone.js";
import { RequestBody, requestBodyOf } from "./request-body.js";

/** Where the bytes of a streamed answer go: the connection implements it, {@link pumpBody} feeds it. */
export interface BodySink {
  /**
   * Queues bytes for sending. Returns false when the caller should wait for {@link BodySink.drained} before the next call; all of
   * `bytes` is taken either way, and it stays the sink's, unchanged, until then. Ignored once the answer is over.
   */
  write(bytes: Uint8Array): boolean;
  /** Settles when there is room again, and also when the connection is gone. Never rejects. */
  drained(): Promise<void>;
  /** The body is complete. `trailers` is flat, name after value; sent only with chunked coding. */
  end(trailers?: readonly string[]): void;
  /** The source failed. The connection is aborted, so that the client sees that the body is not whole (RFC 9112, section 8). */
  fail(error: unknown): void;
  /** Calls `listener` once if the connection goes before `end` or `fail`; at once if it has gone already. */
  onAborted(listener: () => void): void;
}

/**
 * What a handler may answer with as a stream. A Node `Readable` is an AsyncIterable. Chunks of text are sent as UTF-8.
 * @experimental
 */
export type BodySource =
  | ReadableStream<Uint8Array | string>
  | AsyncIterable<Uint8Array | string>
  | Iterable<Uint8Array | string>
  | RequestBody;

/** Options of {@link pumpBody}. */
export interface PumpOptions {
  /** The length that the head announced, in bytes; -1, the default, when it announced none. */
  readonly contentLength?: number;
  /** Called at the end of the source; what it returns is sent as trailer fields, flat, name after value. */
  readonly trailers?: () => readonly string[] | undefined;
}

/** The pull side of a source, in the form that all of them can take. */
export interface ChunkReader {
  /** Called before the head of the answer leaves, by whoever will read: a request body is then asked of the client. */
  begin?(): void;
  /** The next chunk. `value` is undefined at the end, and only there. */
  read(): Promise<unknown>;
  /** The chunks are not wanted any more. Called at most once, also while a `read` is pending. Does not throw. */
  cancel(reason: unknown): void;
}

/** Whether {@link pumpBody} can send `value`. Text and bytes are no sources: they are whole bodies. */
export function isBodySource(value: unknown): value is BodySource {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return false;
  return value instanceof ReadableStream || Symbol.asyncIterator in value || Symbol.iterator in value;
}

/**
 * Sends a source to its end, at the pace of the client, and then ends the sink. Never rejects: when the source fails, yields something that is neither
 * text nor bytes, or does not have the announced length, the sink is told with `fail`. When the client goes, the source is
 * told: `cancel` of a web stream, `destroy` of a Node stream, `return` of an iterator.
 */
export function pumpBody(source: BodySource, sink: BodySink, options: PumpOptions = {}): Promise<void> {
  let reader: ChunkReader;
  try {
    reader = readerOf(source);
  } catch (error) {
    sink.fail(error);
    return Promise.resolve();
  }
  return pumpChunks(reader, sink, options);
}

/** {@link pumpBody} for a reader. */
export async function pumpChunks(reader: ChunkReader, sink: BodySink, options: PumpOptions = {}): Promise<void> {
  const contentLength = options.contentLength ?? -1;
  let aborted = false;
  let sentBytes = 0;
  // The connection ends in the driver's context. What the source does then belongs to the request.
  sink.onAborted(
    AsyncResource.bind(() => {
      aborted = true;
      reader.cancel(clientGone());
    }),
  );
  try {
    while (!aborted) {
      const chunk = await reader.read();
      if (aborted) return;
      if (chunk === undefined) {
        if (contentLength >= 0 && sentBytes !== contentLength) throw lengthMismatch(contentLength, sentBytes);
        sink.end(options.trailers?.());
        return;
      }
      const bytes = toBytes(chunk);
      // An empty chunk would be the end of the body in chunked coding (RFC 9112, section 7.1).
      if (bytes.length === 0) continue;
      sentBytes += bytes.length;
      if (contentLength >= 0 && sentBytes > contentLength) throw lengthMismatch(contentLength, sentBytes);
      if (!sink.write(bytes)) await sink.drained();
    }
  } catch (error) {
    if (aborted) return;
    // A source that failed by itself ignores this; one whose chunk was refused must stop.
    aborted = true;
    reader.cancel(error);
    sink.fail(error);
  }
}

/** The pull side of a source. Throws a TypeError for what is no source, or has a reader already. */
export function readerOf(source: BodySource): ChunkReader {
  if (source instanceof RequestBody) {
    if (source.used)
      throw new RingloomError("ERR_RINGLOOM_BODY_USED", "Cannot send a request body: it has a reader already");
    return requestBodyReader(source);
  }
  if (source instanceof ReadableStream) return streamReader(source);
  if (Symbol.asyncIterator in source) return iteratorReader(source[Symbol.asyncIterator](), source);
  if (Symbol.iterator in source) return iteratorReader(source[Symbol.iterator](), source);
  throw new TypeError("Cannot send a body: it is neither a stream nor iterable");
}

/** Any source as an iterable of its chunks, for whoever transforms them. Throws as {@link readerOf} does. */
export function iterableOf(source: BodySource): AsyncIterable<unknown> {
  const reader = readerOf(source);
  let hasBegun = false;
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        if (!hasBegun) reader.begin?.();
        hasBegun = true;
        const value = await reader.read();
        return value === undefined ? { done: true, value } : { done: false, value };
      },
      async return() {
        reader.cancel(undefined);
        return { done: true, value: undefined };
      },
    }),
  };
}

function requestBodyReader(body: RequestBody): ChunkReader {
  return {
    begin: () => body.begin(),
    read: () => body.read(),
    cancel: () => body.cancel(),
  };
}

function streamReader(stream: ReadableStream<unknown>): ChunkReader {
  // Taking the reader first locks the stream, and throws when it is locked.
  const reader = stream.getReader();
  const body = requestBodyOf(stream as ReadableStream<Uint8Array>);
  // A request body that is sent back needs no web stream in between, whose queues cost more than the copy. Nothing of it is
  // in the stream's queue: with a high-water mark of 0 it pulls only when it is read, and it has not been.
  if (body !== undefined && !Readable.isDisturbed(stream as unknown as Readable)) return requestBodyReader(body);
  return {
    async read() {
      const { done, value } = await reader.read();
      if (done) return undefined;
      return value ?? null;
    },
    cancel(reason) {
      reader.cancel(reason).catch(ignore);
    },
  };
}

function iteratorReader(iterator: AsyncIterator<unknown> | Iterator<unknown>, source: object): ChunkReader {
  return {
    async read() {
      const { done, value } = await iterator.next();
      if (done === true) return undefined;
      return value ?? null;
    },
    cancel() {
      // What a source throws while it is let go changes nothing: its answer is over.
      endIteration(iterator, source).catch(ignore);
    },
  };
}

async function endIteration(iterator: AsyncIterator<unknown> | Iterator<unknown>, source: object): Promise<void> {
  // A Node stream's iterator waits for its pending `next` before it returns, so the stream itself is destroyed.
  if ("destroy" in source && typeof source.destroy === "function") await source.destroy();
  else await iterator.return?.();
}

function toBytes(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  if (typeof chunk === "string") return Buffer.from(chunk, "utf8");
  throw new TypeError(
    `Cannot send a body chunk: it is ${chunk === null ? "null" : typeof chunk}, not a Uint8Array or a string`,
  );
}

function lengthMismatch(contentLength: number, sentBytes: number): RingloomError {
  return new RingloomError(
    "ERR_RINGLOOM_BODY_LENGTH",
    `Cannot send a body of ${sentBytes > contentLength ? "at least " : ""}${sentBytes} bytes: its head announced ${contentLength}`,
    { operation: "send body", details: { contentLength, sentBytes } },
  );
}

function ignore(): void {}
