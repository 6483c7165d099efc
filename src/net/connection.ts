/**
 * One connection of the thread's driver with its two sides, from the attempt to connect to the close. Everything that users hold (streams, push sockets,
 * Node streams) is a face of it.
 *
 * It compares no generations: the thread's driver hands events to the owner that a slot has, and here the slot is forgotten when `closed` comes, so a late call finds none.
 */
import type { Driver } from "../driver/contract.js";
import { errnoError, RingloomError } from "../errors.js";
import { NOTHING_WAITS } from "../io/write-timeouts.js";
import type { ConnectionOwner } from "../runtime/thread-driver.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { armWait, checkWait } from "../task/wait-limits.js";
import { ECANCELED } from "../uapi.js";
import { Inbound, type InboundOwner } from "./inbound.js";
import type { HostedConnection, NetHost } from "./net-host.js";
import { Outbound, type OutboundOwner } from "./outbound.js";
import { OwnedDescriptor } from "./owned-descriptor.js";

const NONE = -1;
/** Of a connection that is given away nobody hears any more. */
const NOBODY: ConnectionSink = { received() {}, ended() {}, closed() {} };
/** How long a stream that was closed may take to send what was written, in milliseconds. */
const FLUSH_MS_MAX = 30_000;

/** An end of a TCP connection, or the path of a Unix socket. */
export interface Endpoint {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
}

/** Takes the events of a connection in place of its reading side: what another form of stream is built on. */
export interface ConnectionSink {
  /** The bytes are lent. */
  received(bytes: Uint8Array, offset: number, length: number): void;
  ended(): void;
  /** The answer to `requestDrained`; without it the writing side goes on. */
  drained?(): void;
  /** What it has committed itself, in bytes. */
  readonly committedBytes?: number;
  closed(errno: number, error: Error | undefined): void;
}

/** What a connection is made with. */
export interface ConnectionOptions {
  /** Bytes that may wait for a reader before the peer is held back. */
  readonly readBufferBytes: number;
  /** The peer, where it is known; for errors. */
  readonly peer: Endpoint | undefined;
}

type Settle = (error: Error | undefined) => void;

/** A connection. */
export class Connection implements ConnectionOwner, InboundOwner, OutboundOwner, HostedConnection {
  readonly host: NetHost;
  readonly driver: Driver;
  readonly inbound: Inbound;
  readonly outbound: Outbound;
  readonly peer: Endpoint | undefined;
  slot = NONE;
  takenBytes = NOTHING_WAITS;
  takenAtMs = 0;
  #connecting: Settle | undefined;
  #sink: ConnectionSink | undefined;
  #onEnded: (() => void) | undefined;
  #isClosing = false;
  #hasEnded = false;
  #error: Error | undefined;
  /** What an error number of the driver stands for. */
  #failure: Error | undefined;
  #flushTimer: NodeJS.Timeout | undefined;
  #closed: Promise<void> | undefined;
  #resolveClosed: (() => void) | undefined;
  #ending: Promise<void> | undefined;
  #isGone = false;

  constructor(host: NetHost, options: ConnectionOptions) {
    this.host = host;
    this.driver = host.driver;
    this.peer = options.peer;
    this.inbound = new Inbound(this, options.readBufferBytes);
    this.outbound = new Outbound(this);
  }

  get queuedBytesMax(): number {
    return this.host.queuedBytesMax;
  }

  // --- the beginning

  /** The slot that the driver gave is this connection's. */
  open(slot: number): void {
    this.slot = slot;
    this.host.add(this);
  }

  /** Who hears how connecting went. Set in the call that begins it. */
  onConnected(settle: Settle): void {
    this.#connecting = settle;
  }

