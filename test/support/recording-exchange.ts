import type { FetchExchange } from "../../src/http/fetch-exchange.js";
import { LargeBodyPool } from "../../src/http/large-body-pool.js";
import { RequestBody } from "../../src/http/request-body.js";
import type { BodySink } from "../../src/http/response-body.js";
import { RecordingSink } from "./recording-sink.js";

export interface ExchangeInput {
  readonly method?: string;
  readonly target?: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string | Uint8Array;
}

/** What an exchange was answered with. */
export interface RecordedAnswer {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly headers: readonly string[];
  /** Undefined for a streamed answer. */
  readonly body: string | undefined;
  /** Announced length of a streamed answer, -1 when none was. */
  readonly contentLength: number | undefined;
}

/** A request without a connection: it remembers its answer. */
export class RecordingExchange implements FetchExchange {
  readonly method: string;
  readonly requestBody: RequestBody | undefined;
  readonly remoteAddress = "192.0.2.1";
  readonly controller = new AbortController();
  readonly sink = new RecordingSink();
  readonly #head: string;
  answered: RecordedAnswer | undefined;
  error: unknown;
  closes = false;
  #settled: (() => void)[] = [];

  constructor(input: ExchangeInput = {}) {
    const { method = "GET", target = "/", headers = [["Host", "example.org"]], body } = input;
    this.method = method;
    this.#head = [`${target} HTTP/1.1`, ...headers.map(([name, value]) => `${name}: ${value}`)].join("\r\n");
    if (body !== undefined) this.requestBody = bodyOf(typeof body === "string" ? Buffer.from(body) : body);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  headText(): string {
    return this.#head;
  }

  answer(
    status: number,
    contentType: string | undefined,
    headers: readonly string[] | undefined,
    body: string | Uint8Array | null,
  ): void {
    this.#settle({ status, contentType, headers: headers ?? [], body: textOf(body), contentLength: undefined });
  }

  answerStream(
    status: number,
    contentType: string | undefined,
    headers: readonly string[] | undefined,
    contentLength: number,
  ): BodySink | undefined {
    this.#settle({ status, contentType, headers: headers ?? [], body: undefined, contentLength });
    return this.method === "HEAD" || status === 204 || status === 304 ? undefined : this.sink;
  }

  answerError(error: unknown): void {
    if (this.answered !== undefined || this.error !== undefined) throw new Error("answered twice");
    this.error = error;
    for (const resolve of this.#settled) resolve();
  }

  closeAfterAnswer(): void {
    this.closes = true;
  }

  /** Resolves with the answer, when there is one; rejects with what `answerError` got. */
  async result(): Promise<RecordedAnswer> {
    if (this.answered === undefined && this.error === undefined) {
      await new Promise<void>((resolve) => {
        this.#settled.push(resolve);
      });
    }
    if (this.answered === undefined) throw this.error;
    return this.answered;
  }

  #settle(answer: RecordedAnswer): void {
    if (this.answered !== undefined || this.error !== undefined) throw new Error("answered twice");
    this.answered = answer;
    for (const resolve of this.#settled) resolve();
  }
}

function bodyOf(bytes: Uint8Array): RequestBody {
  const owner = { pauseBody() {}, resumeBody() {}, bodyWanted() {} };
  const options = { limitBytes: 1024 * 1024, expectedLength: bytes.length, pool: new LargeBodyPool() };
  const body = new RequestBody(owner, options);
  body.push(bytes, 0, bytes.length);
  body.end();
  return body;
}

function textOf(body: string | Uint8Array | null): string {
  if (body === null) return "";
  return typeof body === "string" ? body : Buffer.from(body).toString("latin1");
}
