/**
 * One connection of a driver as a Node stream with the face of `net.Socket`, so that what was written for Node's sockets (`node:http`, TLS, `ws`, database
 * clients) runs on any driver. It knows no protocol.
 *
 * Received bytes are copied once, because a driver lends them for one event and a stream's reader may keep them. Written text is encoded straight
 * into the driver's write pool; what is written while the stream is corked leaves in one piece.
 */
import { AsyncResource } from "node:async_hooks";
import { Duplex } from "node:stream";
import { assert } from "../assert.js";
import { WRITE_BLOCK_BYTES_MAX } from "../constants.js";
import type { Driver } from "../driver/contract.js";
import { errnoError, RingloomError } from "../errors.js";
import type { Deadline, SocketTimeouts, TimedSocket } from "./socket-timeouts.js";
import { NOTHING_WAITS, type WritingSocket } from "./write-timeouts.js";

/** How long a socket that was ended and destroyed may take to send what was written, in milliseconds. */
const FLUSH_MS_MAX = 30_000;
/** The same for one that was only destroyed: what node:net would have given to the kernel before, this one still has in the driver. */
const FLUSH_DESTROYED_MS_MAX = 1_000;
const READ_HIGH_WATER_BYTES = 64 * 1024;
const NONE = -1;

/** An end of a connection. */
export interface SocketAddress {
  readonly host: string;
  readonly port: number;
}

/** What made the sockets, as they see it. */
export interface SocketOwner {
  readonly driver: Driver;
  /** `driver.writeBytes` as a Buffer. */
  readonly writeBuffer: Buffer;
  readonly timeouts: SocketTimeouts;
  /** The most bytes of one connection that may wait for the kernel; what is written beyond them waits in its stream. */
  readonly queuedBytesMax: number;
  /** The write pool has no room: have {@link DriverSocket.continueWriting} called at the end of a turn. */
  starved(socket: DriverSocket): void;
}

/** What a socket is made with. */
export interface DriverSocketOptions {
  /** -1 for a socket that is still to be connected; see `DriverSocket.open`. */
  readonly slot: number;
  /** Where its listener listens. */
  readonly local: SocketAddress;
  /** Whether the socket may still write when the peer has ended. */
  readonly allowHalfOpen: boolean;
}

/** A piece as Node's streams hand it over. */
interface Piece {
  readonly chunk: string | Uint8Array;
  readonly encoding: BufferEncoding;
}

type Written = (error?: Error | null) => void;

/** A connection as a stream. Made by `DriverSockets`. */
export class DriverSocket extends Duplex implements TimedSocket, WritingSocket {
  /** As in `net.Socket`: milliseconds without activity before `timeout` is emitted; 0 for never. */
  timeout = 0;
  /** Bytes received so far. */
  bytesRead = 0;
  /** Whether it waits for its connection: what is written meanwhile leaves when it has one. A socket of a server is connected from the start. */
  connecting = false;
  localAddress: string;
  localPort: number;
  /** @internal */
  activeAtMs = 0;
  /** @internal */
  takenBytes = NOTHING_WAITS;
  /** @internal */
  takenAtMs = 0;

  readonly #owner: SocketOwner;
  /** Its events run in this context, which none of another connection shares. */
  readonly #context = new AsyncResource("RINGLOOM_SOCKET");
  #slot: number;
  /** The same once the stream is destroyed, while what was written still leaves. */
  #flushingSlot = NONE;
  #isPaused = false;
  #isDelaying = false;
  #hasPeerEnded = false;
  #bytesWritten = 0;
  #peer: SocketAddress | undefined;
  /** What has been written and not committed, and whom to tell. */
  #unsent: Uint8Array[] = [];
  #unsentStart = 0;
  #written: Written | undefined;
  /** The end that was asked for while it was connecting. */
  #finished: Written | undefined;
  /** Cuts the connection when what was written before the end takes too long. */
  #flushDeadline: Deadline | undefined;
  #isEndingSoon = false;

