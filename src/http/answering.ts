/**
 * From a dispatched request to its committed answer: runs the handler, takes what it gives (at once, later, as a stream, as an error, not
 * at all) and has it encoded. It knows nothing of phases or parsing; the connection tells it what the answer may be like.
 */
import { assert } from "../assert.js";
import type { TlsInfo } from "../tls/tls-info.js";
import type { App } from "./app.js";
import { Context } from "./context.js";
import { runInRequestContext } from "./diagnostics.js";
import {
  ANSWER_NONE,
  ANSWER_STREAM,
  ANSWER_UPGRADE,
  ANSWER_WHOLE,
  type Exchange,
  type ExchangeOwner,
  FLAG_CLOSE,
  FLAG_FAILED,
  FLAG_HANDED_OVER,
  FLAG_HTTP_10,
  FLAG_OWN_TYPE,
  STATE_ABORTED,
  STATE_ANSWERED,
  STATE_ANSWERING,
  STATE_OPEN,
  type Upgrade,
} from "./exchange.js";
import type { FetchHandler } from "./fetch-handler.js";
import { HttpError } from "./http-error.js";
import { letGo } from "./let-go.js";
import type { Log } from "./log.js";
import { METHOD_NAMES } from "./methods.js";
import { OutgoingBody, type OutgoingOwner } from "./outgoing-body.js";
import type { RequestBody } from "./request-body.js";
import type { RequestHead } from "./request-head.js";
import type { Scheme } from "./request-url.js";
import { type BodySink, type ChunkReader, isBodySource, pumpChunks, readerOf } from "./response-body.js";
import {
  CONNECTION_CLOSE,
  CONNECTION_DEFAULT,
  CONNECTION_KEEP,
  LENGTH_CHUNKED,
  LENGTH_UNTIL_CLOSE,
  NO_ROOM,
  type ResponseEncoder,
  TOO_LARGE,
  TYPE_NONE,
  TYPE_TEXT,
} from "./response-encoder.js";
import type { HttpStats } from "./stats.js";
import { reasonPhrase, statusHasNoBody } from "./status.js";
import { describeValue, isThenable } from "./values.js";
import { isResponse, respondWithHandler, respondWithResponse } from "./web-answer.js";

/** The connections, as answering sees them. */
export interface ConnectionControl {
  /** Whether the connection has to end after the answer of `exchange`. */
  mustClose(exchange: Exchange): boolean;
  /** The answer is not complete when this turn ends: keep the exchange. Returns false when its head cannot be kept. */
  keep(exchange: Exchange, keepHead: boolean): boolean;
  /** Bytes were committed for a slot. */
  committed(slot: number, count: number): void;
  queuedBytes(slot: number): number;
  /** The last byte of the answer was committed. */
  completed(exchange: Exchange, close: boolean): void;
  /** The answer 101 was committed: the connection belongs to another protocol. */
  upgraded(exchange: Exchange, upgrade: Upgrade): void;
  /** Cut the connection: what was sent so far is not a whole answer. */
  cut(exchange: Exchange): void;
  wantDrained(slot: number): void;
  starved(slot: number): void;
  requestBody(exchange: Exchange): RequestBody;
  remoteAddress(slot: number): string | undefined;
  tlsInfo(slot: number): TlsInfo | undefined;
}

/** What {@link Answering} is made of. */
export interface AnsweringOptions {
  readonly control: ConnectionControl;
  readonly encoder: ResponseEncoder;
  readonly stats: HttpStats;
  readonly log: Log;
  readonly queuedBytesMax: number;
  readonly scheme: Scheme;
  /** One of the two. */
  readonly app: App | undefined;
  readonly fetchHandler: FetchHandler | undefined;
}

/** Runs handlers and sends what they answer. One per server. */
export class Answering implements ExchangeOwner, OutgoingOwner {
  readonly scheme: Scheme;
  readonly #control: ConnectionControl;
  readonly #encoder: ResponseEncoder;
  readonly #stats: HttpStats;
  readonly #log: Log;
  readonly #queuedBytesMax: number;
  readonly #app: App | undefined;
  /** Runs the handler for the request that is being dispatched. */
  readonly #handle: () => void;
  #starting!: Context;

