/**
 * One connection of a pool: sends one request at a time, and reads its response.
 *
 *     idle → [begin] → sending, waiting for the head → the body → idle again, or closed
 *
 * It goes back to its pool only when request and response are both whole and nothing else has come: what a server says without being asked could be taken for the answer to the next request.
 */

import { lookup } from "../http/light-headers.js";
import { type BodySource, pumpBody } from "../http/response-body.js";
import type { ReceiveCopies } from "../io/receive-copies.js";
import type { SocketTimeouts, TimedSocket } from "../io/socket-timeouts.js";
import { cutShort, timedOut } from "./client-errors.js";
import type { Exchange, ExchangeHolder } from "./exchange.js";
import { BODY_BUFFER_BYTES } from "./raw-body.js";
import { type ResponseEvents, type ResponseLimits, ResponseReader } from "./response-reader.js";
import type { Transport, TransportEvents } from "./transport.js";
import { Upload, type UploadOwner } from "./upload.js";

/** What a connection tells its pool. */
export interface ConnectionOwner {
  /** It is idle: another request may be sent. */
  connectionFree(connection: ClientConnection): void;
  /** It is gone, or takes no more requests. Told once. */
  connectionGone(connection: ClientConnection): void;
  /** The connection was closed before a byte of the response came, and the request may be sent again. */
  sendAgain(exchange: Exchange): void;
}

/** What a connection is made with. */
export interface ConnectionParts {
  readonly owner: ConnectionOwner;
  readonly limits: ResponseLimits;
  readonly idleMs: number;
  readonly lifetimeMs: number;
  readonly timeouts: SocketTimeouts;
  readonly copies: ReceiveCopies;
}

/** Sent on another connection so often before the last error is told. */
const SENDINGS_MAX = 3;
/** A server's own idle time ends so long before it says, in milliseconds: its close and our request may cross. */
const KEEP_ALIVE_MARGIN_MS = 1_000;

/** A longer body is sent in pieces: that it goes on can be seen, and whether it has left. */
const PIECE_BYTES = 65_536;

/** See the top of the file. */
export class ClientConnection implements TransportEvents, ResponseEvents, ExchangeHolder, UploadOwner, TimedSocket {
  timeout = 0;
  activeAtMs = 0;
  readonly #transport: Transport;
  readonly #parts: ConnectionParts;
  readonly #reader: ResponseReader;
  readonly #openedAtMs = performance.now();
  #idleMs: number;
  #exchange: Exchange | undefined;
  #sentCount = 0;
  /** The body of the request, where that is a stream. */
  #upload: Upload | undefined;
  #isPaused = false;
  #mayReuse = true;
  #isGone = false;

  /** @throws RingloomError `ERR_RINGLOOM_OVERLOADED`; the transport is then destroyed. */
  constructor(transport: Transport, parts: ConnectionParts) {
    this.#transport = transport;
    this.#parts = parts;
    this.#idleMs = parts.idleMs;
    try {
      this.#reader = new ResponseReader(this, parts.limits);
    } catch (error) {
      transport.destroy();
      throw error;
    }
    transport.events = this;
  }

