/** A request as it is sent: its head as text, its body, and what may be done with it again. */
import { lowerHeaderName } from "../http/header-name.js";
import { type BodySource, isBodySource } from "../http/response-body.js";
import { checkedValue } from "../http/response-headers.js";
import { failed } from "./client-errors.js";
import type { Target } from "./target.js";

/**
 * Fields of a request. A list of values is sent as so many fields; undefined is left out.
 * @experimental
 */
export type RequestHeaders =
  | Readonly<Record<string, string | number | readonly string[] | undefined>>
  | Iterable<readonly [string, string]>;

/**
 * A body: whole (text is UTF-8), or as a stream, which is read as fast as the server takes it.
 * @experimental
 */
export type RequestContent = string | Uint8Array | ArrayBuffer | URLSearchParams | BodySource;

/** What a request is made of. */
export interface Message {
  readonly target: Target;
  readonly method: string;
  /** Flat, lower-case name after value. */
  readonly fields: readonly string[];
  /** Undefined for none. */
  readonly body: Uint8Array | BodySource | undefined;
}

/** The same, ready to be sent. */
export interface EncodedMessage {
  /** For errors. */
  readonly name: { readonly method: string; readonly url: string };
  /** Up to the empty line. */
  readonly head: string;
  readonly body: Uint8Array | BodySource | undefined;
  /** Of a body that is a stream: what its head announces, or -1 for chunks. */
  readonly contentLength: number;
  readonly isHead: boolean;
  /** Whether it may be sent again when nobody knows what became of it. */
  readonly isRepeatable: boolean;
}

const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]);
/** Methods whose names the Fetch standard writes in capitals. */
const NORMALIZED = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST"]);
/** Methods that mean something by a body: their requests say so when they have none. */
const WITH_BODY = new Set(["POST", "PUT", "PATCH"]);
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Fields that are the connection's own. */
const CONNECTION_FIELDS = new Set(["keep-alive", "proxy-connection", "transfer-encoding"]);
/** Fields that ask for what this client does not do. */
const REFUSED_FIELDS = new Set(["upgrade", "expect"]);

/**
 * Puts a request together. `standard` are fields that it gets where it has none of that name.
 * @throws TypeError for a method, a field or a body that is none; RingloomError `ERR_RINGLOOM_UNSUPPORTED` for CONNECT, Upgrade and Expect.
 */
export function messageOf(
  target: Target,
  { method = "GET", headers, body, json }: MessageOptions,
  standard: readonly string[],
): Message {
  const name = checkedMethod(method, target);
  const isPlain = headers === undefined && json === undefined && (body === undefined || body === null);
  if (isPlain && target.authorization === undefined) return { target, method: name, fields: standard, body: undefined };
  const fields = headers === undefined ? [] : fieldsOf(headers, { method: name, url: target.href });
  const content = contentOf(body, json, fields);
  for (let index = 0; index < standard.length; index += 2) {
    const field = standard[index] ?? "";
    if (!hasField(fields, field)) fields.push(field, standard[index + 1] ?? "");
  }
  if (target.authorization !== undefined && !hasField(fields, "authorization"))
    fields.push("authorization", target.authorization);
  return { target, method: name, fields, body: content };
}

/** Fields of a client for all its requests: flat, lower-case name after value. Throws a TypeError. */
export function standardFields(headers: Readonly<Record<string, string>>): string[] {
  return fieldsOf(headers, { method: "", url: "" });
}

/** What {@link messageOf} takes of a request's options. */
export interface MessageOptions {
  readonly method?: string | undefined;
  readonly headers?: RequestHeaders | undefined;
  readonly body?: RequestContent | null | undefined;
  readonly json?: unknown;
}

