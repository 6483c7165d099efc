import type { TlsInfo } from "../tls/tls-info.js";
import type { RequestBody } from "./request-body.js";
import type { Scheme } from "./request-url.js";
import type { BodySink } from "./response-body.js";

/**
 * One request and its answer, as the connection shows them to the `fetch` adapter. Exactly one of the three `answer…` methods is
 * called, once. When the connection is gone by then, each of them does nothing (`answerStream` returns undefined).
 */
export interface FetchExchange {
  /** Request method in upper case. */
  readonly method: string;
  /** The body, or undefined when the request has none. */
  readonly requestBody: RequestBody | undefined;
  /** Aborted when the client goes before the answer is complete. Made when it is first read. */
  readonly signal: AbortSignal;
  /** The client's IP address, or undefined when it is not known any more. */
  readonly remoteAddress: string | undefined;
  /** How the connection is encrypted; undefined for a plain one, and for one that is gone. */
  readonly tls?: TlsInfo | undefined;
  /** Of the request's URL. Default: `http`. */
  readonly scheme?: Scheme | undefined;

  /**
   * The head from its request target on, one latin-1 character a byte, up to the end of the last header value:
   * `/hello/ada HTTP/1.1\r\nHost: a\r\nAccept: text/html`. A head that arrived whole is one slice of the receive memory; one
   * that did not is put together in this form. Called once, before the handler runs, so that a `Request` that a program keeps
   * stays readable after its connection has gone on to the next one.
   */
  headText(): string;

  /**
   * The whole answer at once. `headers` is flat, name after value; names and values are valid, and `content-type`, `content-length`,
   * `connection`, `transfer-encoding` and `keep-alive` are not among them. A null body means a length of 0, except where the
   * status or HEAD forbids a body; for HEAD, the length of `body` is announced and nothing of it is sent.
   */
  answer(
    status: number,
    contentType: string | undefined,
    headers: readonly string[] | undefined,
    body: string | Uint8Array | null,
  ): void;

  /**
   * The head of an answer whose body follows. `contentLength` is -1 when it is not known. Returns undefined when no body may be sent
   * (HEAD, 204, 304): the answer is then complete.
   */
  answerStream(
    status: number,
    contentType: string | undefined,
    headers: readonly string[] | undefined,
    contentLength: number,
  ): BodySink | undefined;

  /** The answer to what a handler threw or rejected with: the same `onError` hook and log as for an `App`, else 500. */
  answerError(error: unknown): void;

  /** Asks that the connection be closed after this answer (`Connection: close`). Called before `answer` or `answerStream`. */
  closeAfterAnswer(): void;
}
