/** The push form of a stream: bytes come by a call, writes are queued. For protocols that are written as a state machine. */
import { AsyncResource } from "node:async_hooks";
import { type ConnectOptions, type ConnectTarget, connect } from "./connect.js";
import type { Connection, ConnectionSink } from "./connection.js";
import { backpressure } from "./outbound.js";
import { connectionOf, type NetStream } from "./stream.js";

/** Bytes of writes that may wait for a peer that does not read, unless told otherwise. */
const WRITE_QUEUE_BYTES_DEFAULT = 1024 * 1024;

/**
 * Who is told what happens on a {@link PushSocket}. Each is called in the async context in which the socket was made. What a handler throws is an uncaught exception.
 * @experimental
 */
export interface PushHandlers {
  /** Bytes have come. They are the handler's to keep. */
  onData(bytes: Buffer): void;
  /** The peer will send no more. Without it this side is ended, too. */
  onEnd?(): void;
  /** What was queued has been taken, after a `write` that returned false. */
  onDrain?(): void;
  /** The connection is gone; `error` says why where that was not in order. */
  onClose?(error: Error | undefined): void;
}

/**
 * How a push socket behaves.
 * @experimental
 */
export interface PushOptions {
  /** Bytes of writes that may wait because the peer does not read, in bytes. A write beyond that throws. Default: 1,048,576. */
  readonly writeQueueBytes?: number | undefined;
}

/**
 * Connects, and has what comes pushed to `handlers`.
 *
 * @throws what {@link connect} throws.
 *
 * ```ts
 * import { connectPush } from "ringloom/net";
 *
 * const socket = await connectPush(
 *   { host: "127.0.0.1", port: 6379 },
 *   { onData: (bytes) => process.stdout.write(bytes), onClose: (error) => console.log("closed", error?.message) },
 * );
 * socket.write("PING\r\n");
 * ```
 * @experimental
 */
export async function connectPush(
  target: ConnectTarget,
  handlers: PushHandlers,
  options: ConnectOptions & PushOptions = {},
): Promise<PushSocket> {
  return pushSocket(await connect(target, options), handlers, options);
}

/**
 * Turns a stream, such as one that was accepted, into a push socket. What nobody has read is pushed first; the stream is of no more use. Throws `ERR_RINGLOOM_BUSY`
 * while a read or a write of the stream waits.
 *
 * ```ts
 * import { listen, pushSocket } from "ringloom/net";
 *
 * const listener = await listen({ port: 7000 });
 * for await (const stream of listener) {
 *   const socket = pushSocket(stream, { onData: (bytes) => socket.write(bytes) });
 * }
 * ```
 * @experimental
 */
export function pushSocket(stream: NetStream, handlers: PushHandlers, options: PushOptions = {}): PushSocket {
  const { writeQueueBytes = WRITE_QUEUE_BYTES_DEFAULT } = options;
  if (!Number.isSafeInteger(writeQueueBytes) || writeQueueBytes < 0)
    throw new RangeError(`Cannot make a push socket: writeQueueBytes ${writeQueueBytes} is not a number of bytes`);
  if (typeof handlers.onData !== "function") throw new TypeError("Cannot make a push socket: onData is not a function");
  return new PushSocket(connectionOf(stream), handlers, writeQueueBytes);
}

/**
 * A connection that pushes. Made by {@link connectPush} and {@link pushSocket}.
 * @experimental
 */
export class PushSocket {
  readonly #connection: Connection;
  readonly #sink: PushSink;
  readonly #writeQueueBytes: number;
  #isClosing = false;

  /** @internal */
  constructor(connection: Connection, handlers: PushHandlers, writeQueueBytes: number) {
    this.#connection = connection;
    this.#writeQueueBytes = writeQueueBytes;
    const sink = new PushSink(this, connection, handlers);
    this.#sink = sink;
    const rest = connection.handOver("make a push socket", sink);
    // Whoever makes the socket has it in hand before the first call.
    if (rest.length > 0) queueMicrotask(() => sink.deliver(rest));
    if (connection.hasPeerEnded) queueMicrotask(() => sink.ended());
  }

  /**
   * Sends the bytes, or queues a copy of them while the peer does not read: then it returns false, and `onDrain` tells when they have been taken. Text is UTF-8.
   *
   * @throws RingloomError `ERR_RINGLOOM_BACKPRESSURE` when too much is queued already (nothing of this write is), `ERR_RINGLOOM_CLOSED`, `EPIPE` after `end()`.
   */
  write(bytes: Uint8Array | string): boolean {
    const { outbound } = this.#connection;
    const given = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
    if (outbound.tryWriteAll(given)) return true;
    if (outbound.pendingBytes + given.length > this.#writeQueueBytes) throw backpressure(outbound.pendingBytes);
    return outbound.keep(given, () => {
      if (!outbound.isPending) this.#sink.writesTaken();
    });
  }

  /** Bytes that were written and have not reached the kernel. */
  get queuedBytes(): number {
    return this.#connection.queuedBytes + this.#connection.outbound.pendingBytes;
  }

  /** Has nothing more pushed until {@link resume}; what was received already may still come. */
  pause(): void {
    this.#connection.pauseReceiving();
  }

  /** Has bytes pushed again. */
  resume(): void {
    this.#connection.resumeReceiving();
  }

  /** Sends the end of this direction behind what was written. */
  end(): void {
    if (!this.isClosed) this.#connection.end().catch(() => {});
  }

  /** Closes behind what was written, queued writes included. A peer that has not taken them within 30 s is cut, and `onClose` told so. Nothing more is pushed. */
  close(): void {
    this.#isClosing = true;
    this.#connection.closeBehindWrites();
  }

  /** Closes at once, and drops what was written. */
  destroy(error?: Error): void {
    this.#connection.destroy(error);
  }

  /** Whether this side has closed the socket, or the connection is gone. */
  get isClosed(): boolean {
    return this.#isClosing || this.#connection.isClosed;
  }
}

class PushSink implements ConnectionSink {
  readonly #socket: PushSocket;
  readonly #connection: Connection;
  readonly #handlers: PushHandlers;
  readonly #context = new AsyncResource("RINGLOOM_PUSH_SOCKET");

  constructor(socket: PushSocket, connection: Connection, handlers: PushHandlers) {
    this.#socket = socket;
    this.#connection = connection;
    this.#handlers = handlers;
  }

  deliver(bytes: Buffer): void {
    if (!this.#socket.isClosed) this.#context.runInAsyncScope(this.#handlers.onData, this.#handlers, bytes);
  }

  received(bytes: Uint8Array, offset: number, length: number): void {
    this.deliver(this.#connection.host.copies.copy(bytes, offset, length));
  }

  ended(): void {
    if (this.#socket.isClosed) return;
    if (this.#handlers.onEnd === undefined) this.#socket.end();
    else this.#context.runInAsyncScope(this.#handlers.onEnd, this.#handlers);
  }

  writesTaken(): void {
    if (this.#socket.isClosed || this.#handlers.onDrain === undefined) return;
    this.#context.runInAsyncScope(this.#handlers.onDrain, this.#handlers);
  }

  closed(_errno: number, error: Error | undefined): void {
    // Closing it oneself is in order.
    const isOwn = (error as NodeJS.ErrnoException | undefined)?.code === "ERR_RINGLOOM_CLOSED";
    if (this.#handlers.onClose === undefined) return;
    this.#context.runInAsyncScope(this.#handlers.onClose, this.#handlers, isOwn ? undefined : error);
  }
}
