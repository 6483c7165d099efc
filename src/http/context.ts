/** What a handler gets: `c`. One small object per request; everything about the request is read lazily from its bytes. */
import { RingloomError } from "../errors.js";
import type { TlsInfo } from "../tls/tls-info.js";
import { clientGone } from "./client-gone.js";
import { type CookieOptions, cookieRecord, cookieValue, formatCookie } from "./cookies.js";
import { formatEvents, type ServerSentEvent } from "./events.js";
import {
  ANSWER_NONE,
  ANSWER_STREAM,
  ANSWER_UPGRADE,
  ANSWER_WHOLE,
  type Exchange,
  ExchangeExtras,
  type ExchangeOwner,
  FLAG_CLOSE,
  FLAG_OWN_TYPE,
  FLAG_PEER_ENDED,
  STATE_ABORTED,
  STATE_ANSWERED,
  STATE_OPEN,
  type Upgrade,
} from "./exchange.js";
import { lowerHeaderName } from "./header-name.js";
import { HttpError } from "./http-error.js";
import { letGo } from "./let-go.js";
import { METHOD_HEAD, METHOD_NAMES } from "./methods.js";
import { queryRecord, queryValue, queryValues } from "./query.js";
import type { RequestBody } from "./request-body.js";
import type { RequestHead } from "./request-head.js";
import type { BodySource } from "./response-body.js";
import { TYPE_BYTES, TYPE_EVENTS, TYPE_HTML, TYPE_JSON, TYPE_NONE, TYPE_TEXT } from "./response-encoder.js";
import { checkedValue } from "./response-headers.js";
import { checkStatus, reasonPhrase } from "./status.js";

/**
 * What a handler returns after it has answered.
 * @experimental
 */
export interface Answer {
  /** Whether an answer has been recorded. */
  readonly answered: boolean;
}

/**
 * What handlers and middleware may return. Nothing at all is fine once an answer has been recorded.
 * @experimental
 */
export type HandlerResult = Answer | Response | undefined | void;

/**
 * Options of {@link Context.stream}.
 * @experimental
 */
export interface StreamOptions {
  /** Content-Type. Default: what `setHeader` set, else `application/octet-stream`. */
  readonly contentType?: string;
  /** Length of the whole stream in bytes, when it is known: sent as Content-Length, and enforced. Default: chunked coding. */
  readonly contentLength?: number;
  /** Called at the end of the source; what it returns is sent as trailer fields. Fields that belong in the head, such as Content-Type, cut the answer. */
  readonly trailers?: () => Readonly<Record<string, string>> | undefined;
}

/**
 * One request and the answer to it, as handlers and middleware get them. `Params` are the names of the route's parameters, so that a
 * misspelt `c.param("nmae")` does not compile.
 * @experimental
 */
export class Context<Params extends string = string> implements Exchange, Answer {
  /** @internal */
  readonly owner: ExchangeOwner;
  /** @internal */
  readonly slot: number;
  /** @internal */
  readonly methodNumber: number;
  /** @internal */
  head: RequestHead | undefined;
  /** @internal */
  state = STATE_OPEN;
  /** @internal */
  flags: number;
  /** @internal */
  answerStatus = 200;
  /** @internal */
  answerKind = ANSWER_NONE;
  /** @internal */
  answerType = TYPE_NONE;
  /** @internal */
  answerHeaders: string[] | undefined = undefined;
  /** @internal */
  answerBody: unknown = null;
  /** @internal */
  extras: ExchangeExtras | undefined = undefined;

  /** @internal */
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

  /** How the connection is encrypted, and whose certificate the client has shown; undefined for a plain connection, and for one that is gone. */
  get tls(): TlsInfo | undefined {
    return this.state >= STATE_ANSWERED ? undefined : this.owner.tlsInfo(this.slot);
  }

  /** Whether an answer has been recorded. Middleware may look at it after `next()`. */
  get answered(): boolean {
    return this.answerKind !== ANSWER_NONE;
  }

  /** The path as it was sent, percent-encoded: `/caf%C3%A9`. */
  get path(): string {
    return this.liveHead().path();
  }

  /** The whole URL: `http://host:port/path?query`, or `https:` where the server speaks TLS. */
  get url(): string {
    const head = this.liveHead();
    if (head.isAbsolute) return head.target();
    return `${this.owner.scheme}://${head.authority()}${head.target()}`;
  }

