/**
 * One request and its response, from the moment it waits for a connection until the last byte of the body. Whatever ends it (the response, the connection, a signal, a
 * time limit, the reader) ends it once.
 */
import { AsyncResource } from "node:async_hooks";
import { letGo } from "../http/let-go.js";
import { onAbort } from "../scheduler/abort-listeners.js";
import { aborted, type Phase, timedOut } from "./client-errors.js";
import type { Timeouts } from "./client-options.js";
import type { EncodedMessage } from "./message.js";
import { RawBody, type RawBodyOwner } from "./raw-body.js";
import type { ResponseParts } from "./response.js";

/** Where an exchange is: waiting for a connection, or on one. */
export interface ExchangeHolder {
  /** The exchange was given up, and tells why by itself. */
  giveUp(exchange: Exchange): void;
  /** Its body has room again. */
  bodyRead(): void;
}

/** How an exchange is limited. */
export interface ExchangeLimits {
  readonly timeouts: Timeouts;
  readonly signal: AbortSignal | undefined;
  /** What is left of `totalMs`; 0 is for ever. */
  readonly remainingMs: number;
}

/** See the top of the file. */
export class Exchange implements RawBodyOwner {
  readonly message: EncodedMessage;
  readonly timeouts: Timeouts;
  /** Settles with the head of the response. */
  readonly answered: Promise<ResponseParts>;
  /** How often it was sent. */
  sendings = 0;
  /** Whether it is over: nothing that happens changes anything any more. */
  isOver = false;
  readonly #onOver: (failed: boolean) => void;
  #resolve: ((parts: ResponseParts) => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;
  #holder: ExchangeHolder | undefined;
  #body: RawBody | undefined;
  #forgetSignal: (() => void) | undefined;
  #totalTimer: NodeJS.Timeout | undefined;
  #connectTimer: NodeJS.Timeout | undefined;
  #trailers: readonly string[] = [];
  readonly #context: AsyncResource | undefined;

  constructor(message: EncodedMessage, limits: ExchangeLimits, onOver: (failed: boolean) => void) {
    this.message = message;
    this.timeouts = limits.timeouts;
    this.#onOver = onOver;
    // Another request's end may make the connection free for it; its source runs in its own context all the same.
    const isStream = message.body !== undefined && !(message.body instanceof Uint8Array);
    this.#context = isStream ? new AsyncResource("RINGLOOM_REQUEST") : undefined;
    this.answered = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const { signal, remainingMs, timeouts } = limits;
    if (signal !== undefined)
      this.#forgetSignal = onAbort(signal, () => this.giveUp(aborted(message.name, signal.reason)));
    if (remainingMs > 0)
      this.#totalTimer = setTimeout(() => this.#timeOut("total", timeouts.totalMs), Math.ceil(remainingMs));
  }

  /** The body of the response, once its head is there. */
  get body(): RawBody | undefined {
    return this.#body;
  }

  /** Who has it now. */
  heldBy(holder: ExchangeHolder): void {
    this.#holder = holder;
  }

  /** Runs `work` in the context of the request. */
  within(work: () => void): void {
    if (this.#context === undefined) work();
    else this.#context.runInAsyncScope(work);
  }

  /** It has to wait for a connection. */
  beginWaiting(): void {
    const { connectMs } = this.timeouts;
    if (connectMs > 0 && this.#connectTimer === undefined)
      this.#connectTimer = setTimeout(() => this.#timeOut("connect", connectMs), connectMs);
  }

  /** It has a connection. */
  endWaiting(): void {
    if (this.#connectTimer !== undefined) clearTimeout(this.#connectTimer);
    this.#connectTimer = undefined;
  }

  /** The head of the response has come. Returns its body, to be filled. */
  headCame(status: number, statusText: string, fields: string): RawBody {
    const body = new RawBody(this);
    this.#body = body;
    const request = this.message.name;
    this.#resolve?.({ request, status, statusText, fields, body, trailers: () => this.#trailers });
    return body;
  }

  /** The response is whole. */
  finish(trailers: readonly string[]): void {
    if (this.isOver) return;
    this.#trailers = trailers;
    this.#end(false);
    this.#body?.end();
  }

  /** There will be no response, or no more of it. */
  fail(error: Error, isWanted = true): void {
    if (this.isOver) return;
    this.#end(true);
    if (this.#body === undefined) this.#reject?.(error);
    else this.#body.fail(error, isWanted);
  }

  /** This side ends it. */
  giveUp(error: Error): void {
    if (this.isOver) return;
    this.fail(error, false);
    this.#holder?.giveUp(this);
  }

  bodyRead(): void {
    if (!this.isOver) this.#holder?.bodyRead();
  }

  bodyCancelled(): void {
    if (this.isOver) return;
    this.#end(false);
    this.#holder?.giveUp(this);
  }

  #timeOut(phase: Phase, timeoutMs: number): void {
    this.giveUp(timedOut(this.message.name, phase, timeoutMs));
  }

  #end(hasFailed: boolean): void {
    this.isOver = true;
    this.endWaiting();
    if (this.#totalTimer !== undefined) clearTimeout(this.#totalTimer);
    this.#forgetSignal?.();
    // Its source was never begun, and nobody else will end it.
    if (this.sendings === 0) letGo(this.message.body);
    this.#onOver(hasFailed);
  }
}
