/** The web-standard way to handle requests: `fetch(Request)` gives a `Response`. Whatever has that form runs here unchanged, Hono among others. */
import type { TlsInfo } from "../tls/tls-info.js";
import type { FetchExchange } from "./fetch-exchange.js";
import { LightRequest } from "./light-request.js";
import { LightResponse, sendLightResponse } from "./light-response.js";
import { sendForeignResponse } from "./send-response.js";
import { describeValue, isThenable } from "./values.js";

/**
 * What a handler learns about a request beyond the Request itself: its second argument (`c.env` in Hono).
 * @experimental
 */
export interface FetchInfo {
  /** The client's IP address, or undefined when it is not known any more. */
  readonly remoteAddress: string | undefined;
  /** How the connection is encrypted, and whose certificate the client has shown; undefined for a plain connection, and for one that is gone. */
  readonly tls?: TlsInfo | undefined;
}

/**
 * A web-standard handler.
 * @experimental
 */
export interface FetchHandler {
  /** Answers one request. What it throws or rejects with becomes the answer 500, or the status that the error carries. */
  fetch(request: Request, info: FetchInfo): Response | Promise<Response>;
}

/** Whether `value` is a handler of the `fetch` form. */
export function isFetchHandler(value: unknown): value is FetchHandler {
  return (
    (typeof value === "object" || typeof value === "function") &&
    value !== null &&
    "fetch" in value &&
    typeof value.fetch === "function"
  );
}

/**
 * Has `handler` answer the request of `exchange`. Returns when the handler returned; a Promise is waited for, and a body
 * sent, in the background. Never throws: each way to fail ends in `exchange.answerError`.
 */
export function respondWithFetch(handler: FetchHandler, exchange: FetchExchange): void {
  let result: unknown;
  try {
    result = handler.fetch(new LightRequest(exchange) as unknown as Request, new RequestInfo(exchange));
  } catch (error) {
    exchange.answerError(error);
    return;
  }
  if (LightResponse.isLight(result)) {
    sendLightResponse(result, exchange);
  } else if (isThenable(result)) {
    result.then(
      (response) => sendResponse(response, exchange),
      (error) => exchange.answerError(error),
    );
  } else {
    sendResponse(result, exchange);
  }
}

class RequestInfo implements FetchInfo {
  readonly #exchange: FetchExchange;

  constructor(exchange: FetchExchange) {
    this.#exchange = exchange;
  }

  get remoteAddress(): string | undefined {
    return this.#exchange.remoteAddress;
  }

  get tls(): TlsInfo | undefined {
    return this.#exchange.tls;
  }
}

/** Sends what a handler returned, whatever it is: all but a Response ends in `exchange.answerError`. */
export function sendResponse(response: unknown, exchange: FetchExchange): void {
  if (LightResponse.isLight(response)) sendLightResponse(response, exchange);
  else if (isForeignResponse(response)) void sendForeignResponse(response, exchange);
  else
    exchange.answerError(
      new TypeError(`Cannot answer: the fetch handler returned ${describeValue(response)}, not a Response`),
    );
}

/** Whether a value is Node's own Response, or one of a package (undici from npm), which is no instance of it. */
export function isForeignResponse(value: unknown): value is Response {
  if (value instanceof Response) return true;
  return (
    typeof value === "object" && value !== null && "status" in value && "headers" in value && "arrayBuffer" in value
  );
}