  constructor(owner: SocketOwner, { slot, local, allowHalfOpen }: DriverSocketOptions) {
    super({ allowHalfOpen, decodeStrings: false, readableHighWaterMark: READ_HIGH_WATER_BYTES });
    this.#owner = owner;
    this.#slot = slot;
    this.connecting = slot === NONE;
    this.localAddress = local.host;
    this.localPort = local.port;
  }

  /** As in `tls.TLSSocket`: whether the connection speaks TLS, which the driver then does. */
  get encrypted(): boolean {
    return this.#slot !== NONE && this.#owner.driver.tlsSocket?.(this.#slot) !== undefined;
  }

  /** As in `net.Socket`: not connected yet. */
  get pending(): boolean {
    return this.connecting;
  }

  /** Bytes written so far, those that still wait included. */
  get bytesWritten(): number {
    return this.#bytesWritten + this.writableLength;
  }

  /** The peer's IP address; undefined when the connection was gone before anybody asked. */
  get remoteAddress(): string | undefined {
    return this.#peerAddress()?.host;
  }

  /** The peer's port. */
  get remotePort(): number | undefined {
    return this.#peerAddress()?.port;
  }

  /** `"IPv4"` or `"IPv6"`. */
  get remoteFamily(): string | undefined {
    const host = this.#peerAddress()?.host;
    return host === undefined ? undefined : family(host);
  }

  /** `"IPv4"` or `"IPv6"`. */
  get localFamily(): string {
    return family(this.localAddress);
  }

  /** As in `net.Socket`. */
  get readyState(): string {
    if (this.readable && this.writable) return "open";
    if (this.readable) return "readOnly";
    return this.writable ? "writeOnly" : "closed";
  }

  /** This end of the connection, as in `net.Socket`. */
  address(): { address: string; family: string; port: number } {
    return { address: this.localAddress, family: this.localFamily, port: this.localPort };
  }

  /** Emits `timeout` after `ms` milliseconds without activity, up to a quarter of a second late; 0 turns it off. As in `net.Socket` nothing else happens. */
  setTimeout(ms: number, listener?: () => void): this {
    if (typeof ms !== "number" || !(ms >= 0))
      throw new RangeError(`Cannot set a timeout of ${String(ms)} ms: it has to be a number from 0 on`);
    if (this.destroyed) return this;
    this.timeout = ms;
    this.activeAtMs = performance.now();
    if (ms > 0) this.#owner.timeouts.watch(this);
    if (listener === undefined) return this;
    if (ms > 0) this.once("timeout", listener);
    else this.removeListener("timeout", listener);
    return this;
  }

  /** As in `net.Socket`, only that small pieces leave at once unless told otherwise. */
  setNoDelay(noDelay = true): this {
    if (this.#slot !== NONE && noDelay === this.#isDelaying) {
      this.#isDelaying = !noDelay;
      this.#owner.driver.setNoDelay(this.#slot, noDelay);
    }
    return this;
  }