  /** The query as it was sent, without its question mark. */
  get queryString(): string {
    return this.liveHead().query();
  }

  /** The first value of a query parameter, decoded; undefined when there is none. */
  query(name: string): string | undefined {
    const head = this.liveHead();
    return head.queryStart < 0 ? undefined : queryValue(head.query(), name);
  }

  /** Every value of one query parameter; without a name, an object of all (the last value of a name wins). */
  queries(): Record<string, string>;
  queries(name: string): string[];
  queries(name?: string): string[] | Record<string, string> {
    const query = this.liveHead().query();
    return name === undefined ? queryRecord(query) : queryValues(query, name);
  }

  /**
   * A parameter of the route, percent-decoded; `"*"` for a wildcard without a name.
   * Throws `HttpError` 400 when its escapes are no UTF-8, and TypeError for a name that the route does not have.
   */
  param(name: Params): string {
    const head = this.liveHead();
    const index = indexOfName(head.paramNames, name);
    if (index < 0)
      throw new TypeError(`Cannot read parameter ${JSON.stringify(name)}: the route has none of that name`);
    return paramText(head, index);
  }

  /** All parameters of the route, decoded. */
  params(): Record<Params, string> {
    const head = this.liveHead();
    const record = Object.create(null) as Record<string, string>;
    for (const [index, name] of head.paramNames.entries()) record[name] = paramText(head, index);
    return record;
  }

  /**
   * A request header, in any case; undefined when there is none. Lines of one name are joined with `, `. Bytes above 0x7f are latin-1
   * characters, as in Node.
   */
  header(name: string): string | undefined {
    return this.liveHead().header(name);
  }

  /** All request headers as a web-standard `Headers`. */
  headers(): Headers {
    const head = this.liveHead();
    const headers = new Headers();
    for (let index = 0; index < head.headerCount; index++) headers.append(head.name(index), head.value(index));
    return headers;
  }

  /** The value of a cookie, decoded; undefined when there is none. */
  cookie(name: string): string | undefined {
    const field = this.liveHead().header("cookie");
    return field === undefined ? undefined : cookieValue(field, name);
  }

  /** All cookies. */
  cookies(): Record<string, string> {
    return cookieRecord(this.liveHead().header("cookie") ?? "");
  }

  /** The request's body, to be read once: `bytes()`, `text()`, `json()`, `arrayBuffer()`, `stream()` or `for await`. Empty when the request has none. */
  get request(): RequestBody {
    return this.owner.requestBody(this);
  }

  /** The whole request body: short for `c.request.bytes()`. */
  bytes(): Promise<Uint8Array> {
    return this.owner.requestBody(this).bytes();
  }

  /** Trailer fields of a chunked request, once its body has been read to the end. */
  get trailers(): Readonly<Record<string, string>> {
    const fields = this.owner.requestBody(this).trailers ?? [];
    const record = Object.create(null) as Record<string, string>;
    for (let index = 0; index + 1 < fields.length; index += 2)
      record[fields[index]!.toLowerCase()] = fields[index + 1]!;
    return record;
  }

  /** A place for middleware to leave things for handlers. Made when it is first read. */
  get locals(): Record<string, unknown> {
    return (this.more().locals ??= Object.create(null) as Record<string, unknown>);
  }

  /** Sets the status of the answer, 200..599; the answering methods take one too. Throws RangeError for another. */
  status(status: number): this {
    this.answerStatus = checkStatus(status);
    return this;
  }

  /** The status that is set now. */
  get statusCode(): number {
    return this.answerStatus;
  }

  /**
   * Sets a header of the answer, in place of earlier lines of that name.
   * Throws TypeError for an invalid name or value, and for fields that the server itself writes (Date, Transfer-Encoding, Keep-Alive,
   * Connection other than close).
   */
  setHeader(name: string, value: string | number): this {
    return this.#header(name, String(value), true);
  }

  /** Adds a line to the answer's header. Throws as {@link Context.setHeader} does. */
  appendHeader(name: string, value: string | number): this {
    return this.#header(name, String(value), false);
  }

