/**
 * The `Request` that a `fetch` handler gets. Making a real one costs 6 to 12 microseconds; this one costs a tenth of one, because it is nothing but the
 * text of the head, and everything else is made when it is read. It is a `Request` for `instanceof`, and turns into a real one, once, for what it
 * does not do itself (`clone`, `new Request(request)`, `fetch(request)`).
 */
import { Readable } from "node:stream";
import { inspect } from "node:util";
import type { FetchExchange } from "./fetch-exchange.js";
import { LightHeaders, lookup } from "./light-headers.js";
import { decodeUtf8, exactBuffer, type RequestBody } from "./request-body.js";
import { originOf, requestUrl } from "./request-url.js";
import { standInFor } from "./stand-in.js";

const NativeRequest = globalThis.Request;
const NativeResponse = globalThis.Response;

/** Origin of a request without a Host field, which only HTTP/1.0 allows. */
const ORIGIN_UNKNOWN = "http://localhost";

/** A real Request that all attributes a server's requests never set are read from. */
let defaults: Request | undefined;

/** See the head of this file. */
export class LightRequest {
  readonly #exchange: FetchExchange;
  readonly #method: string;
  readonly #head: string;
  /** Where the header lines start in it. */
  readonly #linesStart: number;
  readonly #origin: string;
  /** Undefined when there is none, or the method may have none in the Fetch standard. */
  readonly #body: RequestBody | undefined;
  #url: string | undefined;
  #headers: Headers | undefined;
  #stream: ReadableStream<Uint8Array> | undefined;
  #used = false;
  #real: Request | undefined;

