/** What users hold of a connection: reads and writes that are awaited, and the forms that it can be turned into. */
import type { Duplex } from "node:stream";
import { ReadableStream, WritableStream } from "node:stream/web";
import { onAbort } from "../scheduler/abort-listeners.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { type TlsInfo, tlsInfoOf } from "../tls/tls-info.js";
import type { Connection, Endpoint } from "./connection.js";
import { openDuplex } from "./duplex.js";
import type { SegmentHandler } from "./inbound.js";
import type { OwnedDescriptor } from "./owned-descriptor.js";
import { checkKeepAliveIdle } from "./stream-options.js";

/**
 * An end of a connection: host and port of TCP, the path of a Unix socket.
 * @experimental
 */
export type NetAddress = Endpoint;

/** The connection that a stream is a face of. Assigned below, where the private field can be seen. */
export let connectionOf: (stream: NetStream) => Connection;

/**
 * A TCP or Unix stream connection of this thread. `connect` and `NetListener.accept` make them.
 *
 * Reads wait one at a time: a second one meanwhile rejects with `ERR_RINGLOOM_BUSY`. Writes are taken in the order of their calls, as many as wait. Bytes that arrive while nobody
 * reads wait in memory up to `readBufferBytes`; then the peer is held back. Whatever is called on a stream that is gone rejects with the error that ended it, or `ERR_RINGLOOM_CLOSED`.
 *
 * ```ts run
 * import { connect, listen } from "ringloom/net";
 *
 * const listener = await listen({ host: "127.0.0.1", port: 0 });
 * const client = await connect({ host: "127.0.0.1", port: listener.port });
 * const server = await listener.accept();
 * await client.writeAll("hello");
 * console.log((await server.readExact(5)).toString()); // hello
 * client.close();
 * server.close();
 * await listener.close();
 * ```
 * @experimental
 */
export class NetStream implements AsyncIterable<Buffer>, AsyncDisposable {
  static {
    connectionOf = (stream) => stream.#connection;
  }

  readonly #connection: Connection;

  /** @internal */
  constructor(connection: Connection) {
    this.#connection = connection;
  }

  // --- reading

