/**
 * One request and its answer: what `Context` (the router's side) and `FetchContext` (the web-standard side) share. The connection makes
 * one per request. It is never used again, so whoever keeps it cannot reach another request; when it is over it says so.
 */
import { RingloomError } from "../errors.js";
import { clientGone } from "./client-gone.js";
import { METHOD_HEAD, METHOD_NAMES } from "./methods.js";
import type { OutgoingBody } from "./outgoing-body.js";
import type { RequestBody } from "./request-body.js";
import type { RequestHead } from "./request-head.js";
import type { BodySink } from "./response-body.js";
import { TYPE_NONE } from "./response-encoder.js";

/** No answer has been given yet. */
export const ANSWER_NONE = 0;
/** `answerBody` is the whole body: text, bytes, or null. */
export const ANSWER_WHOLE = 1;
/** `answerBody` is a source of pieces. */
export const ANSWER_STREAM = 2;

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
  requestBody(exchange: Exchange): RequestBody;
  remoteAddress(slot: number): string | undefined;
  /** Sends the recorded answer. */
  send(exchange: Exchange): void;
  /** Sends the recorded head; undefined when no body may follow or the connection is gone. */
  sendHead(exchange: Exchange, contentLength: number): BodySink | undefined;
  fail(exchange: Exchange, error: unknown): void;
  /** An answer came after the end. */
  countLate(): void;
  typeIndex(contentType: string): number;
}

/** One request and its answer. */
export abstract class Exchange {
  /** @internal */
  readonly owner: ExchangeOwner;
  /** @internal */
  readonly slot: number;
  /** llhttp's number of the method. @internal */
  readonly methodNumber: number;
  /** Undefined when the request is over. @internal */
  head: RequestHead | undefined;
  /** @internal */
  state = STATE_OPEN;
  /** @internal */
  flags: number;
  /** @internal */
  answerStatus = 200;
  /** @internal */
  answerKind = ANSWER_NONE;
  /** Index of the content type in the encoder. @internal */
  answerType = TYPE_NONE;
  /** Flat, name after value, checked. @internal */
  answerHeaders: string[] | undefined = undefined;
  /** @internal */
  answerBody: unknown = null;
  /** @internal */
  extras: ExchangeExtras | undefined = undefined;

  constructor(owner: ExchangeOwner, slot: number, head: RequestHead, flags: number) {
    this.owner = owner;
    this.slot = slot;
    this.methodNumber = head.method;
    this.head = head;
    this.flags = flags;
  }

  /** Request method in upper case. */
  get method(): string {
    return METHOD_NAMES[this.methodNumber]!;
  }

  /** Aborted when the client goes before the answer is complete. Made when it is first read. */
  get signal(): AbortSignal {
    const extras = this.more();
    if (extras.abort === undefined) {
      extras.abort = new AbortController();
      if (this.state === STATE_ABORTED || (this.flags & FLAG_PEER_ENDED) !== 0) extras.abort.abort(clientGone());
    }
    return extras.abort.signal;
  }

  /** The client's IP address, or undefined when it is not known any more. */
  get remoteAddress(): string | undefined {
    return this.state >= STATE_ANSWERED ? undefined : this.owner.remoteAddress(this.slot);
  }

  /** @internal */
  get isHead(): boolean {
    return this.methodNumber === METHOD_HEAD;
  }

  /** @internal */
  more(): ExchangeExtras {
    return (this.extras ??= new ExchangeExtras());
  }

  /** The head while the request lasts. Throws when it is over. @internal */
  liveHead(): RequestHead {
    const { head } = this;
    if (head === undefined) throw this.over();
    return head;
  }

  /** @internal */
  over(): RingloomError {
    return this.state === STATE_ABORTED
      ? new RingloomError("ERR_RINGLOOM_ABORTED", "Cannot use the request: its connection is gone")
      : new RingloomError("ERR_RINGLOOM_ALREADY_ANSWERED", "Cannot use the request: it has been answered");
  }
}
