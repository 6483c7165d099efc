/** Web streams as sources and sinks, and the other way round. A `ReadableStream` of bytes is a source as it is. */
import { ReadableStream, WritableStream } from "node:stream/web";
import { BufferedReader } from "./buffered-reader.js";
import { type ByteSink, type ByteSource, endOf, type WriteSink, writeTo } from "./bytes.js";

/**
 * A `WritableStream` as a sink, which locks it. A write waits until the stream has done with the bytes, so that its failure is that write's.
 * @example
 * ```ts run
 * import { TransformStream } from "node:stream/web";
 * import { BufferedReader, copy, fromWebWritable } from "ringloom/io";
 * const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
 * const copying = copy([Buffer.from("hello")], fromWebWritable(writable), { end: true });
 * console.log((await new BufferedReader(readable).readAll()).toString(), await copying); // hello 5
 * ```
 * @throws TypeError when the stream is locked already.
 * @experimental
 */
export function fromWebWritable(stream: WritableStream<Uint8Array>): WriteSink {
  const writer = stream.getWriter();
  // A failure is told by the next write; nobody has to wait for this promise too.
  writer.closed.catch(() => {});
  return {
    write: (bytes) => writer.write(bytes),
    end: () => writer.close(),
  };
}

/**
 * A source as a `ReadableStream`, read only when somebody reads the stream. Cancelling it closes the source. For `new Response(…)` and the like.
 * @example
 * ```ts run
 * import { toWebReadable } from "ringloom/io";
 * const response = new Response(toWebReadable([Buffer.from("hello")]));
 * console.log(await response.text()); // hello
 * ```
 * @experimental
 */
export function toWebReadable(source: ByteSource): ReadableStream<Uint8Array> {
  const reader = new BufferedReader(source, { bytesMax: PIECE_BYTES_MAX });
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const piece = await reader.read();
        if (piece === undefined) controller.close();
        else controller.enqueue(piece);
      },
      cancel: () => reader.close(),
    },
    // What was read before anybody asked for it would be a hidden buffer.
    { highWaterMark: 0 },
  );
}

/** A sink as a `WritableStream`. Closing it ends the sink; aborting it does not. @experimental */
export function toWebWritable(sink: ByteSink): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>({
    write: (bytes) => writeTo(sink, bytes),
    close: () => endOf(sink),
  });
}

const PIECE_BYTES_MAX = 1024 * 1024;