  constructor(options: AnsweringOptions) {
    this.scheme = options.scheme;
    this.#control = options.control;
    this.#encoder = options.encoder;
    this.#stats = options.stats;
    this.#log = options.log;
    this.#queuedBytesMax = options.queuedBytesMax;
    const { app, fetchHandler } = options;
    this.#app = app;
    assert((app === undefined) !== (fetchHandler === undefined), "a server has an app or a fetch handler");
    this.#handle =
      app !== undefined ? () => this.#runApp(app, this.#starting) : () => this.#runFetch(fetchHandler!, this.#starting);
  }

  /** Runs the handler for a request, in an async context of its own. Never throws. */
  run(slot: number, head: RequestHead, flags: number): void {
    const c = new Context(this, slot, head, flags);
    this.#starting = c;
    runInRequestContext(c, this.#handle);
  }

  #runApp(app: App, c: Context): void {
    let result: unknown;
    try {
      result = app.handle(c);
    } catch (error) {
      this.fail(c, error);
      return;
    }
    if (result === c && c.answerKind === ANSWER_WHOLE) this.send(c);
    else this.#settle(c, result);
  }

  #runFetch(handler: FetchHandler, c: Context): void {
    respondWithHandler(c, handler);
    // Its head was taken as text, so only the exchange has to be kept.
    if (c.state === STATE_OPEN) this.#control.keep(c, false);
  }

  /** Takes what a handler returned. */
  #settle(c: Context, result: unknown): void {
    if ((c.flags & FLAG_HANDED_OVER) !== 0) {
      // It answers by itself, or has; asynchronous middleware around it may still fail.
      if (isThenable(result)) result.then(undefined, (error: unknown) => this.fail(c, error));
      if (c.state === STATE_OPEN && !this.#control.keep(c, false)) this.#overload(c);
      return;
    }
    if (isThenable(result)) {
      // A thenable of unknown make may call back at once, inside the parser; a promise never does.
      const promise = result instanceof Promise ? result : Promise.resolve(result);
      promise.then(
        (value: unknown) => this.#settleLater(c, value),
        (error: unknown) => this.fail(c, error),
      );
      // Where its head finds no room the request ends here, and what the promise comes to is late; it must not go unhandled.
      if (!this.#control.keep(c, true)) this.#overload(c);
      return;
    }
    if (c.answerKind !== ANSWER_NONE) this.send(c);
    else if (isResponse(result)) this.#respond(c, result);
    else
      this.fail(
        c,
        new TypeError(`The handler of ${c.method} ${c.path} answered nothing: it returned ${describeValue(result)}`),
      );
  }

  #respond(c: Context, response: Response): void {
    respondWithResponse(c, response);
    // A Response that another implementation made is read first, so that the requests behind this one have to wait.
    if (c.state === STATE_OPEN && !this.#control.keep(c, true)) this.#overload(c);
  }

  #settleLater(c: Context, value: unknown): void {
    if ((c.flags & FLAG_HANDED_OVER) !== 0) return;
    if (c.state !== STATE_OPEN) this.#dropLate(c);
    else this.#settle(c, isThenable(value) ? undefined : value);
  }

  send(exchange: Exchange): void {
    if (exchange.state !== STATE_OPEN) {
      this.#dropLate(exchange);
      return;
    }
    if (exchange.answerKind === ANSWER_STREAM) this.#sendStream(exchange);
    else if (exchange.answerKind === ANSWER_UPGRADE) this.#sendUpgrade(exchange, exchange.answerBody as Upgrade);
    else this.#sendWhole(exchange);
  }

  #dropLate(exchange: Exchange): void {
    this.countLate();
    if (exchange.answerKind === ANSWER_STREAM) letGo(exchange.answerBody);
  }

  #sendWhole(exchange: Exchange): void {
    const control = this.#control;
    const close = control.mustClose(exchange);
    const connection = close
      ? CONNECTION_CLOSE
      : (exchange.flags & FLAG_HTTP_10) === 0
        ? CONNECTION_DEFAULT
        : CONNECTION_KEEP;
    const body = exchange.answerBody as string | Uint8Array | null;
    if (body === null && exchange.isHead && (exchange.extras?.contentLength ?? -1) >= 0) {
      // A handler may tell HEAD how long the body would be without having it (RFC 9110, section 8.6).
      this.sendHead(exchange, exchange.extras?.contentLength ?? 0);
      return;
    }
    const { slot, answerStatus, answerType, answerHeaders } = exchange;
    const written = this.#encoder.whole(
      slot,
      answerStatus,
      connection,
      answerType,
      answerHeaders,
      body,
      exchange.isHead,
    );
    if (written > 0) {
      control.committed(slot, written);
      control.completed(exchange, close);
    } else if (written === TOO_LARGE) {
      this.#sendLarge(exchange, body ?? "");
    } else {
      this.#overload(exchange);
    }
  }

  /** A body of more than one write block: it leaves in pieces, as the peer takes them. */
  #sendLarge(exchange: Exchange, body: string | Uint8Array): void {
    const bytes = typeof body === "string" ? Buffer.from(body, "utf8") : body;
    const sink = this.sendHead(exchange, bytes.length);
    if (sink === undefined) return;
    sink.write(bytes);
    sink.end();
  }

  /** RFC 9110, section 15.2.2. A connection that has to end is not handed over. */
  #sendUpgrade(exchange: Exchange, upgrade: Upgrade): void {
    const control = this.#control;
    if (control.mustClose(exchange)) {
      this.#overload(exchange);
      return;
    }
    const written = this.#encoder.switching(exchange.slot, upgrade.headers, exchange.answerHeaders);
    if (written < 0) {
      this.#overload(exchange);
      return;
    }
    control.committed(exchange.slot, written);
    control.upgraded(exchange, upgrade);
  }

  #sendStream(exchange: Exchange): void {
    const source = exchange.answerBody;
    if (!isBodySource(source)) {
      this.fail(exchange, new TypeError(`Cannot answer with a stream: ${describeValue(source)} is none`));
      return;
    }
    let reader: ChunkReader;
    try {
      reader = readerOf(source);
    } catch (error) {
      // Nothing has left yet, so a source that cannot be read is answered like a handler that throws.
      this.fail(exchange, error);
      return;
    }
    // The source may look at the request while it runs.
    if (!this.#control.keep(exchange, true)) {
      reader.cancel(undefined);
      this.#overload(exchange);
      return;
    }
    const { contentLength, streamLength } = exchange.more();
    const length = streamLength >= 0 ? streamLength : contentLength;
    reader.begin?.();
    const sink = this.sendHead(exchange, length);
    if (sink === undefined) reader.cancel(undefined);
    else void pumpChunks(reader, sink, { contentLength: length, trailers: () => exchange.extras?.trailers?.() });
  }

  sendHead(exchange: Exchange, contentLength: number): BodySink | undefined {
    if (exchange.state !== STATE_OPEN) {
      this.countLate();
      return undefined;
    }
    const isHttp10 = (exchange.flags & FLAG_HTTP_10) !== 0;
    const hasNoBody = statusHasNoBody(exchange.answerStatus);
    // HTTP/1.0 knows no chunked coding: the end of the connection is the end of the body (RFC 9112, section 6.3).
    const isUntilClose = contentLength < 0 && isHttp10 && !hasNoBody;
    const close = this.#control.mustClose(exchange) || isUntilClose;
    const connection = close ? CONNECTION_CLOSE : isHttp10 ? CONNECTION_KEEP : CONNECTION_DEFAULT;
    const length = hasNoBody || isUntilClose ? LENGTH_UNTIL_CLOSE : contentLength < 0 ? LENGTH_CHUNKED : contentLength;
    const { slot, answerStatus, answerHeaders } = exchange;
    const type = answerStatus === 204 ? TYPE_NONE : exchange.answerType;
    const written = this.#encoder.head(slot, answerStatus, connection, type, answerHeaders, length);
    if (written === NO_ROOM) {
      this.#overload(exchange);
      return undefined;
    }
    if (written === TOO_LARGE) {
      this.fail(exchange, new RangeError("Cannot answer: the header fields are longer than 64 KiB"));
      return undefined;
    }
    this.#control.committed(slot, written);
    if (hasNoBody || exchange.isHead) {
      this.#control.completed(exchange, close);
      return undefined;
    }
    return this.#startBody(exchange, length === LENGTH_CHUNKED, close);
  }

  sendRaw(exchange: Exchange): BodySink | undefined {
    if (exchange.state !== STATE_OPEN) return undefined;
    return this.#startBody(exchange, false, false);
  }

  cutRaw(exchange: Exchange): void {
    if (exchange.state < STATE_ANSWERED) this.#control.cut(exchange);
  }

  failRaw(exchange: Exchange, error: unknown): void {
    this.#countFailure(exchange, error, 500);
    this.cutRaw(exchange);
  }

  mustClose(exchange: Exchange): boolean {
    return this.#control.mustClose(exchange);
  }

  #startBody(exchange: Exchange, chunked: boolean, close: boolean): OutgoingBody {
    this.#control.keep(exchange, false);
    exchange.state = STATE_ANSWERING;
    const extras = exchange.more();
    extras.closeAfter = close;
    extras.outgoing = new OutgoingBody(this, this.#encoder, {
      slot: exchange.slot,
      exchange,
      chunked,
      highWaterBytes: this.#queuedBytesMax,
    });
    return extras.outgoing;
  }

  fail(exchange: Exchange, error: unknown): void {
    if (exchange.state !== STATE_OPEN) {
      // A handler that gives up because its request was aborted is no late answer. What it had recorded before that is not sent any more.
      if (exchange.state === STATE_ABORTED) {
        const isUnsent = exchange.extras?.outgoing === undefined;
        if (isUnsent && exchange.answerKind === ANSWER_STREAM) letGo(exchange.answerBody);
        return;
      }
      // Middleware around a program that answers by itself: the answer is none of its business, but nobody else would tell of the failure.
      if ((exchange.flags & FLAG_HANDED_OVER) !== 0) this.#countFailure(exchange, error, 500);
      else this.countLate();
      return;
    }
    const status = error instanceof HttpError ? error.status : 500;
    if ((exchange.flags & FLAG_FAILED) === 0) this.#countFailure(exchange, error, status);
    const hook = this.#app?.errorHandler;
    if (exchange.answerKind === ANSWER_STREAM) letGo(exchange.answerBody);
    exchange.answerKind = ANSWER_NONE;
    exchange.answerBody = null;
    const lasting = exchange.extras?.lastingHeaders;
    exchange.answerHeaders = lasting === undefined ? undefined : [...lasting];
    exchange.answerType = TYPE_NONE;
    exchange.answerStatus = 200;
    const isFirst = (exchange.flags & FLAG_FAILED) === 0;
    exchange.flags = (exchange.flags | FLAG_FAILED) & ~(FLAG_OWN_TYPE | FLAG_CLOSE | FLAG_HANDED_OVER);
    exchange.extras?.forgetAnswer();
    if (hook === undefined || !isFirst) {
      this.#sendError(exchange, error, status);
      return;
    }
    assert(exchange instanceof Context, "an exchange is a context");
    let result: unknown;
    try {
      result = hook(error, exchange);
    } catch (hookError) {
      this.#log({
        level: "error",
        message: "The onError hook failed",
        error: hookError,
        request: requestLine(exchange),
      });
      this.#sendError(exchange, hookError, 500);
      return;
    }
    this.#settle(exchange, result);
  }

  /** The answer to a failure that no hook took. The message of a 5xx stays inside. */
  #sendError(exchange: Exchange, error: unknown, status: number): void {
    const isPublic = status < 500 && error instanceof Error;
    exchange.answerStatus = status;
    exchange.answerType = TYPE_TEXT;
    exchange.answerKind = ANSWER_WHOLE;
    exchange.answerBody = `${isPublic ? error.message : reasonPhrase(status)}\n`;
    if (status === 503) (exchange.answerHeaders ??= []).push("retry-after", "1");
    this.send(exchange);
  }

  #countFailure(exchange: Exchange, error: unknown, status: number): void {
    if (status === 413) this.#stats.bodyOverflows += 1;
    else if (status === 503) this.#stats.overloads += 1;
    if (status < 500 || status === 503) return;
    this.#stats.handlerErrors += 1;
    this.#log({ level: "error", message: "A handler failed", error, request: requestLine(exchange) });
  }

  /** The write pool, or the pool of heads, has no room: a short 503 may still fit, else the connection is cut. */
  #overload(exchange: Exchange): void {
    this.#stats.overloads += 1;
    const written = this.#encoder.whole(
      exchange.slot,
      503,
      CONNECTION_CLOSE,
      TYPE_TEXT,
      ["retry-after", "1"],
      `${reasonPhrase(503)}\n`,
      exchange.isHead,
    );
    if (written === NO_ROOM) {
      this.#stats.writePoolExhausted += 1;
      this.#control.cut(exchange);
      return;
    }
    exchange.answerStatus = 503;
    this.#control.committed(exchange.slot, written);
    this.#control.completed(exchange, true);
  }

  /** Answers in the handler's place, with a short text, and says that the connection closes. */
  refuse(slot: number, status: number, isHead: boolean): void {
    const headers = status === 503 ? ["retry-after", "1"] : undefined;
    const body = `${reasonPhrase(status)}\n`;
    const written = this.#encoder.whole(slot, status, CONNECTION_CLOSE, TYPE_TEXT, headers, body, isHead);
    if (written > 0) {
      this.#control.committed(slot, written);
      this.#stats.countAnswer(status);
    } else {
      this.#stats.writePoolExhausted += 1;
    }
  }

  queuedBytes(slot: number): number {
    return this.#control.queuedBytes(slot);
  }

  committed(slot: number, count: number): void {
    this.#control.committed(slot, count);
  }

  wantDrained(slot: number): void {
    this.#control.wantDrained(slot);
  }

  starved(slot: number): void {
    this.#stats.writePoolExhausted += 1;
    this.#control.starved(slot);
  }

  outgoingEnded(body: OutgoingBody): void {
    const exchange = body.exchange as Exchange;
    this.#control.completed(exchange, exchange.extras?.closeAfter === true);
  }

  outgoingFailed(body: OutgoingBody, error: unknown): void {
    const exchange = body.exchange as Exchange;
    this.#stats.responseStreamErrors += 1;
    this.#log({ level: "error", message: "The stream of an answer failed", error, request: requestLine(exchange) });
    this.#control.cut(exchange);
  }

  requestBody(exchange: Exchange): RequestBody {
    return this.#control.requestBody(exchange);
  }

  remoteAddress(slot: number): string | undefined {
    return this.#control.remoteAddress(slot);
  }

  tlsInfo(slot: number): TlsInfo | undefined {
    return this.#control.tlsInfo(slot);
  }

  countLate(): void {
    this.#stats.lateAnswers += 1;
  }

  typeIndex(contentType: string): number {
    return this.#encoder.typeIndex(contentType);
  }

  typeText(index: number): string | undefined {
    return this.#encoder.typeText(index);
  }
}

function requestLine(exchange: Exchange): string {
  const method = METHOD_NAMES[exchange.methodNumber] ?? "";
  const path = exchange.head?.path() ?? exchange.extras?.target?.split("?", 1)[0];
  return path === undefined ? method : `${method} ${path}`;
}
