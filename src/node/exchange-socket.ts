/**
 * What the request and the response of `node:http` take for their socket, when the connection is Ringloom's own HTTP server's: it carries the bytes of one
 * response to the exchange, and lets nobody at the connection itself.
 */
import { EventEmitter } from "node:events";
import { RingloomError } from "../errors.js";
import type { BodySink } from "../http/response-body.js";

const HIGH_WATER_BYTES = 64 * 1024;

/** The exchange, as its socket sees it. */
export interface SocketExchange {
  readonly remoteAddress: string | undefined;
  /** Where the bytes of the response go; undefined when nobody wants them any more. */
  begin(): BodySink | undefined;
  /** The client can take more again. */
  drained(): void;
  /** The program wants to read on. */
  resume(): void;
  /** The program gave the connection up. */
  cut(): void;
}

type Written = (error?: Error | null) => void;

/** The socket of one request. It has the properties and methods of `net.Socket` that a HTTP program uses. */
export class ExchangeSocket extends EventEmitter {
  readonly readable = true;
  readonly connecting = false;
  readonly readableHighWaterMark = HIGH_WATER_BYTES;
  readonly writableHighWaterMark = HIGH_WATER_BYTES;
  /** node:http sets `corked` to 1 before it uncorks at the end of a response. */
  readonly _writableState = { corked: 0 };
  destroyed = false;
  writableLength = 0;
  bytesWritten = 0;
  timeout = 0;

  readonly #exchange: SocketExchange;
  #address: string | undefined;
  #sink: BodySink | undefined;
  #hasBegun = false;
  /** Written while corked. */
  #held: Uint8Array[] = [];
  #heldCallbacks: Written[] = [];
  #isWaiting = false;
  /** A write was told that there is no room, so somebody waits for "drain". */
  #owesDrain = false;

  constructor(exchange: SocketExchange) {
    super();
    this.#exchange = exchange;
  }

  get writable(): boolean {
    return !this.destroyed;
  }

  get remoteAddress(): string | undefined {
    this.#address ??= this.#exchange.remoteAddress;
    return this.#address;
  }

  get remoteFamily(): string | undefined {
    return this.remoteAddress === undefined ? undefined : this.remoteAddress.includes(":") ? "IPv6" : "IPv4";
  }

  get readyState(): string {
    return this.destroyed ? "closed" : "open";
  }

  cork(): void {
    this._writableState.corked += 1;
  }

  uncork(): void {
    const state = this._writableState;
    if (state.corked > 0) state.corked -= 1;
    if (state.corked === 0) this.#flush();
  }

  write(chunk: string | Uint8Array, encoding?: BufferEncoding | Written | null, done?: Written | null): boolean {
    const written = typeof encoding === "function" ? encoding : (done ?? undefined);
    if (this.destroyed) {
      if (written !== undefined) process.nextTick(written, gone());
      return false;
    }
    const bytes =
      typeof chunk === "string" ? Buffer.from(chunk, typeof encoding === "string" ? encoding : "utf8") : chunk;
    this.#held.push(bytes);
    this.writableLength += bytes.length;
    if (written !== undefined) this.#heldCallbacks.push(written);
    if (this._writableState.corked === 0) this.#flush();
    const hasRoom = this.writableLength < HIGH_WATER_BYTES && !this.#isWaiting;
    if (!hasRoom) this.#owesDrain = true;
    return hasRoom;
  }

  /** Everything was written. `close` is whether the connection has to end behind it. */
  finish(): void {
    if (this.destroyed) return;
    this._writableState.corked = 0;
    this.#flush();
    if (!this.#hasBegun) this.#sink = this.#begin();
    this.#sink?.end();
  }

  destroy(_error?: Error): this {
    if (this.destroyed) return this;
    this.#exchange.cut();
    this.closed();
    return this;
  }

  destroySoon(): void {
    this.destroy();
  }

  end(): this {
    return this;
  }

  /** The exchange is over, one way or the other. */
  closed(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#held = [];
    for (const done of this.#heldCallbacks.splice(0)) process.nextTick(done, gone());
    process.nextTick(() => this.emit("close", false));
  }

  /** Accepted for the sake of `net.Socket`: the limits of the HTTP server count here. */
  setTimeout(_ms: number, _listener?: () => void): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  pause(): this {
    return this;
  }

  resume(): this {
    this.#exchange.resume();
    return this;
  }

  #begin(): BodySink | undefined {
    this.#hasBegun = true;
    return this.#exchange.begin();
  }

  #flush(): void {
    if (this.#held.length === 0) return;
    const [first] = this.#held;
    const bytes = this.#held.length === 1 && first !== undefined ? first : Buffer.concat(this.#held);
    const callbacks = this.#heldCallbacks;
    this.#held = [];
    this.#heldCallbacks = [];
    this.writableLength = 0;
    this.bytesWritten += bytes.length;
    if (!this.#hasBegun) this.#sink = this.#begin();
    const sink = this.#sink;
    if (sink === undefined) {
      for (const done of callbacks) process.nextTick(done, gone());
      return;
    }
    const hasRoom = sink.write(bytes);
    for (const done of callbacks) process.nextTick(done);
    if (this.#isWaiting) return;
    if (hasRoom) {
      // What was corked looked like too much, and was not: the sink has nothing to tell later.
      if (this.#owesDrain) process.nextTick(() => this.#payDrain());
      return;
    }
    this.#isWaiting = true;
    void sink.drained().then(() => {
      this.#isWaiting = false;
      this.#payDrain();
    });
  }

  #payDrain(): void {
    if (!this.#owesDrain || this.#isWaiting || this.destroyed) return;
    this.#owesDrain = false;
    this.#exchange.drained();
  }
}

function gone(): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", "Cannot write: the connection is gone, or the answer was complete");
}
