import type { FetchExchange } from "./fetch-exchange.js";
import { lowerHeaderName } from "./header-name.js";

/** Header fields of a response in the form that the encoder takes. */
export interface HeaderList {
  contentType: string | undefined;
  /** The other fields, flat, lower-case name after value; a name may repeat. */
  readonly fields: string[];
  /** Whether {@link applyFraming} has to look at them. */
  hasFraming: boolean;
}

/** Fields that say how the message is framed. That is the connection's to decide, so they are taken out and obeyed as far as they can be. */
const FRAMING = new Set(["connection", "content-length", "date", "keep-alive", "transfer-encoding"]);

/**
 * Copies headers in any form that `new Headers()` takes. Throws a TypeError for a name that is no token, and for a value with a character outside of
 * tab, 0x20..0x7e and 0x80..0xff: control characters are no part of a field value (RFC 9110, section 5.5).
 */
export function headerListOf(init: NonNullable<ConstructorParameters<typeof Headers>[0]>): HeaderList {
  const list: HeaderList = { contentType: undefined, fields: [], hasFraming: false };
  if (Symbol.iterator in init) {
    for (const pair of init as Iterable<Iterable<string>>) {
      const parts = Array.isArray(pair) ? (pair as string[]) : [...pair];
      if (parts.length !== 2) throw new TypeError("Cannot take a header: each one is a pair of name and value");
      addHeader(list, parts[0] ?? "", parts[1] ?? "");
    }
    return list;
  }
  if (typeof init !== "object")
    throw new TypeError("Cannot take headers: they are neither an object nor a list of pairs");
  const record = init as Record<string, string>;
  for (const name of Object.keys(record)) addHeader(list, name, record[name] as string);
  return list;
}

/** Adds one field. Throws a TypeError as {@link headerListOf} does. */
export function addHeader(list: HeaderList, name: string, value: string): void {
  const lowerName = lowerHeaderName(name);
  const text = checkedValue(value, lowerName);
  if (lowerName === "content-type") {
    list.contentType = list.contentType === undefined ? text : `${list.contentType}, ${text}`;
    return;
  }
  if (FRAMING.has(lowerName)) list.hasFraming = true;
  list.fields.push(lowerName, text);
}

/** The fields of a response without those that frame it, and what those asked for. */
export interface Framing {
  readonly fields: readonly string[];
  /** Content-Length, or -1 when none was set or it is no number. */
  readonly contentLength: number;
}

/** Takes the fields that frame the message out; `Connection: close` is passed on to the connection. */
export function applyFraming(list: HeaderList, exchange: FetchExchange): Framing {
  if (!list.hasFraming) return { fields: list.fields, contentLength: -1 };
  const fields: string[] = [];
  let contentLength = -1;
  for (let index = 0; index < list.fields.length; index += 2) {
    const name = list.fields[index] ?? "";
    const value = list.fields[index + 1] ?? "";
    if (!FRAMING.has(name)) fields.push(name, value);
    else if (name === "content-length") contentLength = /^\d{1,15}$/.test(value) ? Number(value) : -1;
    else if (name === "connection" && /\bclose\b/i.test(value)) exchange.closeAfterAnswer();
  }
  return { fields, contentLength };
}

/** A field value, trimmed. Throws a TypeError for a character that a value cannot hold. */
export function checkedValue(value: unknown, name: string): string {
  const text = typeof value === "string" ? value : String(value);
  let mustTrim = false;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code > 0x20 && code < 0x7f) continue;
    if (code > 0xff || code === 0x7f || (code < 0x20 && code !== 0x09 && code !== 0x0a && code !== 0x0d))
      throw invalidValue(name);
    if (code <= 0x20 && (code === 0x0a || code === 0x0d || index === 0 || index === text.length - 1)) mustTrim = true;
  }
  if (!mustTrim) return text;
  // The Fetch standard normalises a value by removing whitespace, line ends included, at both of its ends.
  // Not by a regular expression: anchored at the end it takes quadratic time on a long run of spaces within the value.
  let start = 0;
  let end = text.length;
  while (start < end && isWhitespace(text.charCodeAt(start))) start += 1;
  while (end > start && isWhitespace(text.charCodeAt(end - 1))) end -= 1;
  const trimmed = text.slice(start, end);
  if (/[\r\n]/.test(trimmed)) throw invalidValue(name);
  return trimmed;
}

function isWhitespace(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0d;
}

function invalidValue(name: string): TypeError {
  return new TypeError(`Cannot take a header: the value of ${name} has a character that is not allowed`);
}