  /** Throws `ERR_RINGLOOM_BAD_REQUEST` with status 400 when no URL can be made of the target and the Host field. */
  constructor(exchange: FetchExchange) {
    this.#exchange = exchange;
    this.#method = exchange.method;
    this.#head = exchange.headText();
    this.#linesStart = linesStart(this.#head);
    const host = lookup(this.#head, this.#linesStart, "host");
    this.#origin = host === undefined || host === "" ? ORIGIN_UNKNOWN : originOf(host, exchange.scheme);
    // Only a target that starts with a slash always makes a URL, so any other is parsed now, when the answer can still be 400.
    if (this.#head.charCodeAt(0) !== 0x2f) this.#url = requestUrl(this.#origin, targetOf(this.#head));
    this.#body = this.#method === "GET" || this.#method === "HEAD" ? undefined : exchange.requestBody;
  }

  get method(): string {
    return this.#method;
  }

  get url(): string {
    return (this.#url ??= requestUrl(this.#origin, targetOf(this.#head)));
  }

  get headers(): Headers {
    return (this.#headers ??= new LightHeaders(this.#head, this.#linesStart) as unknown as Headers);
  }

  /** Never the real Request's, which would fall silent when that is collected. */
  get signal(): AbortSignal {
    return this.#exchange.signal;
  }

  get body(): ReadableStream<Uint8Array> | null {
    if (this.#real !== undefined) return this.#real.body;
    if (this.#body === undefined) return null;
    if (this.#stream === undefined) {
      if (this.#used) return (this.#stream = lockedStream());
      this.#stream = this.#body.stream();
    }
    return this.#stream;
  }

  get bodyUsed(): boolean {
    if (this.#real !== undefined) return this.#real.bodyUsed;
    return this.#used || (this.#stream !== undefined && Readable.isDisturbed(this.#stream as unknown as Readable));
  }

  async text(): Promise<string> {
    const real = this.#delegate();
    if (real !== undefined) return real.text();
    return this.#body === undefined ? "" : this.#consume(this.#body).text();
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }

  async bytes(): Promise<Uint8Array> {
    const real = this.#delegate();
    if (real !== undefined) return new Uint8Array(await real.arrayBuffer());
    return this.#body === undefined ? new Uint8Array(0) : this.#consume(this.#body).bytes();
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return exactBuffer(await this.bytes());
  }

  async blob(): Promise<Blob> {
    return (await this.#bufferedResponse()).blob();
  }

  async formData(): Promise<FormData> {
    return (await this.#bufferedResponse()).formData();
  }

  clone(): Request {
    return this.#makeReal().clone();
  }

  get cache(): Request["cache"] {
    return defaultsOf().cache;
  }

  get credentials(): Request["credentials"] {
    return defaultsOf().credentials;
  }

  get destination(): Request["destination"] {
    return defaultsOf().destination;
  }

  get duplex(): Request["duplex"] {
    return "half";
  }

  get integrity(): string {
    return defaultsOf().integrity;
  }

  get keepalive(): boolean {
    return defaultsOf().keepalive;
  }

  get mode(): Request["mode"] {
    return defaultsOf().mode;
  }

  get redirect(): Request["redirect"] {
    return defaultsOf().redirect;
  }

  get referrer(): string {
    return defaultsOf().referrer;
  }

  get referrerPolicy(): Request["referrerPolicy"] {
    return defaultsOf().referrerPolicy;
  }

  [inspect.custom](depth: number, options: object): string {
    return `Request ${inspect({ method: this.method, url: this.url, headers: this.headers }, { ...options, depth })}`;
  }

  /** The real Request of a light one; anything else unchanged. */
  static toReal<Value>(value: Value): Value | Request {
    return typeof value === "object" && value !== null && #head in value ? (value as LightRequest).#makeReal() : value;
  }

  /** Who reads the body instead: the real Request, or a real Response around the stream that a program has asked for. */
  #delegate(): Request | Response | undefined {
    if (this.#real !== undefined) return this.#real;
    if (this.#stream === undefined || this.#used) return undefined;
    if (this.bodyUsed || this.#stream.locked) throw bodyUnusable();
    this.#used = true;
    return new NativeResponse(this.#stream);
  }

  #consume(body: RequestBody): RequestBody {
    if (this.#used || body.used) throw bodyUnusable();
    this.#used = true;
    return body;
  }

  /** A real Response with the body's bytes and type, which knows how to make a Blob or a FormData of them. */
  async #bufferedResponse(): Promise<Response> {
    const contentType = this.headers.get("content-type");
    const bytes = await this.bytes();
    return new NativeResponse(bytes, contentType === null ? {} : { headers: { "content-type": contentType } });
  }

  #makeReal(): Request {
    if (this.#real !== undefined) return this.#real;
    if (this.bodyUsed) throw bodyUnusable();
    const init: RequestInit = { method: this.#method, headers: this.headers, signal: this.signal };
    const body = this.body;
    if (body !== null) {
      init.body = body;
      init.duplex = "half";
    }
    return (this.#real = new NativeRequest(this.url, init));
  }
}

standInFor(LightRequest, NativeRequest);

/** The text of a body that may have been decoded already: what a real body does with it on its way to `text()`. */
export function roundTrip(text: string): string {
  return decodeUtf8(Buffer.from(text, "utf8"));
}

/** Where the header lines start in the text of a head; its length when there are none. */
function linesStart(head: string): number {
  const end = head.indexOf("\r\n");
  return end < 0 ? head.length : end + 2;
}

function targetOf(head: string): string {
  const end = head.indexOf(" ");
  return end < 0 ? head : head.slice(0, end);
}

function defaultsOf(): Request {
  return (defaults ??= new NativeRequest(`${ORIGIN_UNKNOWN}/`));
}

/** What `body` is after `text()` and the like: a stream that is there, but cannot be read any more. */
function lockedStream(): ReadableStream<Uint8Array> {
  const stream: ReadableStream<Uint8Array> = new ReadableStream({
    start: (controller) => controller.close(),
  });
  stream.getReader();
  return stream;
}

/** The error of a real Request, in its words. */
export function bodyUnusable(): TypeError {
  return new TypeError("Body is unusable: Body has already been read");
}