  /**
   * Adds a line to the answer's header that stays when the handler fails and the failure is answered in its place. For what a client needs of every answer: a request id, CORS. Throws as
   * {@link Context.setHeader} does.
   */
  addLastingHeader(name: string, value: string | number): this {
    if (OWN_PLACE.has(lowerHeaderName(name)))
      throw new TypeError(`Cannot keep ${lowerHeaderName(name)} for every answer: it belongs to one`);
    this.#header(name, String(value), false);
    const headers = this.answerHeaders ?? [];
    (this.more().lastingHeaders ??= []).push(headers.at(-2) ?? "", headers.at(-1) ?? "");
    return this;
  }

  /** Removes a header that was set. Without `content-type`, the answer has none. */
  removeHeader(name: string): this {
    const lowerName = lowerHeaderName(name);
    if (lowerName === "content-type") {
      this.answerType = TYPE_NONE;
      this.flags |= FLAG_OWN_TYPE;
    }
    if (lowerName === "content-length" && this.extras !== undefined) this.extras.contentLength = -1;
    this.#drop(lowerName);
    return this;
  }

  /**
   * A header of the answer as it stands, also the `content-type` that the answering method chose; lines of one name are joined with `, `. Undefined when there is none. For middleware that looks at
   * the answer after `next()`.
   */
  getHeader(name: string): string | undefined {
    const lowerName = lowerHeaderName(name);
    if (lowerName === "content-length") {
      const length = this.extras?.contentLength ?? -1;
      return length < 0 ? undefined : String(length);
    }
    if (lowerName === "content-type" && this.answerType !== TYPE_NONE) return this.owner.typeText(this.answerType);
    const values: string[] = [];
    const headers = this.answerHeaders ?? [];
    for (let index = 0; index < headers.length; index += 2) {
      if (headers[index] === lowerName) values.push(headers[index + 1] ?? "");
    }
    return values.length === 0 ? undefined : values.join(", ");
  }

  /** Sets a cookie. Throws TypeError for an invalid name or attribute. */
  setCookie(name: string, value: string, options?: CookieOptions): this {
    return this.#header("set-cookie", formatCookie(name, value, options), false);
  }

  /** Answers with plain text. */
  text(body: string, status?: number): Answer {
    return this.#whole(TYPE_TEXT, typeof body === "string" ? body : String(body), status);
  }

  /** Answers with HTML. */
  html(body: string, status?: number): Answer {
    return this.#whole(TYPE_HTML, typeof body === "string" ? body : String(body), status);
  }

  /** Answers with JSON. Throws TypeError for a value that JSON has no text for. */
  json(value: unknown, status?: number): Answer {
    const body = JSON.stringify(value) as string | undefined;
    if (body === undefined) throw new TypeError("Cannot answer with JSON: the value has no JSON text");
    return this.#whole(TYPE_JSON, body, status);
  }

  /**
   * Answers with bytes (`application/octet-stream` unless a Content-Type is set), or with an empty body for null. The bytes must not change before the
   * answer has been sent, which for more than 64 KiB is after the handler returned.
   */
  body(body: Uint8Array | ArrayBuffer | string | null, status?: number): Answer {
    const bytes = body instanceof ArrayBuffer ? new Uint8Array(body) : body;
    return this.#whole(bytes === null ? TYPE_NONE : typeof bytes === "string" ? TYPE_TEXT : TYPE_BYTES, bytes, status);
  }

  /** Answers with an empty body. */
  empty(status = 204): Answer {
    return this.#whole(TYPE_NONE, null, status);
  }

  /** Sends the client elsewhere: 302 unless told. Throws RangeError for a status that is no redirect, TypeError for an invalid location. */
  redirect(location: string, status = 302): Answer {
    if (checkStatus(status) < 300 || status > 399 || status === 304)
      throw new RangeError(`Cannot redirect with status ${status}`);
    const target = /[^\x21-\x7e]/.test(location) ? encodeURI(location) : location;
    this.setHeader("location", target);
    return this.#whole(TYPE_NONE, null, status);
  }

  /** Answers 404 with a short text. */
  notFound(): Answer {
    return this.#whole(TYPE_TEXT, `${reasonPhrase(404)}\n`, 404);
  }

  /** Answers with a stream: a web `ReadableStream`, a Node `Readable`, an iterable of text or bytes, or the request's own body. */
  stream(source: BodySource, options: StreamOptions = {}): Answer {
    const extras = this.more();
    extras.streamLength = options.contentLength === undefined ? -1 : checkedLength(options.contentLength);
    const { trailers } = options;
    extras.trailers = trailers === undefined ? undefined : () => Object.entries(trailers() ?? {}).flat();
    if (options.contentType !== undefined) this.setHeader("content-type", options.contentType);
    return this.#record(ANSWER_STREAM, TYPE_BYTES, source);
  }