  /** What has arrived, at least one byte, in memory of its own; undefined at the end of the stream. */
  read(options?: WaitOptions): Promise<Buffer | undefined> {
    try {
      return this.#connection.inbound.read(options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Puts what has arrived into `target`, and resolves with how many bytes that was: 0 at the end of the stream. `target` is the call's until then. */
  readSome(target: Uint8Array, options?: WaitOptions): Promise<number> {
    try {
      checkBytes("read", target);
      return this.#connection.inbound.readSome(target, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Fills `target`, or a buffer of so many bytes, and resolves with it. Rejects with `ERR_RINGLOOM_UNEXPECTED_END` when the stream ends before. What a call that is given up has
   * taken goes back, for the next read.
   */
  readExact(length: number, options?: WaitOptions): Promise<Buffer>;
  readExact<Target extends Uint8Array>(target: Target, options?: WaitOptions): Promise<Target>;
  readExact(target: Uint8Array | number, options?: WaitOptions): Promise<Uint8Array> {
    try {
      const bytes = typeof target === "number" ? newBuffer(target) : target;
      checkBytes("read", bytes);
      return this.#connection.inbound.readExact(bytes, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Puts what has arrived into several buffers, one after the other, and resolves with how many bytes that was: 0 at the end of the stream. One call and one promise for a batch: `targets` and what is in it are the call's until then.
   */
  readMany(targets: readonly Uint8Array[], options?: WaitOptions): Promise<number> {
    try {
      checkTargets(targets);
      return this.#connection.inbound.readMany(targets, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Fills all of the buffers, one after the other: frames of a known size in one call. Rejects with `ERR_RINGLOOM_UNEXPECTED_END` when the stream ends before. What a call that is given up has taken, whole buffers included, goes back, for the
   * next read.
   */
  readExactMany(targets: readonly Uint8Array[], options?: WaitOptions): Promise<void> {
    try {
      checkTargets(targets);
      return this.#connection.inbound.readExactMany(targets, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As {@link read} without waiting: undefined when nothing is there (or never will be: {@link isEnded}). */
  tryRead(bytesMax = Number.MAX_SAFE_INTEGER): Buffer | undefined {
    return this.#connection.inbound.tryRead(bytesMax);
  }

  /** As {@link readSome} without waiting: 0 when nothing is there. */
  tryReadSome(target: Uint8Array): number {
    checkBytes("read", target);
    return this.#connection.inbound.tryReadSome(target);
  }

  /**
   * Fills `target` if so many bytes are there already, else takes nothing and returns false. Before an `await`, it saves the promise:
   * `if (!stream.tryReadExact(frame)) await stream.readExact(frame);`
   */
  tryReadExact(target: Uint8Array): boolean {
    checkBytes("read", target);
    return this.#connection.inbound.tryReadExact(target);
  }

  /** As {@link readMany} without waiting: 0 when nothing is there. */
  tryReadMany(targets: readonly Uint8Array[]): number {
    checkTargets(targets);
    return this.#connection.inbound.tryReadMany(targets);
  }

  /** Fills all of the buffers if so many bytes are there already, else takes nothing and returns false. */
  tryReadExactMany(targets: readonly Uint8Array[]): boolean {
    checkTargets(targets);
    return this.#connection.inbound.tryReadExactMany(targets);
  }

  /**
   * Hands each piece that arrives to `handler` where the kernel has put it, without a copy. A piece is lent: it must not be used when the handler has returned. Resolves
   * at the end of the stream, or when the handler returns false; rejects with what it throws.
   */
  recvSegments(handler: SegmentHandler, options?: WaitOptions): Promise<void> {
    try {
      if (typeof handler !== "function") throw new TypeError("Cannot receive segments: the handler is not a function");
      return this.#connection.inbound.segments(handler, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Combines all pieces up to the end of the stream, as `Array.reduce` does; they are lent as in {@link recvSegments}. */
  async fold<Value>(
    initial: Value,
    combine: (value: Value, segment: Uint8Array) => Value,
    options?: WaitOptions,
  ): Promise<Value> {
    let value = initial;
    await this.recvSegments((segment) => {
      value = combine(value, segment);
    }, options);
    return value;
  }

  /** What arrives, until the end of the stream. Leaving the loop early leaves the stream open. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    for (let bytes = await this.read(); bytes !== undefined; bytes = await this.read()) yield bytes;
  }

  /** Bytes that can be read without waiting. */
  get bytesAvailable(): number {
    return this.#connection.inbound.bytesNow;
  }

  /** Whether the peer has ended and everything has been read. */
  get isEnded(): boolean {
    return this.#connection.inbound.isEnded;
  }

  // --- writing

  /**
   * Resolves when all bytes are taken: copied and on their way, so that the caller may use its memory again. It does not say that the peer has them. While the peer does not read
   * it waits. Text is UTF-8. What leaves in one turn of the event loop leaves in one send. A call that is given up says in `details.writtenBytes` how far it came.
   *
   * @throws RingloomError `ERR_RINGLOOM_BACKPRESSURE` when 1,024 writes wait already, `EPIPE` after `end()`, the error of the connection.
   */
  writeAll(bytes: Uint8Array | string, options?: WaitOptions): Promise<void> {
    try {
      return this.#connection.outbound.write(typeof bytes === "string" ? Buffer.from(bytes) : bytes, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As {@link writeAll} of all pieces, one behind the other: one call, which is taken, waits and is given up as one. */
  writeMany(pieces: readonly Uint8Array[], options?: WaitOptions): Promise<void> {
    try {
      return this.#connection.outbound.writeMany(pieces, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Takes what there is room for without waiting, and returns how many bytes that was. */
  tryWrite(bytes: Uint8Array): number {
    checkBytes("write", bytes);
    return this.#connection.outbound.tryWrite(bytes);
  }

  /** Takes all bytes, or where there is no room for them none and returns false. Before an `await`, it saves the promise, as {@link tryReadExact} does. */
  tryWriteAll(bytes: Uint8Array): boolean {
    checkBytes("write", bytes);
    return this.#connection.outbound.tryWriteAll(bytes);
  }

  /** Bytes that were taken and have not reached the kernel. */
  get queuedBytes(): number {
    return this.#connection.queuedBytes;
  }

  /** Sends the end of this direction behind what was written. Reading goes on; when the peer has ended too, the stream is closed. */
  end(): Promise<void> {
    return this.#connection.end();
  }

  // --- the end

  /**
   * Closes behind what was written, without waiting for it: {@link closed} tells. Calls that wait reject with `ERR_RINGLOOM_CLOSED`. A peer that does not read has 30 seconds,
   * and one that has not acknowledged everything a second more to end its own direction: what it still sends is dropped, and does not cost it what it has not read.
   * Again, or on a stream that is gone, it does nothing.
   */
  close(): void {
    this.#connection.close();
  }

  /** Closes at once, and drops what was written. The calls that wait reject with `error`, if there is one. */
  destroy(error?: Error): void {
    this.#connection.destroy(error);
  }

  /** Resolves when the connection is gone, whoever closed it and why. */
  get closed(): Promise<void> {
    return this.#connection.whenClosed();
  }

  /** Whether this side has closed the stream, or the connection is gone. */
  get isClosed(): boolean {
    return this.#connection.isClosed;
  }

  /** {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  // --- the socket

  /** The peer: undefined when it is not known any more. */
  get remoteAddress(): NetAddress | undefined {
    const { slot, driver, peer } = this.#connection;
    return peer ?? (slot < 0 ? undefined : driver.peerAddress(slot));
  }

  /** How the connection is encrypted, and whose certificate the peer has shown; undefined for one that is not, and for one that is gone. */
  get tls(): TlsInfo | undefined {
    const { slot, driver } = this.#connection;
    const socket = slot < 0 ? undefined : driver.tlsSocket?.(slot);
    return socket === undefined ? undefined : tlsInfoOf(socket);
  }

  /** Our own end of a TCP connection; undefined for Unix sockets, and when it is not known any more. */
  get localAddress(): NetAddress | undefined {
    const { slot, driver } = this.#connection;
    return slot < 0 ? undefined : driver.localAddress(slot);
  }

  /** Whether small pieces leave at once (TCP_NODELAY): they do unless told otherwise. */
  setNoDelay(on = true): this {
    const { slot, driver } = this.#connection;
    if (slot >= 0) driver.setNoDelay(slot, on);
    return this;
  }

  /** Whether the kernel asks an idle peer if it still lives, after `idleMs` milliseconds for the first time (whole seconds; 0 is the system's default). */
  setKeepAlive(on = true, idleMs = 0): this {
    checkKeepAliveIdle("set keep-alive", idleMs);
    const { slot, driver } = this.#connection;
    if (slot >= 0) driver.setKeepAlive(slot, on, Math.ceil(idleMs / 1_000));
    return this;
  }

  // --- other forms

  /**
   * Gives the socket back as a descriptor, without closing it: for another thread, another process (`DescriptorStream.send`), or another kind of reader. What was written leaves first; what had arrived and nobody has read is in
   * `unread`. This object is of no more use. A call that is given up closes the stream.
   *
   * @throws RingloomError `ERR_RINGLOOM_BUSY` while a read or a write waits, `EPIPE` after `end()`, the error of the connection, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`; `ERR_RINGLOOM_UNSUPPORTED` without the addon, and for a stream that speaks TLS.
   */
  release(options?: WaitOptions): Promise<OwnedDescriptor> {
    try {
      return this.#connection.release(options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Turns the stream into a Node stream that has what people use of a `net.Socket`. What nobody has read goes with it; this object is of no more use. Throws
   * `ERR_RINGLOOM_BUSY` while a read or a write waits.
   *
   * @param options `allowHalfOpen`: whether it may still write when the peer has ended. Default: false, as in Node.
   */
  toDuplex(options: { readonly allowHalfOpen?: boolean } = {}): Duplex {
    return openDuplex(this.#connection, options.allowHalfOpen ?? false);
  }

  /** The two directions as web streams. Cancelling or aborting either closes the stream; `signal` does so too. */
  toWeb(options: { readonly signal?: AbortSignal } = {}): {
    readonly readable: ReadableStream<Uint8Array>;
    readonly writable: WritableStream<Uint8Array>;
  } {
    const { signal } = options;
    signal?.throwIfAborted();
    if (signal !== undefined) this.#closeOn(signal);
    const readable = new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const bytes = await this.read();
          if (bytes === undefined) controller.close();
          else controller.enqueue(bytes);
        },
        cancel: () => this.close(),
      },
      { highWaterMark: 0 },
    );
    const writable = new WritableStream<Uint8Array>({
      write: (bytes) => this.writeAll(bytes),
      close: () => this.end(),
      abort: () => this.destroy(),
    });
    return { readable, writable };
  }

  #closeOn(signal: AbortSignal): void {
    const forget = onAbort(signal, () => this.destroy());
    void this.closed.then(forget);
  }
}

function newBuffer(length: number): Buffer {
  if (!Number.isSafeInteger(length) || length < 0)
    throw new RangeError(`Cannot read: ${length} is not a number of bytes`);
  return Buffer.allocUnsafe(length);
}

function checkBytes(operation: string, bytes: unknown): void {
  if (!(bytes instanceof Uint8Array)) throw new TypeError(`Cannot ${operation}: a Uint8Array is needed`);
}

function checkTargets(targets: unknown): void {
  if (!Array.isArray(targets)) throw new TypeError("Cannot read: an array of Uint8Arrays is needed");
  for (const target of targets) checkBytes("read", target);
}