  /** Whether it would take a request: not for one that is too old, which it closes. */
  isFresh(): boolean {
    const { lifetimeMs } = this.#parts;
    if (this.#isGone) return false;
    if (lifetimeMs === 0 || performance.now() - this.#openedAtMs < lifetimeMs) return true;
    this.close();
    return false;
  }

  /** Sends a request. */
  begin(exchange: Exchange): void {
    const { message, timeouts } = exchange;
    this.#exchange = exchange;
    exchange.heldBy(this);
    exchange.endWaiting();
    exchange.sendings += 1;
    this.#sentCount += 1;
    this.#reader.begin();
    this.#transport.hold(true);
    this.#limit(timeouts.headersMs);
    this.#transport.writeText(message.head);
    const { body } = message;
    if (body === undefined) return;
    if (body instanceof Uint8Array && body.length <= PIECE_BYTES) this.#transport.write(body);
    else if (body instanceof Uint8Array) this.#send(piecesOf(body), body.length);
    else exchange.within(() => this.#send(body, message.contentLength));
  }

  #send(body: BodySource, contentLength: number): void {
    const upload = new Upload(this.#transport, this, contentLength < 0);
    this.#upload = upload;
    void pumpBody(body, upload, { contentLength });
  }

  /** It is idle, and nobody needs it now. */
  rest(): void {
    this.#transport.hold(false);
    this.#limit(this.#idleMs);
    if (this.#idleMs === 0) this.close();
  }

  /** Closes an idle connection in order. */
  close(): void {
    if (this.#leave()) this.#transport.close();
  }

  /** Ends it, and its request with that error. */
  destroy(error: Error): void {
    this.#break(error);
  }

  // --- what the transport says

  received(bytes: Uint8Array, offset: number, length: number): void {
    const exchange = this.#exchange;
    // Nobody asked: it could be taken for the answer to the next request.
    if (exchange === undefined) return this.#cut();
    let taken: number;
    if (exchange.body !== undefined) this.activeAtMs = performance.now();
    try {
      taken = this.#reader.read(bytes, offset, length);
    } catch (error) {
      return this.#break(error as Error);
    }
    if (taken < length) this.#mayReuse = false;
    if (this.#reader.isComplete) return this.#complete();
    const waiting = exchange.body?.bytesNow ?? 0;
    if (waiting < BODY_BUFFER_BYTES || this.#isPaused) return;
    this.#isPaused = true;
    this.#transport.pause();
  }

  ended(): void {
    if (this.#exchange !== undefined) this.#reader.end();
    this.#mayReuse = false;
    if (this.#exchange !== undefined && this.#reader.isComplete) this.#complete();
    else this.#lost(undefined);
  }

  drained(): void {
    this.activeAtMs = performance.now();
    this.#upload?.hasRoom();
  }

  closed(error: Error | undefined): void {
    this.#lost(error);
  }

  timedOut(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return this.close();
    const isBody = exchange.body !== undefined;
    const { headersMs, bodyMs } = exchange.timeouts;
    const error = timedOut(exchange.message.name, isBody ? "body" : "headers", isBody ? bodyMs : headersMs);
    this.#break(error);
  }

  // --- what the reader says

  headComplete(): boolean {
    const exchange = this.#exchange;
    const { status, statusText, fields } = this.#reader;
    if (exchange === undefined) return false;
    this.#limit(exchange.timeouts.bodyMs);
    exchange.headCame(status, statusText, fields);
    return !exchange.message.isHead;
  }

  bodyBytes(bytes: Buffer, offset: number, length: number): void {
    this.#exchange?.body?.push(this.#parts.copies.copy(bytes, offset, length));
  }

  // --- what the exchange says

  giveUp(exchange: Exchange): void {
    if (exchange === this.#exchange) this.#cut();
  }

  bodyRead(): void {
    const body = this.#exchange?.body;
    this.activeAtMs = performance.now();
    if (!this.#isPaused || (body !== undefined && body.bytesNow > BODY_BUFFER_BYTES >>> 1)) return;
    this.#isPaused = false;
    this.#transport.resume();
  }

  // --- what a streamed body of the request says

  uploadGoesOn(): void {
    this.activeAtMs = performance.now();
  }

  uploadFailed(error: Error): void {
    this.#break(error);
  }

  // --- the ends

  #complete(): void {
    const exchange = this.#exchange;
    const reader = this.#reader;
    this.#exchange = undefined;
    // An answer that came before the request was whole: nobody reads the rest of that.
    if (this.#upload?.isOver === false || !reader.keepAlive) this.#mayReuse = false;
    this.#stopUpload();
    this.#resumeReceiving();
    this.#noteKeepAlive();
    exchange?.finish(reader.trailers);
    if (this.#isGone) return;
    if (!this.#mayReuse || !this.isFresh()) this.close();
    else this.#parts.owner.connectionFree(this);
  }

  /** The peer has ended, or the connection is gone. */
  #lost(error: Error | undefined): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    const hasBegun = this.#reader.hasBegun;
    const isReused = this.#sentCount > 1;
    this.#stopUpload();
    if (exchange !== undefined && !exchange.isOver) {
      const { isRepeatable, name } = exchange.message;
      // Before the pool hears that this one is gone: it may have no other, and would be forgotten.
      if (isReused && !hasBegun && isRepeatable && exchange.sendings < SENDINGS_MAX)
        this.#parts.owner.sendAgain(exchange);
      else exchange.fail(cutShort(name, exchange.body !== undefined, error));
    }
    if (this.#leave()) this.#transport.destroy();
  }

  #break(error: Error): void {
    const exchange = this.#exchange;
    this.#cut();
    exchange?.fail(error);
  }

  #cut(): void {
    this.#exchange = undefined;
    this.#stopUpload();
    if (this.#leave()) this.#transport.destroy();
  }

  #stopUpload(): void {
    const upload = this.#upload;
    this.#upload = undefined;
    upload?.stop();
  }

  /** Returns false when it was gone before. */
  #leave(): boolean {
    if (this.#isGone) return false;
    this.#isGone = true;
    this.timeout = 0;
    this.#parts.timeouts.forget(this);
    this.#reader.release();
    this.#parts.owner.connectionGone(this);
    return true;
  }

  #resumeReceiving(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#transport.resume();
  }

  #limit(timeoutMs: number): void {
    this.timeout = timeoutMs;
    this.activeAtMs = performance.now();
    if (timeoutMs > 0) this.#parts.timeouts.watch(this);
  }

  #noteKeepAlive(): void {
    // A server says the same each time.
    if (this.#sentCount > 1) return;
    const seconds = /(?:^|[,;\s])timeout=(\d{1,6})/i.exec(lookup(this.#reader.fields, 0, "keep-alive") ?? "")?.[1];
    if (seconds === undefined) return;
    this.#idleMs = Math.min(this.#parts.idleMs, Math.max(0, Number(seconds) * 1_000 - KEEP_ALIVE_MARGIN_MS));
  }
}

function* piecesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}