  /** Answers with server-sent events, one for each that `events` yields. */
  sse(events: AsyncIterable<ServerSentEvent> | Iterable<ServerSentEvent>): Answer {
    this.setHeader("cache-control", "no-cache");
    return this.#record(ANSWER_STREAM, TYPE_EVENTS, formatEvents(events));
  }

  /** Answers 101 and hands the connection over. @internal */
  upgrade(upgrade: Upgrade): Answer {
    this.answerStatus = 101;
    return this.#record(ANSWER_UPGRADE, TYPE_NONE, upgrade);
  }

  /** @internal */
  get isHead(): boolean {
    return this.methodNumber === METHOD_HEAD;
  }

  /** @internal */
  more(): ExchangeExtras {
    return (this.extras ??= new ExchangeExtras());
  }

  /** @internal */
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

  #whole(type: number, body: string | Uint8Array | null, status: number | undefined): Answer {
    if (status !== undefined) this.answerStatus = checkStatus(status);
    return this.#record(ANSWER_WHOLE, type, body);
  }

  #record(kind: number, type: number, body: unknown): Answer {
    if (this.state !== STATE_OPEN) {
      letGo(body);
      return this;
    }
    if (this.answerKind === ANSWER_STREAM && this.answerBody !== body) letGo(this.answerBody);
    this.answerKind = kind;
    if ((this.flags & FLAG_OWN_TYPE) === 0) this.answerType = type;
    this.answerBody = body;
    return this;
  }

  #header(name: string, value: string, replace: boolean): this {
    const lowerName = lowerHeaderName(name);
    const text = checkedValue(value, lowerName);
    if (SERVER_FIELDS.has(lowerName)) throw new TypeError(`Cannot set ${lowerName}: the server writes it`);
    if (lowerName === "connection") {
      if (text.toLowerCase() !== "close")
        throw new TypeError("Cannot set connection: only close is a handler's to say");
      this.flags |= FLAG_CLOSE;
      return this;
    }
    if (lowerName === "content-length") {
      if (!/^\d{1,15}$/.test(text))
        throw new TypeError(`Cannot set content-length ${JSON.stringify(text)}: it is not a number of bytes`);
      this.more().contentLength = Number(text);
      return this;
    }
    if (lowerName === "content-type") return this.#setType(text);
    if (replace) this.#drop(lowerName);
    (this.answerHeaders ??= []).push(lowerName, text);
    return this;
  }

  #setType(type: string): this {
    this.#drop("content-type");
    this.flags |= FLAG_OWN_TYPE;
    const index = this.owner.typeIndex(type);
    this.answerType = index < 0 ? TYPE_NONE : index;
    if (index < 0) (this.answerHeaders ??= []).push("content-type", type);
    return this;
  }

  #drop(lowerName: string): void {
    const headers = this.answerHeaders;
    if (headers === undefined) return;
    for (let index = headers.length - 2; index >= 0; index -= 2) {
      if (headers[index] === lowerName) headers.splice(index, 2);
    }
  }
}

/** What is not kept among the other fields of an answer. */
const OWN_PLACE = new Set(["connection", "content-length", "content-type"]);
/** What frames a message, or is the server's to know. */
const SERVER_FIELDS = new Set(["date", "keep-alive", "transfer-encoding", "trailer", "upgrade"]);

/** `Array.prototype.indexOf` is a call, and a route has a name or two. */
function indexOfName(names: readonly string[], name: string): number {
  for (let index = 0; index < names.length; index++) {
    if (names[index] === name) return index;
  }
  return -1;
}

function paramText(head: RequestHead, index: number): string {
  const text = head.param(index);
  if (!head.isEscaped || !text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new HttpError("ERR_RINGLOOM_BAD_PATH", 400, "Cannot read a path parameter: its escapes are not UTF-8", {
      cause,
    });
  }
}

function checkedLength(length: number): number {
  if (!Number.isSafeInteger(length) || length < 0)
    throw new RangeError(`Cannot answer with a stream: contentLength is ${length}`);
  return length;
}