  connected(slot: number, errno: number): void {
    if (errno !== 0) this.#failure = this.driver.failureOf?.(slot);
    const settle = this.#connecting;
    this.#connecting = undefined;
    settle?.(errno === 0 ? undefined : this.#brokenBy("connect", errno));
  }

  /** What had arrived before this connection was made of a descriptor comes first. */
  receivedBefore(unread: Uint8Array): void {
    if (unread.length > 0) this.inbound.received(unread, 0, unread.length);
  }

  // --- what the driver says

  received(_slot: number, bytes: Uint8Array, offset: number, length: number): void {
    if (this.#sink === undefined) this.inbound.received(bytes, offset, length);
    else this.#sink.received(bytes, offset, length);
  }

  ended(_slot: number): void {
    this.#hasEnded = true;
    if (this.#sink === undefined) this.inbound.ended();
    else this.#sink.ended();
    this.#onEnded?.();
  }

  drained(_slot: number): void {
    if (this.#sink?.drained === undefined) this.outbound.proceed();
    else this.#sink.drained();
  }

  closed(slot: number, errno: number): void {
    if (errno !== 0) this.#failure ??= this.driver.failureOf?.(slot);
    this.slot = NONE;
    this.#isGone = true;
    this.host.remove(this);
    clearTimeout(this.#flushTimer);
    // The driver was closed, or the attempt given up, before it was known how connecting goes.
    const connecting = this.#connecting;
    this.#connecting = undefined;
    connecting?.(this.#endOf("connect", errno) ?? closedError("connect"));
    this.outbound.fail(this.#endOf("write", errno) ?? closedError("write"));
    // Closed in order, by both sides: what is left can be read, and then the stream has ended.
    const error = this.#endOf("read", errno);
    if (this.#sink === undefined) this.inbound.closed(error);
    else this.#sink.closed(errno, error);
    this.#resolveClosed?.();
  }

  #endOf(operation: string, errno: number): Error | undefined {
    if (this.#error !== undefined) return this.#error;
    if (errno !== 0) return this.#brokenBy(operation, errno);
    return this.#hasEnded ? undefined : closedError(operation);
  }

  #brokenBy(operation: string, errno: number): Error {
    const failure = this.#failure;
    if (failure === undefined) return errnoError(operation, errno, { ...this.peer });
    const { code = "EPROTO" } = failure as NodeJS.ErrnoException;
    return new RingloomError(code, `Cannot ${operation}: ${failure.message}`, {
      operation,
      details: { ...this.peer },
      cause: failure,
    });
  }

  // --- what the two sides ask for

  pauseReceiving(): void {
    if (this.slot !== NONE) this.driver.pause(this.slot);
  }

  resumeReceiving(): void {
    if (this.slot !== NONE) this.driver.resume(this.slot);
  }

  starved(): void {
    this.host.awaitRoom(this);
  }

  proceed(): void {
    this.outbound.proceed();
  }

  // --- what the host looks at

  get queuedBytes(): number {
    return this.slot === NONE ? 0 : this.driver.queuedBytes(this.slot);
  }

  get committedBytes(): number {
    return this.outbound.committedBytes + (this.#sink?.committedBytes ?? 0);
  }

  get unacknowledgedBytes(): number {
    return this.slot === NONE ? 0 : (this.driver.unacknowledgedBytes?.(this.slot) ?? 0);
  }

  cut(error: Error): void {
    this.destroy(error);
  }

  // --- the ends

  get isClosed(): boolean {
    return this.#isClosing || this.#isGone;
  }

  /** `end` was called. */
  get isEnding(): boolean {
    return this.#ending !== undefined;
  }

  /** The peer will send no more. */
  get hasPeerEnded(): boolean {
    return this.#hasEnded;
  }

  /** Calls `ended` when the peer's end comes, behind whoever reads it. */
  onPeerEnded(ended: () => void): void {
    this.#onEnded = ended;
    if (this.#hasEnded) ended();
  }

  /** Resolves when the connection is gone, whoever closed it. */
  whenClosed(): Promise<void> {
    if (this.#isGone) return Promise.resolve();
    this.#closed ??= new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    return this.#closed;
  }

  /** Half-closes when all writes have been taken. */
  end(): Promise<void> {
    if (this.isClosed) return Promise.resolve();
    this.#ending ??= new Promise((resolve, reject) => {
      this.outbound.refuse(endedError());
      this.outbound.whenIdle((error) => {
        if (error !== undefined) return reject(error);
        if (this.slot !== NONE) this.driver.end(this.slot);
        resolve();
      });
    });
    return this.#ending;
  }

  /** Sends what was taken, and closes. Reads and writes that wait are given up. */
  close(): void {
    if (this.isClosed) return;
    this.#isClosing = true;
    this.#giveUp(closedError("read"), closedError("write"));
    const { slot, driver } = this;
    if (slot === NONE) return;
    const isQueued = driver.queuedBytes(slot) > 0;
    // A close at once answers what the peer still sends with a reset, which destroys what it has not got yet.
    if (!isQueued && this.#hasPeerAll()) return driver.close(slot);
    if (isQueued) {
      clearTimeout(this.#flushTimer);
      this.#flushTimer = setTimeout(() => this.slot !== NONE && driver.close(this.slot), FLUSH_MS_MAX);
      this.#flushTimer.unref();
    }
    driver.closeAfterFlush(slot);
  }

  /** As {@link close}, but the writes that wait are sent, too. */
  closeBehindWrites(): void {
    if (this.isClosed) return;
    if (!this.outbound.isPending) return this.close();
    this.outbound.refuse(closedError("write"));
    this.#flushTimer = setTimeout(() => this.destroy(unsentError(this.outbound.pendingBytes)), FLUSH_MS_MAX);
    this.#flushTimer.unref();
    this.outbound.whenIdle(() => this.close());
  }

  /** Whether the peer has acknowledged all that was sent. A driver that cannot tell knows it only where nothing was. */
  #hasPeerAll(): boolean {
    if (this.driver.unacknowledgedBytes === undefined) return this.committedBytes === 0;
    return this.unacknowledgedBytes === 0;
  }

  /** Drops what was written, and closes. */
  destroy(error?: Error): void {
    this.#error ??= error;
    if (!this.#isClosing) this.#giveUp(error ?? closedError("read"), error ?? closedError("write"));
    this.#isClosing = true;
    if (this.slot !== NONE) this.driver.close(this.slot);
  }

  #giveUp(reading: Error, writing: Error): void {
    if (this.#sink === undefined) this.inbound.discard(reading);
    this.outbound.fail(writing);
  }

  /** Gives the socket away when what was written has left; nothing else can be done with this connection from the call on. A call that is given up closes it. */
  release(options: WaitOptions | undefined): Promise<OwnedDescriptor> {
    const operation = "release the stream";
    if (options !== undefined) checkWait(operation, options);
    this.#assertFree(operation);
    this.inbound.assertFree(operation);
    if (this.#ending !== undefined) throw endedError();
    return new Promise((resolve, reject) => {
      let endLimits: (() => void) | undefined;
      const isBegun = this.driver.release(this.slot, (descriptor, unread) => {
        endLimits?.();
        if (descriptor >= 0) resolve(new OwnedDescriptor(descriptor, Buffer.concat([rest, unread])));
        else
          reject(
            this.#error ?? (descriptor === -ECANCELED ? closedError(operation) : errnoError(operation, -descriptor)),
          );
      });
      if (!isBegun) throw closedError(operation);
      const rest = this.handOver(operation, NOBODY);
      this.outbound.refuse(takenError("write"));
      if (options !== undefined)
        endLimits = armWait(options, operation, (error) => {
          reject(error);
          this.destroy(error);
        });
    });
  }

  #assertFree(operation: string): void {
    if (this.isClosed) throw closedError(operation);
    if (this.#sink !== undefined) throw takenError(operation);
    if (this.outbound.isPending) throw writingError(operation);
  }

  /** Events go to `sink` from now on. Returns what nobody has read. */
  handOver(operation: string, sink: ConnectionSink): Buffer {
    this.#assertFree(operation);
    const rest = this.inbound.surrender(operation);
    this.inbound.discard(takenError("read"));
    this.#sink = sink;
    return rest;
  }
}

/** The error of a call on a stream that this side has closed. */
export function closedError(operation: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", `Cannot ${operation}: the stream is closed`, { operation });
}

function unsentError(pendingBytes: number): RingloomError {
  return new RingloomError(
    "ETIMEDOUT",
    `Cannot close in order: the peer has not taken what was written in ${FLUSH_MS_MAX} ms, and ${pendingBytes} bytes of it were never sent`,
    { operation: "close", details: { pendingBytes, timeoutMs: FLUSH_MS_MAX } },
  );
}

function endedError(): RingloomError {
  return new RingloomError("EPIPE", "Cannot write: this side of the stream was ended", { operation: "write" });
}

function writingError(operation: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_BUSY", `Cannot ${operation}: a write of this stream waits`, { operation });
}

/** The error of a call on a stream whose connection another form has taken. */
export function takenError(operation: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", `Cannot ${operation}: the stream was turned into another form`, {
    operation,
  });
}
