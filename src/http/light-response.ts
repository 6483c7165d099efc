/**
 * A `Response` whose body is text or bytes costs 10 to 30 microseconds when undici makes it, and as much again to read back through its streams.
 * This one keeps what it was given and makes the real things (Headers, stream) when they are read.
 *
 * It follows the Fetch standard: headers and bytes are copied when it is made, bad ones are refused then, and a body is read once. What
 * it does not do itself (streams, FormData, Blob) it leaves to a real Response that holds the body alone.
 */
import { Readable } from "node:stream";
import { inspect, types } from "node:util";
import type { FetchExchange } from "./fetch-exchange.js";
import { bodyUnusable, roundTrip } from "./light-request.js";
import { decodeUtf8 } from "./request-body.js";
import type { BodySource } from "./response-body.js";
import { type HeaderList, headerListOf } from "./response-headers.js";
import { sendStream, sendWhole } from "./send-response.js";
import { standInFor } from "./stand-in.js";

const NativeResponse = globalThis.Response;
const NativeHeaders = globalThis.Headers;

const TEXT_TYPE = "text/plain;charset=UTF-8";
const FORM_TYPE = "application/x-www-form-urlencoded;charset=UTF-8";
const JSON_TYPE = "application/json";
/** RFC 9112, section 4: reason-phrase. */
const REASON = /^[\t\x20-\x7e\x80-\xff]*$/;

/** What a LightResponse keeps of a body. */
type KeptBody = string | Uint8Array | Blob | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | null;
type BodyInput = ConstructorParameters<typeof Response>[0] | AsyncIterable<Uint8Array>;

let send: (response: LightResponse, exchange: FetchExchange) => void;

/** See the head of this file. */
export class LightResponse {
  #body: KeptBody = null;
  #status = 200;
  #statusText = "";
  /** These three are what it was made with; not looked at once `#headers` is there. */
  #contentType: string | undefined;
  #fields: readonly string[] | undefined;
  #hasFraming = false;
  #headers: Headers | undefined;
  #used = false;
  /** A real Response that holds the body, from when somebody asked for more than this one does. */
  #real: Response | undefined;

  static {
    send = (response, exchange) => response.#send(exchange);
  }

