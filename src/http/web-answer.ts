import type { TlsInfo } from "../tls/tls-info.js";
import { ANSWER_WHOLE, type Exchange, FLAG_CLOSE, FLAG_HAS_BODY, FLAG_OWN_TYPE } from "./exchange.js";
import type { FetchExchange } from "./fetch-exchange.js";
import { type FetchHandler, isForeignResponse, respondWithFetch, sendResponse } from "./fetch-handler.js";
import { LightResponse } from "./light-response.js";
import type { RequestBody } from "./request-body.js";
import type { Scheme } from "./request-url.js";
import type { BodySink } from "./response-body.js";
import { TYPE_NONE } from "./response-encoder.js";

/** Whether a handler of an `App` returned a web-standard Response. */
export function isResponse(value: unknown): value is Response {
  return LightResponse.isLight(value) || isForeignResponse(value);
}

/** Answers with what a web-standard handler makes of the request. */
export function respondWithHandler(exchange: Exchange, handler: FetchHandler): void {
  respondWithFetch(handler, new WebExchange(exchange));
}

/** Answers with a web-standard Response that a handler of an `App` returned. Headers that were set on the context are sent too. */
export function respondWithResponse(exchange: Exchange, response: Response): void {
  sendResponse(response, new WebExchange(exchange));
}

/** An exchange in the form that the web-standard side knows. */
class WebExchange implements FetchExchange {
  readonly #exchange: Exchange;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  get method(): string {
    return this.#exchange.method;
  }

  get requestBody(): RequestBody | undefined {
    const exchange = this.#exchange;
    return (exchange.flags & FLAG_HAS_BODY) === 0 ? undefined : exchange.owner.requestBody(exchange);
  }

  get signal(): AbortSignal {
    return this.#exchange.signal;
  }

  get remoteAddress(): string | undefined {
    return this.#exchange.remoteAddress;
  }

  get tls(): TlsInfo | undefined {
    return this.#exchange.tls;
  }

  get scheme(): Scheme {
    return this.#exchange.owner.scheme;
  }

  headText(): string {
    return this.#exchange.liveHead().text();
  }

  answer(
    status: number,
    contentType: string | undefined,
    headers: readonly string[] | undefined,
    body: string | Uint8Array | null,
  ): void {
    this.#record(status, contentType, headers);
    this.#exchange.answerKind = ANSWER_WHOLE;
    this.#exchange.answerBody = body;
    this.#exchange.owner.send(this.#exchange);
  }

  answerStream(
    status: number,
    contentType: string | undefined,
    headers: readonly string[] | undefined,
    contentLength: number,
  ): BodySink | undefined {
    this.#record(status, contentType, headers);
    return this.#exchange.owner.sendHead(this.#exchange, contentLength);
  }

  answerError(error: unknown): void {
    this.#exchange.owner.fail(this.#exchange, error);
  }

  closeAfterAnswer(): void {
    this.#exchange.flags |= FLAG_CLOSE;
  }

  #record(status: number, contentType: string | undefined, headers: readonly string[] | undefined): void {
    const exchange = this.#exchange;
    exchange.answerStatus = status;
    if (headers !== undefined && headers.length > 0)
      exchange.answerHeaders = [...(exchange.answerHeaders ?? []), ...headers];
    if ((exchange.flags & FLAG_OWN_TYPE) !== 0 || contentType === undefined) return;
    const type = exchange.owner.typeIndex(contentType);
    exchange.answerType = type < 0 ? TYPE_NONE : type;
    if (type < 0) exchange.answerHeaders = [...(exchange.answerHeaders ?? []), "content-type", contentType];
  }
}
