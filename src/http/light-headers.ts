import { inspect } from "node:util";
import { lowerHeaderName } from "./header-name.js";
import { standInFor } from "./stand-in.js";

const NativeHeaders = globalThis.Headers;

/**
 * Request headers that are read from the text of the head, one at a time, when somebody asks. It is a `Headers` for `instanceof` and for everything
 * that takes one; whatever goes beyond looking a name up makes the real `Headers` once, and uses that from then on.
 */
export class LightHeaders {
  readonly #text: string;
  readonly #start: number;
  #real: Headers | undefined;

  /** `text` holds lines `name: value` divided by CRLF, from `start` to its end; one latin-1 character a byte. */
  constructor(text: string, start: number) {
    this.#text = text;
    this.#start = start;
  }

  get(name: string): string | null {
    if (this.#real !== undefined) return this.#real.get(name);
    return lookup(this.#text, this.#start, lowerHeaderName(name)) ?? null;
  }

  has(name: string): boolean {
    if (this.#real !== undefined) return this.#real.has(name);
    return lookup(this.#text, this.#start, lowerHeaderName(name)) !== undefined;
  }

  append(name: string, value: string): void {
    this.#headers().append(name, value);
  }

  set(name: string, value: string): void {
    this.#headers().set(name, value);
  }

  delete(name: string): void {
    this.#headers().delete(name);
  }

  getSetCookie(): string[] {
    return this.#headers().getSetCookie();
  }

  forEach(callback: (value: string, name: string, headers: Headers) => void, thisArgument?: unknown): void {
    for (const [name, value] of this.#headers()) callback.call(thisArgument, value, name, this as unknown as Headers);
  }

  keys(): IterableIterator<string> {
    return this.#headers().keys();
  }

  values(): IterableIterator<string> {
    return this.#headers().values();
  }

  entries(): IterableIterator<[string, string]> {
    return this.#headers().entries();
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.#headers().entries();
  }

  [inspect.custom](depth: number, options: object): string {
    return inspect(this.#headers(), { ...options, depth });
  }

  #headers(): Headers {
    return (this.#real ??= parse(this.#text, this.#start));
  }
}

standInFor(LightHeaders, NativeHeaders);

/** The value of a header by its lower-case name: of repeated ones all, combined; undefined when there is none. */
export function lookup(text: string, start: number, name: string): string | undefined {
  let found: string | undefined;
  for (let at = start; at < text.length; ) {
    const colon = text.indexOf(":", at);
    if (colon < 0) break;
    let end = text.indexOf("\r\n", colon);
    if (end < 0) end = text.length;
    if (colon - at === name.length && isSameName(text, at, name)) {
      const value = trimmed(text, colon + 1, end);
      // Cookie is the one field whose parts are joined otherwise (RFC 6265, section 5.4).
      found = found === undefined ? value : `${found}${name === "cookie" ? "; " : ", "}${value}`;
    }
    at = end + 2;
  }
  return found;
}

function parse(text: string, start: number): Headers {
  const headers = new NativeHeaders();
  for (let at = start; at < text.length; ) {
    const colon = text.indexOf(":", at);
    if (colon < 0) break;
    let end = text.indexOf("\r\n", colon);
    if (end < 0) end = text.length;
    headers.append(text.slice(at, colon), trimmed(text, colon + 1, end));
    at = end + 2;
  }
  return headers;
}

/** Compares with a lower-case name. Setting bit 5 makes letters lower case; the other token characters that it would mix up are checked exactly. */
function isSameName(text: string, at: number, name: string): boolean {
  for (let index = 0; index < name.length; index++) {
    const wanted = name.charCodeAt(index);
    const code = text.charCodeAt(at + index);
    if (code !== wanted && (wanted < 0x61 || wanted > 0x7a || (code | 0x20) !== wanted)) return false;
  }
  return true;
}

function trimmed(text: string, start: number, end: number): string {
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