  constructor(body?: BodyInput | null, init?: ResponseInit | null) {
    if (init !== undefined && init !== null) this.#initialise(init);
    if (body === undefined || body === null) return;
    if (isNullBodyStatus(this.#status)) throw new TypeError(`Response with status ${this.#status} cannot have a body`);
    if (typeof body === "string") {
      this.#body = body;
      this.#defaultType(TEXT_TYPE);
    } else {
      this.#keep(body);
    }
  }

  static json(data: unknown, init?: ResponseInit | null): LightResponse {
    const text = JSON.stringify(data) as string | undefined;
    if (text === undefined) throw new TypeError("Cannot make a Response: the value is not JSON serializable");
    const response = new LightResponse(null, init);
    if (isNullBodyStatus(response.#status))
      throw new TypeError(`Response with status ${response.#status} cannot have a body`);
    response.#body = text;
    response.#defaultType(JSON_TYPE);
    return response;
  }

  static redirect(url: string | URL, status = 302): LightResponse {
    const location = new URL(String(url)).href;
    if (![301, 302, 303, 307, 308].includes(status)) throw new RangeError(`Cannot redirect with status ${status}`);
    return new LightResponse(null, { status, headers: { location } });
  }

  static error(): Response {
    return NativeResponse.error();
  }

  get status(): number {
    return this.#status;
  }

  get ok(): boolean {
    return this.#status >= 200 && this.#status < 300;
  }

  get statusText(): string {
    return this.#statusText;
  }

  get type(): Response["type"] {
    return "default";
  }

  get url(): string {
    return "";
  }

  get redirected(): boolean {
    return false;
  }

  get headers(): Headers {
    if (this.#headers !== undefined) return this.#headers;
    const headers = new NativeHeaders();
    const fields = this.#fields ?? [];
    if (this.#contentType !== undefined) headers.append("content-type", this.#contentType);
    for (let index = 0; index < fields.length; index += 2) headers.append(fields[index] ?? "", fields[index + 1] ?? "");
    return (this.#headers = headers);
  }

  get body(): ReadableStream<Uint8Array> | null {
    return this.#body === null ? null : (this.#realBody().body as ReadableStream<Uint8Array> | null);
  }

  get bodyUsed(): boolean {
    return this.#used || this.#real?.bodyUsed === true;
  }

  async text(): Promise<string> {
    const body = this.#take();
    if (typeof body === "string") return roundTrip(body);
    return body instanceof Uint8Array ? decodeUtf8(body) : body.text();
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }

  async bytes(): Promise<Uint8Array> {
    const body = this.#take();
    if (typeof body === "string") return new TextEncoder().encode(body);
    return body instanceof Uint8Array ? body.slice() : new Uint8Array(await body.arrayBuffer());
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return (await this.bytes()).buffer as ArrayBuffer;
  }

  async blob(): Promise<Blob> {
    return this.#realBody().blob();
  }

  async formData(): Promise<FormData> {
    return this.#realBody().formData();
  }

  clone(): LightResponse {
    if (this.#used || (this.#real !== undefined && isUnusable(this.#real))) throw bodyUnusable();
    const clone = new LightResponse(null);
    clone.#status = this.#status;
    clone.#statusText = this.#statusText;
    if (this.#headers === undefined) clone.#copyHeaders(this);
    else clone.#headers = new NativeHeaders(this.#headers);
    clone.#body = this.#body;
    const isWhole = typeof this.#body === "string" || this.#body instanceof Uint8Array || this.#body instanceof Blob;
    // Whole bodies never change, so both may hold the same; of a stream each needs its own branch.
    if (this.#body !== null && !isWhole) clone.#real = this.#realBody().clone();
    return clone;
  }

  [inspect.custom](depth: number, options: object): string {
    const { status, statusText, headers, bodyUsed } = this;
    return `Response ${inspect({ status, statusText, headers, bodyUsed }, { ...options, depth })}`;
  }

  /** Whether `value` was made by this class, and can be sent with {@link sendLightResponse}. */
  static isLight(value: unknown): value is LightResponse {
    return typeof value === "object" && value !== null && #status in value;
  }

  #initialise(init: ResponseInit): void {
    if (LightResponse.isLight(init) && init.#headers === undefined) {
      this.#status = init.#status;
      this.#statusText = init.#statusText;
      this.#copyHeaders(init);
      return;
    }
    const { status, statusText, headers } = init;
    if (status !== undefined) this.#status = checkedStatus(status);
    if (statusText !== undefined && statusText !== "") {
      this.#statusText = String(statusText);
      if (!REASON.test(this.#statusText)) throw new TypeError("Cannot make a Response: invalid statusText");
    }
    if (headers === undefined || headers === null) return;
    const list = headerListOf(headers);
    this.#contentType = list.contentType;
    this.#fields = list.fields;
    this.#hasFraming = list.hasFraming;
  }

  #copyHeaders(from: LightResponse): void {
    this.#contentType = from.#contentType;
    this.#fields = from.#fields;
    this.#hasFraming = from.#hasFraming;
  }

  #defaultType(contentType: string): void {
    this.#contentType ??= contentType;
  }

  #keep(body: NonNullable<BodyInput>): void {
    if (body instanceof Uint8Array) {
      this.#body = new Uint8Array(body);
    } else if (ArrayBuffer.isView(body)) {
      this.#body = new Uint8Array(body.buffer, body.byteOffset, body.byteLength).slice();
    } else if (types.isAnyArrayBuffer(body)) {
      this.#body = new Uint8Array(body).slice();
    } else if (body instanceof ReadableStream) {
      if (body.locked || Readable.isDisturbed(body as unknown as Readable)) {
        throw new TypeError("Response body object should not be disturbed or locked");
      }
      this.#body = body as ReadableStream<Uint8Array>;
    } else if (body instanceof Blob) {
      this.#body = body;
      if (body.type !== "") this.#defaultType(body.type);
    } else if (body instanceof URLSearchParams) {
      this.#body = body.toString();
      this.#defaultType(FORM_TYPE);
    } else if (body instanceof FormData) {
      const real = new NativeResponse(body);
      this.#real = real;
      this.#body = real.body as ReadableStream<Uint8Array>;
      this.#defaultType(real.headers.get("content-type") ?? "");
    } else if (typeof body === "object" && Symbol.asyncIterator in body) {
      this.#body = body as AsyncIterable<Uint8Array>;
    } else {
      this.#body = String(body);
      this.#defaultType(TEXT_TYPE);
    }
  }

  /** Marks the body as read and returns it, or the real Response that must read it. */
  #take(): string | Uint8Array | Response {
    if (this.#body === null) return "";
    if (this.bodyUsed) throw bodyUnusable();
    if (this.#real === undefined && (typeof this.#body === "string" || this.#body instanceof Uint8Array)) {
      this.#used = true;
      return this.#body;
    }
    return this.#realBody();
  }

  #realBody(): Response {
    if (this.#real !== undefined) return this.#real;
    const contentType =
      this.#headers === undefined ? this.#contentType : (this.#headers.get("content-type") ?? undefined);
    const init = contentType === undefined ? {} : { headers: { "content-type": contentType } };
    this.#real = new NativeResponse(this.#body as ConstructorParameters<typeof Response>[0], init);
    // What `text()` read before is gone for the real one too.
    if (this.#used) this.#real.body?.getReader();
    return this.#real;
  }

  #send(exchange: FetchExchange): void {
    const body = this.#body;
    if (body !== null && (this.#used || (this.#real !== undefined && isUnusable(this.#real)))) {
      exchange.answerError(bodyUnusable());
      return;
    }
    this.#used = true;
    if (this.#headers === undefined && !this.#hasFraming && (typeof body === "string" || body instanceof Uint8Array)) {
      exchange.answer(this.#status, this.#contentType, this.#fields, body);
      return;
    }
    this.#sendSlowly(body, exchange);
  }

  #sendSlowly(body: KeptBody, exchange: FetchExchange): void {
    let list: HeaderList;
    try {
      list = this.#headers === undefined ? this.#list() : headerListOf(this.#headers);
    } catch (error) {
      exchange.answerError(error);
      return;
    }
    if (body === null || typeof body === "string" || body instanceof Uint8Array) {
      sendWhole(exchange, { status: this.#status, list }, body);
      return;
    }
    const source = this.#real?.body ?? (body instanceof Blob ? body.stream() : body);
    sendStream(exchange, { status: this.#status, list }, source as BodySource, body instanceof Blob ? body.size : -1);
  }

  #list(): HeaderList {
    return { contentType: this.#contentType, fields: [...(this.#fields ?? [])], hasFraming: this.#hasFraming };
  }
}

standInFor(LightResponse, NativeResponse);

/** Answers with a response that {@link LightResponse.isLight} knows. */
export function sendLightResponse(response: LightResponse, exchange: FetchExchange): void {
  send(response, exchange);
}

function isNullBodyStatus(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

function isUnusable(real: Response): boolean {
  return real.bodyUsed || real.body?.locked === true;
}

function checkedStatus(status: unknown): number {
  const number = Number(status);
  if (!Number.isInteger(number) || number < 200 || number > 599) {
    throw new RangeError(`Cannot make a Response: status ${String(status)} is not within 200..599`);
  }
  return number;
}
