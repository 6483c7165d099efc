/**
 * Node's streams as sources and sinks, and the other way round. A Node `Readable` is a source as it is.
 *
 * Each side's own backpressure is kept: a sink waits while the stream says that it is full, a stream reads its source only when somebody reads it.
 */
import { Duplex, Readable, Writable } from "node:stream";
import { RingloomError } from "../errors.js";
import { BufferedReader } from "./buffered-reader.js";
import { type ByteDuplex, type ByteSink, type ByteSource, endOf, type WriteSink, writeTo } from "./bytes.js";

/**
 * A Node `Writable` as a sink: a write waits while the stream is full, the end waits until everything was taken.
 * @example
 * ```ts run
 * import { PassThrough } from "node:stream";
 * import { copy, fromNodeWritable } from "ringloom/io";
 * const through = new PassThrough();
 * await copy([Buffer.from("hello")], fromNodeWritable(through), { end: true });
 * console.log(String(through.read())); // hello
 * ```
 * @experimental
 */
export function fromNodeWritable(stream: Writable): WriteSink {
  let failure: unknown;
  stream.on("error", (error) => {
    failure ??= error;
  });
  // Registered for each wait: `drain` comes often, and who waits is one.
  const until = (event: "drain" | "finish") =>
    new Promise<void>((resolve, reject) => {
      const done = () => {
        stream.off(event, done);
        stream.off("error", done);
        stream.off("close", done);
        const isDone = event === "finish" ? stream.writableFinished : !stream.writableNeedDrain;
        if (failure === undefined && isDone) resolve();
        else reject(failure ?? gone());
      };
      stream.on(event, done);
      stream.on("error", done);
      stream.on("close", done);
    });
  return {
    async write(bytes) {
      if (failure !== undefined) throw failure;
      if (stream.destroyed || stream.writableEnded) throw gone();
      if (!stream.write(bytes)) await until("drain");
    },
    async end() {
      if (failure !== undefined) throw failure;
      if (stream.writableFinished) return;
      if (stream.destroyed) throw gone();
      const finished = until("finish");
      stream.end();
      await finished;
    },
  };
}

/**
 * A source as a Node `Readable` of Buffers. Destroying the stream closes the source.
 * @example
 * ```ts run
 * import { createGzip } from "node:zlib";
 * import { toNodeReadable } from "ringloom/io";
 * const zipped = toNodeReadable([Buffer.from("hello")]).pipe(createGzip());
 * console.log(zipped.readable); // true
 * ```
 * @experimental
 */
export function toNodeReadable(source: ByteSource): Readable {
  const reader = new BufferedReader(source, { bytesMax: PIECE_BYTES_MAX });
  return new Readable({
    read() {
      forward(reader, this);
    },
    destroy(error, done) {
      close(reader, error, done);
    },
  });
}

/** A sink as a Node `Writable`. Its `end()` ends the sink; destroying it before does not. @experimental */
export function toNodeWritable(sink: ByteSink): Writable {
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => settle(() => writeTo(sink, chunk), done),
    final: (done) => settle(() => endOf(sink), done),
  });
}

/**
 * A connection as a Node `Duplex`. The end of one direction leaves the other; destroying it, or the end of both, closes the connection.
 * @experimental
 */
export function toNodeDuplex(connection: ByteDuplex): Duplex {
  const reader = new BufferedReader(connection, { bytesMax: PIECE_BYTES_MAX });
  return new Duplex({
    allowHalfOpen: true,
    read() {
      forward(reader, this);
    },
    write: (chunk: Buffer, _encoding, done) => settle(() => writeTo(connection, chunk), done),
    final: (done) => settle(() => endOf(connection), done),
    destroy(error, done) {
      // The connection first: its iterator may wait until it is closed.
      settle(
        () => connection.close?.(),
        (closeError) => close(reader, error ?? closeError ?? null, done),
      );
    },
  });
}

const PIECE_BYTES_MAX = 1024 * 1024;

function forward(reader: BufferedReader, stream: Readable): void {
  reader.read().then(
    (piece) => stream.push(piece ?? null),
    (error: Error) => stream.destroy(error),
  );
}

function close(reader: BufferedReader, error: Error | null, done: (error?: Error | null) => void): void {
  reader.close().then(
    () => done(error),
    (closeError: Error) => done(error ?? closeError),
  );
}

function settle(work: () => unknown, done: (error?: Error | null) => void): void {
  new Promise((resolve) => resolve(work())).then(() => done(), done);
}

function gone(): RingloomError {
  return new RingloomError("EPIPE", "Cannot write: the stream has ended or was destroyed", { operation: "write" });
}
