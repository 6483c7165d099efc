/**
 * One request and its answer: what the connection, the handler's side (`Context`) and the encoder agree on. The connection makes one per
 * request. It is never used again, so whoever keeps it cannot reach another request; when it is over it says so.
 */
import type { RingloomError } from "../errors.js";
import type { TlsInfo } from "../tls/tls-info.js";
import type { SocketTransport, UpgradedConnection } from "../ws/transport.js";
import type { OutgoingBody } from "./outgoing-body.js";
import type { RequestBody } from "./request-body.js";
import type { RequestHead } from "./request-head.js";
import type { Scheme } from "./request-url.js";
import type { BodySink } from "./response-body.js";

/** No answer has been given yet. */
export const ANSWER_NONE = 0;
/** `answerBody` is the whole body: text, bytes, or null. */
export const ANSWER_WHOLE = 1;
/** `answerBody` is a source of pieces. */
export const ANSWER_STREAM = 2;
/** `answerBody` is an {@link Upgrade}. */
export const ANSWER_UPGRADE = 3;

/** The handler may answer. */
export const STATE_OPEN = 0;
/** The head of the answer has left, its body is on the way. */
export const STATE_ANSWERING = 1;
/** The answer is complete. */
export const STATE_ANSWERED = 2;
/** The connection ended first, or the server answered in the handler's place. */
export const STATE_ABORTED = 3;

/** The client keeps the connection open after the answer. */
export const FLAG_KEEP_ALIVE = 1;
/** The client speaks HTTP/1.0. */
export const FLAG_HTTP_10 = 2;
/** The client waits for `100 Continue`, which has not been sent. */
export const FLAG_EXPECTS_CONTINUE = 4;
/** The request has a body. */
export const FLAG_HAS_BODY = 8;
/** The handler asked that the connection end with its answer. */
export const FLAG_CLOSE = 16;
/** The answer to a failure is being made: a second failure is answered without the program. */
export const FLAG_FAILED = 32;
/** The program set the content type. */
export const FLAG_OWN_TYPE = 64;
/** The peer half-closed: it may be gone. */
export const FLAG_PEER_ENDED = 128;
/** A program that frames HTTP by itself answers: it takes the connection through {@link ExchangeOwner.sendRaw}. */
export const FLAG_HANDED_OVER = 256;

/** A protocol that takes the connection over, behind an answer with status 101. */
export interface Upgrade {
  /** The fields of the answer that belong to the protocol, name after value. */
  readonly headers: readonly string[];
  /** The answer is queued: who gets what arrives from now on. */
  start(slot: number, transport: SocketTransport): UpgradedConnection;
}

/** What few requests need, in an object of its own so that the others are small. */
export class ExchangeExtras {
  abort: AbortController | undefined = undefined;
  body: RequestBody | undefined = undefined;
  outgoing: OutgoingBody | undefined = undefined;
  locals: Record<string, unknown> | undefined = undefined;
  /** Content-Length that the handler set as a header, or -1. It counts for streams, and for HEAD without a body. */
  contentLength = -1;
  /** The length that came with the stream, or -1. */
  streamLength = -1;
  trailers: (() => readonly string[] | undefined) | undefined = undefined;
  /** Whether the connection ends after the streamed body. */
  closeAfter = false;
  /** Target of a request that was handed over: its middleware may fail when the head is gone, and the log should still name it. */
  target: string | undefined = undefined;
  /** Fields of every answer, that to a failure too: flat, name after value, checked. */
  lastingHeaders: string[] | undefined = undefined;
  /** Value of Allow for a 405. */
  allow: string | undefined = undefined;

  /** Forgets what was set for an answer that will not be sent. */
  forgetAnswer(): void {
    this.contentLength = -1;
    this.streamLength = -1;
    this.trailers = undefined;
  }
}

/** The connection, as an exchange sees it. */
export interface ExchangeOwner {
  /** Of the URLs of its requests. */
  readonly scheme: Scheme;
  requestBody(exchange: Exchange): RequestBody;
  remoteAddress(slot: number): string | undefined;
  tlsInfo(slot: number): TlsInfo | undefined;
  /** Sends the recorded answer. */
  send(exchange: Exchange): void;
  /** Sends the recorded head; undefined when no body may follow or the connection is gone. */
  sendHead(exchange: Exchange, contentLength: number): BodySink | undefined;
  /** Begins an answer whose bytes, its head included, are framed already; undefined when the connection is gone. */
  sendRaw(exchange: Exchange): BodySink | undefined;
  /** Cuts the connection under an answer that was begun with {@link sendRaw}, or never will be. */
  cutRaw(exchange: Exchange): void;
  /** The program that answers through {@link sendRaw} failed after it had begun: reports `error`, and cuts the connection unless the answer is complete. */
  failRaw(exchange: Exchange, error: unknown): void;
  /** Whether the connection has to end after the answer. */
  mustClose(exchange: Exchange): boolean;
  fail(exchange: Exchange, error: unknown): void;
  /** An answer came after the end. */
  countLate(): void;
  typeIndex(contentType: string): number;
  /** The content type that has an index. */
  typeText(index: number): string | undefined;
}

/**
 * One request and its answer, as the server's side sees it; `Context` is the class. There is one class and no base class, because V8 11 (Node 20) does not
 * inline the constructor of a derived one, which cost a tenth of what a small request takes in user space.
 */
export interface Exchange {
  readonly owner: ExchangeOwner;
  readonly slot: number;
  /** llhttp's number of the method. */
  readonly methodNumber: number;
  /** Undefined when the request is over. */
  head: RequestHead | undefined;
  state: number;
  flags: number;
  answerStatus: number;
  answerKind: number;
  /** Index of the content type in the encoder. */
  answerType: number;
  /** Flat, name after value, checked. */
  answerHeaders: string[] | undefined;
  answerBody: unknown;
  extras: ExchangeExtras | undefined;

  /** Request method in upper case. */
  readonly method: string;
  readonly signal: AbortSignal;
  readonly remoteAddress: string | undefined;
  readonly tls: TlsInfo | undefined;
  readonly isHead: boolean;
  /** The extras, made when they are first needed. */
  more(): ExchangeExtras;
  /** The head while the request lasts. Throws when it is over. */
  liveHead(): RequestHead;
  /** The error of whoever uses the request when it is over. */
  over(): RingloomError;
}