  /** As in `net.Socket`: whether the kernel asks an idle peer if it still lives. */
  setKeepAlive(enable = false, initialDelayMs = 0): this {
    if (this.#slot !== NONE) this.#owner.driver.setKeepAlive(this.#slot, enable, Math.floor(initialDelayMs / 1_000));
    return this;
  }

  /** Accepted for the sake of `net.Socket`: the driver as a whole keeps the thread alive. */
  ref(): this {
    return this;
  }

  /** Accepted for the sake of `net.Socket`. */
  unref(): this {
    return this;
  }

  /** Bytes that have not reached the kernel, also while the stream is destroyed and they still leave. @internal */
  get queuedBytes(): number {
    const slot = this.#slot === NONE ? this.#flushingSlot : this.#slot;
    return slot === NONE ? 0 : this.#owner.driver.queuedBytes(slot);
  }

  /** Bytes that have reached the kernel and not the peer; 0 where the driver cannot tell. @internal */
  get unacknowledgedBytes(): number {
    const slot = this.#slot === NONE ? this.#flushingSlot : this.#slot;
    return slot === NONE ? 0 : (this.#owner.driver.unacknowledgedBytes?.(slot) ?? 0);
  }

  /** Bytes given to the driver so far. @internal */
  get committedBytes(): number {
    return this.#bytesWritten;
  }

  /** Destroys the socket when what was written has left. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) {
      this.destroy();
    } else if (!this.#isEndingSoon) {
      this.#isEndingSoon = true;
      this.once("finish", () => this.destroy());
    }
  }

  /** Drops what still waits and closes. */
  resetAndDestroy(): this {
    this.#close(0, false);
    return this.destroy();
  }

  /** Drops what still waits, closes, and tells the program why. @internal */
  cut(error: Error): void {
    if (this.#flushingSlot !== NONE) this.#owner.driver.close(this.#flushingSlot);
    this.within(() => {
      this.#close(0, false);
      this.destroy(error);
    });
  }

  /** Its connection is there: what was written meanwhile leaves. @internal */
  open(slot: number, local: SocketAddress): void {
    assert(this.#slot === NONE, "a socket is connected once");
    this.#slot = slot;
    this.localAddress = local.host;
    this.localPort = local.port;
    this.connecting = false;
    this.activeAtMs = performance.now();
    if (this.#written !== undefined) this.#push();
    const finished = this.#finished;
    this.#finished = undefined;
    if (finished !== undefined) this._final(finished);
  }

  /** Runs `work` in the context of this connection. @internal */
  within(work: () => void): void {
    this.#context.runInAsyncScope(work);
  }

  /** Bytes came, and are the socket's. @internal */
  deliver(chunk: Buffer): void {
    if (this.destroyed) return;
    this.bytesRead += chunk.length;
    this.activeAtMs = performance.now();
    if (this.#context.runInAsyncScope(this.push, this, chunk) || this.#isPaused || this.#slot === NONE) return;
    this.#isPaused = true;
    this.#owner.driver.pause(this.#slot);
  }

  /** The peer will send no more. @internal */
  deliverEnd(): void {
    this.#hasPeerEnded = true;
    if (!this.destroyed) this.#context.runInAsyncScope(this.push, this, null);
  }

  /** The kernel has taken most of what was committed. @internal */
  continueWriting(): void {
    if (this.#slot === NONE || this.#written === undefined) return;
    this.activeAtMs = performance.now();
    this.#context.runInAsyncScope(this.#push, this);
  }

  /** The connection is gone. @internal */
  deliverClosed(errno: number): void {
    // People log the address when they hear of the close.
    this.#slot = NONE;
    this.#flushingSlot = NONE;
    if (this.#flushDeadline !== undefined) this.#owner.timeouts.cancel(this.#flushDeadline);
    if (this.destroyed) return;
    const isOrderly = errno === 0 && this.#hasPeerEnded && this.writableFinished;
    // Then the stream destroys itself once its reader has come to the end.
    if (isOrderly) return;
    this.within(() => this.destroy(errno === 0 ? undefined : errnoError("receive", errno)));
  }

  /** No activity for too long. @internal */
  timedOut(): void {
    if (!this.destroyed) this.#context.runInAsyncScope(this.emit, this, "timeout");
  }

  override _read(): void {
    if (!this.#isPaused || this.#slot === NONE) return;
    this.#isPaused = false;
    this.#owner.driver.resume(this.#slot);
  }

  override _write(chunk: string | Uint8Array, encoding: BufferEncoding, written: Written): void {
    this.#send([{ chunk, encoding }], written);
  }

  override _writev(pieces: Piece[], written: Written): void {
    this.#send(pieces, written);
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.connecting) {
      this.#finished = done;
      return;
    }
    if (this.#slot !== NONE) this.#owner.driver.end(this.#slot);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.timeout = 0;
    this.connecting = false;
    this.#owner.timeouts.forget(this);
    // Whoever ended first and destroys then wants its last bytes to arrive, and no reset behind them.
    const isEnded = error === null && this.writableFinished;
    this.#close(isEnded ? FLUSH_MS_MAX : FLUSH_DESTROYED_MS_MAX, isEnded);
    const written = this.#written;
    this.#written = undefined;
    this.#unsent = [];
    written?.(error ?? gone("write"));
    done(error);
  }

  #close(flushMsMax: number, mayLinger: boolean): void {
    const slot = this.#slot;
    if (slot === NONE) return;
    this.#peerAddress();
    this.#slot = NONE;
    const { driver, timeouts } = this.#owner;
    const isQueued = flushMsMax > 0 && driver.queuedBytes(slot) > 0;
    if (!isQueued && !mayLinger) {
      driver.close(slot);
      return;
    }
    this.#flushingSlot = slot;
    // A peer that never reads must not hold the connection for ever.
    if (isQueued) this.#flushDeadline = timeouts.after(flushMsMax, () => driver.close(slot));
    driver.closeAfterFlush(slot);
  }

  #peerAddress(): SocketAddress | undefined {
    if (this.#peer === undefined && this.#slot !== NONE) this.#peer = this.#owner.driver.peerAddress(this.#slot);
    return this.#peer;
  }

  #send(pieces: readonly Piece[], written: Written): void {
    if (this.connecting && !this.destroyed) {
      this.#unsent = pieces.map(bytesOf);
      this.#written = written;
      return;
    }
    if (this.#slot === NONE) {
      written(gone("write"));
      return;
    }
    assert(this.#written === undefined, "a stream writes one thing at a time");
    this.activeAtMs = performance.now();
    if (this.#commitTogether(pieces)) {
      written();
      return;
    }
    this.#unsent = pieces.map(bytesOf);
    this.#written = written;
    this.#push();
  }

  /** Encodes everything into one block of the write pool. Returns false when it does not fit one, or none is free, or too much waits already. */
  #commitTogether(pieces: readonly Piece[]): boolean {
    const { driver, writeBuffer, queuedBytesMax } = this.#owner;
    let size = 0;
    for (const { chunk, encoding } of pieces)
      size += typeof chunk === "string" ? byteLength(chunk, encoding) : chunk.length;
    if (size === 0) return true;
    if (size > WRITE_BLOCK_BYTES_MAX || driver.queuedBytes(this.#slot) + size > queuedBytesMax) return false;
    const start = driver.reserve(this.#slot, size);
    if (start < 0) return false;
    let at = start;
    for (const { chunk, encoding } of pieces) {
      if (typeof chunk === "string") {
        at += writeBuffer.write(chunk, at, start + size - at, encoding);
      } else {
        writeBuffer.set(chunk, at);
        at += chunk.length;
      }
    }
    driver.commit(this.#slot, at - start);
    this.#bytesWritten += at - start;
    return true;
  }

  #push(): void {
    const { driver, writeBuffer } = this.#owner;
    const slot = this.#slot;
    for (let bytes = this.#unsent[0]; bytes !== undefined; bytes = this.#unsent[0]) {
      const room = this.#owner.queuedBytesMax - driver.queuedBytes(slot);
      const length = Math.min(bytes.length - this.#unsentStart, WRITE_BLOCK_BYTES_MAX, room);
      if (length > 0) {
        const at = driver.reserve(slot, length);
        if (at < 0) {
          this.#owner.starved(this);
          return;
        }
        writeBuffer.set(bytes.subarray(this.#unsentStart, this.#unsentStart + length), at);
        driver.commit(slot, length);
        this.#bytesWritten += length;
        this.#unsentStart += length;
      }
      if (this.#unsentStart < bytes.length) {
        if (length < room) continue;
        driver.requestDrained(slot);
        return;
      }
      this.#unsent.shift();
      this.#unsentStart = 0;
    }
    const written = this.#written;
    this.#written = undefined;
    written?.();
  }
}

function byteLength(text: string, encoding: BufferEncoding): number {
  return encoding === "latin1" || encoding === "binary" || encoding === "ascii"
    ? text.length
    : Buffer.byteLength(text, encoding);
}

function bytesOf({ chunk, encoding }: Piece): Uint8Array {
  return typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk;
}

function family(host: string): string {
  return host.includes(":") ? "IPv6" : "IPv4";
}

function gone(operation: string): RingloomError {
  return new RingloomError("EPIPE", `Cannot ${operation}: the connection is gone`, { operation });
}
