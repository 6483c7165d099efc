/**
 * The answer to a request, caught before it is sent: what a Response says lands in the request's context.
 *
 *     Response → pumpBody → CapturedBody (a sink; one chunk at a time) → iterated by whoever sends the context's stream
 */
import type { TlsInfo } from "../tls/tls-info.js";
import type { Context } from "./context.js";
import type { FetchExchange } from "./fetch-exchange.js";
import type { RequestBody } from "./request-body.js";
import type { Scheme } from "./request-url.js";
import type { BodySink } from "./response-body.js";
import { statusHasNoBody } from "./status.js";

/** Stands in for the connection while a Response is sent. */
export class AnswerCapture implements FetchExchange {
  /** Settles when the head is known. */
  readonly recorded: Promise<void>;
  readonly #context: Context;
  #resolve!: () => void;
  #reject!: (error: unknown) => void;

  constructor(context: Context) {
    this.#context = context;
    this.recorded = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get method(): string {
    return this.#context.method;
  }

  get requestBody(): RequestBody | undefined {
    return this.#context.request;
  }

  get signal(): AbortSignal {
    return this.#context.signal;
  }

  get remoteAddress(): string | undefined {
    return this.#context.remoteAddress;
  }

  get tls(): TlsInfo | undefined {
    return this.#context.tls;
  }

  get scheme(): Scheme {
    return this.#context.owner.scheme;
  }

  headText(): string {
    return this.#context.liveHead().text();
  }

  answer(
    status: number,
    contentType: string | undefined,
    headers: readonly string[] | undefined,
    body: string | Uint8Array | null,
  ): void {
    const typed = this.#head(status, contentType, headers);
    this.#context.body(body);
    this.#recorded(typed);
  }

  answerStream(
    status: number,
    contentType: string | undefined,
    headers: readonly string[] | undefined,
    contentLength: number,
  ): BodySink | undefined {
    const typed = this.#head(status, contentType, headers);
    if (this.#context.method === "HEAD" || statusHasNoBody(status)) {
      if (contentLength >= 0) this.#context.setHeader("content-length", contentLength);
      this.#context.body(null);
      this.#recorded(typed);
      return undefined;
    }
    const body = new CapturedBody();
    this.#context.stream(body, contentLength < 0 ? {} : { contentLength });
    this.#recorded(typed);
    return body;
  }

  answerError(error: unknown): void {
    this.#reject(error);
  }

  closeAfterAnswer(): void {
    this.#context.setHeader("connection", "close");
  }

  /** Returns whether the answer has a content type. */
  #head(status: number, contentType: string | undefined, headers: readonly string[] = []): boolean {
    const c = this.#context;
    c.status(status);
    // As they are, checked when the Response was read: what is sent without middleware, such as the Upgrade of a server behind this one, is sent with it too.
    if (headers.length > 0) c.answerHeaders = [...(c.answerHeaders ?? []), ...headers];
    if (c.getHeader("content-type") !== undefined) return true;
    if (contentType !== undefined) c.setHeader("content-type", contentType);
    return contentType !== undefined;
  }

  #recorded(typed: boolean): void {
    // A Response without a type is sent without one, not with the default of the answering method.
    if (!typed) this.#context.removeHeader("content-type");
    this.#resolve();
  }
}

/** A body that is pushed by one side and pulled by the other, one chunk at a time. */
class CapturedBody implements BodySink, AsyncIterableIterator<Uint8Array> {
  #chunk: Uint8Array | undefined;
  /** Whether the reader still uses what was written last. */
  #isHeld = false;
  #isEnded = false;
  #isAborted = false;
  #failure: { readonly error: unknown } | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;
  #abortListeners: (() => void)[] = [];

  write(bytes: Uint8Array): boolean {
    if (this.#isAborted || this.#isEnded) return true;
    this.#chunk = this.#chunk === undefined ? bytes : Buffer.concat([this.#chunk, bytes]);
    this.#isHeld = true;
    this.#wake();
    return false;
  }

  async drained(): Promise<void> {
    if (!this.#isHeld || this.#isAborted) return;
    await new Promise<void>((resolve) => {
      this.#wakeWriter = resolve;
    });
  }

  end(): void {
    this.#isEnded = true;
    this.#abortListeners = [];
    this.#wake();
  }

  fail(error: unknown): void {
    this.#failure = { error };
    this.end();
  }

  onAborted(listener: () => void): void {
    if (this.#isAborted) listener();
    else this.#abortListeners.push(listener);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The chunk is the reader's until it asks for the next one: only then may the source go on. */
  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#chunk === undefined) this.#release();
    while (this.#chunk === undefined && !this.#isEnded) {
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
    const value = this.#chunk;
    this.#chunk = undefined;
    if (value !== undefined) return { done: false, value };
    if (this.#failure !== undefined) throw this.#failure.error;
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#isAborted = true;
    this.#isEnded = true;
    this.#chunk = undefined;
    this.#wake();
    this.#release();
    const listeners = this.#abortListeners;
    this.#abortListeners = [];
    for (const listener of listeners) listener();
    return { done: true, value: undefined };
  }

  #release(): void {
    this.#isHeld = false;
    const wakeWriter = this.#wakeWriter;
    this.#wakeWriter = undefined;
    wakeWriter?.();
  }

  #wake(): void {
    const wakeReader = this.#wakeReader;
    this.#wakeReader = undefined;
    wakeReader?.();
  }
}