/** @throws TypeError for a Content-Length that is not that of the body. */
export function encodeMessage({ target, method, fields, body }: Message): EncodedMessage {
  const { proxy } = target;
  const isForwarded = proxy !== undefined && !target.isSecure;
  let head = `${method} ${isForwarded ? target.href : target.path} HTTP/1.1\r\n`;
  let hasHost = false;
  let announced = -1;
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] ?? "";
    const value = fields[index + 1] ?? "";
    if (name === "host") hasHost = true;
    if (name === "content-length") announced = checkedLength(value);
    else head += `${name}: ${value}\r\n`;
  }
  if (!hasHost) head += `host: ${target.authority}\r\n`;
  if (isForwarded && proxy.authorization !== undefined) head += `proxy-authorization: ${proxy.authorization}\r\n`;
  const isWhole = body === undefined || body instanceof Uint8Array;
  const length = isWhole ? (body?.length ?? 0) : announced;
  if (isWhole && announced >= 0 && announced !== length)
    throw new TypeError(`Cannot request: content-length is ${announced}, and the body has ${length} bytes`);
  if (!isWhole && length < 0) head += "transfer-encoding: chunked\r\n";
  else if (body !== undefined || WITH_BODY.has(method)) head += `content-length: ${length}\r\n`;
  return {
    name: { method, url: target.href },
    head: `${head}\r\n`,
    body,
    contentLength: isWhole ? -1 : length,
    isHead: method === "HEAD",
    isRepeatable: isWhole && IDEMPOTENT.has(method),
  };
}

/** The value of a field, or undefined. */
export function fieldOf(fields: readonly string[], name: string): string | undefined {
  for (let index = 0; index < fields.length; index += 2) if (fields[index] === name) return fields[index + 1];
  return undefined;
}

function hasField(fields: readonly string[], name: string): boolean {
  return fieldOf(fields, name) !== undefined;
}

function checkedMethod(method: unknown, target: Target): string {
  if (typeof method !== "string" || !METHOD.test(method))
    throw new TypeError(`Cannot request: ${JSON.stringify(method)} is no method`);
  const upper = method.toUpperCase();
  const name = NORMALIZED.has(upper) ? upper : method;
  if (upper === "CONNECT")
    throw failed(
      "ERR_RINGLOOM_UNSUPPORTED",
      { method: name, url: target.href },
      "Cannot request: CONNECT makes a tunnel, which is the proxy option's to use",
    );
  return name;
}

function fieldsOf(headers: RequestHeaders, request: { readonly method: string; readonly url: string }): string[] {
  const fields: string[] = [];
  const add = (name: string, value: unknown): void => {
    const lowerName = lowerHeaderName(name);
    if (REFUSED_FIELDS.has(lowerName))
      throw failed("ERR_RINGLOOM_UNSUPPORTED", request, `Cannot request: the field ${lowerName} is not supported`);
    if (CONNECTION_FIELDS.has(lowerName)) return;
    const text = checkedValue(value, lowerName);
    // What names other fields of the connection would have them dropped by a proxy.
    if (lowerName === "connection" && text.toLowerCase() !== "close") return;
    if (lowerName === "host" && hasField(fields, "host")) throw new TypeError("Cannot request: there is one host only");
    if (lowerName === "content-length" && hasField(fields, lowerName))
      throw new TypeError("Cannot request: there is one content-length only");
    fields.push(lowerName, text);
  };
  if (typeof headers !== "object" || headers === null)
    throw new TypeError("Cannot request: the headers are neither an object nor a list of pairs");
  if (Symbol.iterator in headers) {
    for (const [name, value] of headers as Iterable<readonly [string, string]>) add(name, value);
    return fields;
  }
  for (const [name, value] of Object.entries(headers)) {
    if (Array.isArray(value)) for (const one of value) add(name, one);
    else if (value !== undefined) add(name, value);
  }
  return fields;
}

function contentOf(
  body: RequestContent | null | undefined,
  json: unknown,
  fields: string[],
): Uint8Array | BodySource | undefined {
  if (json !== undefined) {
    if (body !== undefined && body !== null) throw new TypeError("Cannot request: there are a body and a json");
    const text = JSON.stringify(json);
    if (text === undefined) throw new TypeError("Cannot request: the json is nothing that JSON can say");
    if (!hasField(fields, "content-type")) fields.push("content-type", "application/json");
    return Buffer.from(text);
  }
  if (body === undefined || body === null) return undefined;
  if (typeof body === "string") return Buffer.from(body);
  if (body instanceof Uint8Array) return body;
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  if (body instanceof URLSearchParams) {
    if (!hasField(fields, "content-type"))
      fields.push("content-type", "application/x-www-form-urlencoded;charset=UTF-8");
    return Buffer.from(body.toString());
  }
  if (isBodySource(body)) return body;
  throw new TypeError("Cannot request: the body is neither text, nor bytes, nor a stream");
}

function checkedLength(value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw new TypeError(`Cannot request: content-length ${value} is no length`);
  return Number(value);
}
