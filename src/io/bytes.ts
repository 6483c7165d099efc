/** What `ringloom/io` reads from and writes to. Sockets, files, Node's and the Web's streams fit as they are, or through an adapter. */
import { RingloomError } from "../errors.js";
import type { WaitOptions } from "../task/wait-errors.js";

/**
 * Bytes to read: a socket, a file, a Node `Readable`, a Web `ReadableStream`, an async generator, an array of pieces. Whoever reads a piece owns it.
 * @experimental
 */
export type ByteSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * Where bytes go: a socket of `ringloom/net`, a file, an adapter of a stream. It has `writeAll`, or else `write`, which takes all bytes too. What was written is the
 * sink's; it may keep the bytes.
 * @experimental
 */
export type ByteSink = WriteAllSink | WriteSink;

/**
 * The end of a {@link ByteSink}.
 * @experimental
 */
export interface SinkEnd {
  /** No more will come. */
  end?(options?: WaitOptions): Promise<unknown> | void;
}

/**
 * A {@link ByteSink} in the words of `ringloom/net`.
 * @experimental
 */
export interface WriteAllSink extends SinkEnd {
  /** Resolves when there is room for more: waiting for it is the backpressure. */
  writeAll(bytes: Uint8Array, options?: WaitOptions): Promise<unknown> | void;
}

/**
 * A {@link ByteSink} in the words of streams.
 * @experimental
 */
export interface WriteSink extends SinkEnd {
  /** Resolves when there is room for more: waiting for it is the backpressure. */
  write(bytes: Uint8Array, options?: WaitOptions): Promise<unknown> | void;
}

/**
 * Both directions in one, as a socket has them.
 * @experimental
 */
export type ByteDuplex = ByteSink &
  AsyncIterable<Uint8Array> & {
    /** Gives both directions up. */
    close?(): Promise<unknown> | void;
  };

/** Writes all bytes, whichever word the sink has for it. Never throws at once. */
export async function writeTo(sink: ByteSink, bytes: Uint8Array, options?: WaitOptions): Promise<void> {
  if ("writeAll" in sink) await sink.writeAll(bytes, options);
  else await sink.write(bytes, options);
}

/** Gives the sink its end. Never throws at once. */
export async function endOf(sink: ByteSink, options?: WaitOptions): Promise<void> {
  await sink.end?.(options);
}

/** The iterator of a source, whichever kind it has. */
export function iteratorOf(source: ByteSource): AsyncIterator<Uint8Array> | Iterator<Uint8Array> {
  if (Symbol.asyncIterator in source) return source[Symbol.asyncIterator]();
  if (Symbol.iterator in source) return source[Symbol.iterator]();
  throw new TypeError("Cannot read: the source is no iterable of Uint8Arrays");
}

/** A piece of a source as a Buffer over the same memory. Throws for what is no bytes: a stream with an encoding gives strings. */
export function bufferOf(piece: unknown): Buffer {
  if (Buffer.isBuffer(piece)) return piece;
  if (piece instanceof Uint8Array) return Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
  const what = piece === null ? "null" : Array.isArray(piece) ? "array" : typeof piece;
  throw new RingloomError(
    "ERR_RINGLOOM_BAD_ENCODING",
    `Cannot read: the source gave a ${what} in place of a Uint8Array`,
    {
      operation: "read",
    },
  );
}
