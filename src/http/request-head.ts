/**
 * The head of one request as bytes and spans: where its target, its names and its values lie. Nothing is made a string before
 * somebody asks for it.
 *
 * Two kinds exist. The live head belongs to the parser and points into the receive slab; it is valid while the request is being dispatched. A
 * head from the {@link HeadPool} has bytes of its own, for a request that outlives its receive buffer.
 */
import { assert } from "../assert.js";
import type { HttpStats } from "./stats.js";

/** Int32 words per header in {@link RequestHead.spans}: name start, name length, value start, value length. */
export const SPAN_WORDS = 4;
/** Parameters that one route can have. */
export const PARAMS_MAX = 16;

/** What the last span callback belonged to, so that a span split over two receives is put together. */
export const SPAN_NONE = 0;
export const SPAN_NAME = 1;
export const SPAN_VALUE = 2;

/** Bytes that a pooled head has room for at first. */
const HEAD_BYTES_FIRST = 2048;
/** Pooled heads kept for reuse. */
const FREE_HEADS_MAX = 1024;

/** Length of ` HTTP/1.1`. */
const VERSION_BYTES = 9;

const EMPTY = Buffer.alloc(0);
const NO_NAMES: readonly string[] = [];

/** Spans of one request's head, and the bytes that they point into. */
export class RequestHead {
  /** What the spans point into. */
  bytes: Buffer;
  /** Bytes in use, for a pooled head that is being put together. */
  used = 0;
  readonly spans: Int32Array;
  headerCount = 0;
  spanKind = SPAN_NONE;
  /** llhttp's number of the method. */
  method = 0;
  minorVersion = 1;
  /** The whole request target. */
  targetStart = 0;
  targetLength = 0;
  /** The path within the target; in absolute form it starts behind the authority. */
  pathStart = 0;
  pathLength = 0;
  /** The query without its question mark; start is -1 when there is none. */
  queryStart = -1;
  queryLength = 0;
  /** Header index of Host, or -1. */
  hostIndex = -1;
  /** Whether the target is in absolute form, so that its authority stands for the Host field (RFC 9112, section 3.2.2). */
  isAbsolute = false;
  /** Whether the path contains a percent sign. */
  isEscaped = false;
  /** What parameter spans point into: `bytes`, or the normalised copy of an escaped path. */
  pathBytes: Buffer;
  paramCount = 0;
  /** Names of the matched route's parameters. */
  paramNames: readonly string[] = NO_NAMES;
  /** Start and length of each parameter, in `pathBytes`. */
  readonly params = new Int32Array(PARAMS_MAX * 2);

  constructor(bytes: Buffer, headersMax: number) {
    this.bytes = bytes;
    this.pathBytes = bytes;
    this.spans = new Int32Array(headersMax * SPAN_WORDS);
  }

  /** Forgets the previous request. */
  reset(): void {
    this.headerCount = 0;
    this.spanKind = SPAN_NONE;
    this.targetLength = 0;
    this.paramCount = 0;
    this.used = 0;
  }

  /** Where the last span of the head ends, or the request line when there is no header. */
  end(): number {
    const { headerCount, spans } = this;
    if (headerCount === 0) return this.targetStart + this.targetLength + VERSION_BYTES;
    const last = (headerCount - 1) * SPAN_WORDS;
    const valueEnd = spans[last + 2]! + spans[last + 3]!;
    return this.spanKind === SPAN_NAME ? spans[last]! + spans[last + 1]! : valueEnd;
  }

  /** The request target as text: `/hello?x=1`. */
  target(): string {
    return this.bytes.latin1Slice(this.targetStart, this.targetStart + this.targetLength);
  }

  /** The path as it was sent, percent-encoded. */
  path(): string {
    return this.bytes.latin1Slice(this.pathStart, this.pathStart + this.pathLength);
  }

  /** The query as it was sent, without its question mark. */
  query(): string {
    return this.queryStart < 0 ? "" : this.bytes.latin1Slice(this.queryStart, this.queryStart + this.queryLength);
  }

  /** The authority that the request is for: that of an absolute target, else Host. */
  authority(): string {
    if (this.isAbsolute) {
      const text = this.bytes.latin1Slice(this.targetStart, this.pathStart);
      return text.slice(text.indexOf("//") + 2);
    }
    return this.hostIndex < 0 ? "" : this.value(this.hostIndex);
  }

  /** A path parameter as it was sent, percent-encoded. */
  param(index: number): string {
    const start = this.params[index * 2]!;
    return asciiText(this.pathBytes, start, this.params[index * 2 + 1]!);
  }

  /** Name of the header at `index`, as it was sent. */
  name(index: number): string {
    const at = index * SPAN_WORDS;
    const start = this.spans[at]!;
    return this.bytes.latin1Slice(start, start + this.spans[at + 1]!);
  }

  /** Value of the header at `index` without surrounding whitespace, one latin-1 character a byte. */
  value(index: number): string {
    const at = index * SPAN_WORDS;
    const start = this.spans[at + 2]!;
    return this.bytes.latin1Slice(start, this.#trimmedEnd(start, this.spans[at + 3]!));
  }

  /** Index of the first header called `name` (any case) at `from` or later, or -1. */
  find(name: string, from: number): number {
    const { bytes, spans, headerCount } = this;
    const length = name.length;
    for (let index = from; index < headerCount; index++) {
      const at = index * SPAN_WORDS;
      if (spans[at + 1] !== length) continue;
      if (equalsIgnoringCase(bytes, spans[at]!, name)) return index;
    }
    return -1;
  }

  /** Whether the value at `index` is `text` (lower case), in any case and with any surrounding whitespace. */
  valueEquals(index: number, text: string): boolean {
    const at = index * SPAN_WORDS;
    const start = this.spans[at + 2]!;
    const end = this.#trimmedEnd(start, this.spans[at + 3]!);
    return end - start === text.length && equalsIgnoringCase(this.bytes, start, text);
  }

  /**
   * The value of `name`, or undefined. Several lines of one name are joined with `, `, those of Cookie with `; ` (RFC 9110, section 5.3;
   * RFC 6265, section 5.4).
   */
  header(name: string): string | undefined {
    const first = this.find(name, 0);
    if (first < 0) return undefined;
    let value = this.value(first);
    for (let index = this.find(name, first + 1); index >= 0; index = this.find(name, index + 1)) {
      value += (equalsText(name, "cookie") ? "; " : ", ") + this.value(index);
    }
    return value;
  }

  /** The head from its target to the end of its last value, as it was sent. */
  text(): string {
    return this.bytes.latin1Slice(this.targetStart, this.end());
  }

  /** Makes this pooled head a copy of `source`, whose bytes from its target on move to the start of this one's. */
  copyFrom(source: RequestHead): void {
    assert(source !== this, "a head is copied to another one");
    const from = source.targetStart;
    const length = source.end() - from;
    this.#reserve(length, 0);
    source.bytes.copy(this.bytes, 0, from, from + length);
    this.used = length;
    this.method = source.method;
    this.minorVersion = source.minorVersion;
    this.#copyTarget(source, from);
    this.#copySpans(source, from);
    this.#copyParams(source, from);
  }

  /**
   * Starts to put a head together from a receive that ends inside it: takes over `source`'s spans and the bytes from `from` to `to`,
   * which include whatever is needed of it.
   */
  beginFrom(source: RequestHead, from: number, to: number): void {
    this.used = 0;
    this.append(source.bytes, from, to - from);
    this.#copyTarget(source, from);
    this.#copySpans(source, from);
    this.spanKind = source.spanKind;
  }

  /** Adds received bytes at the end. */
  append(bytes: Buffer, from: number, length: number): void {
    this.#reserve(this.used + length, this.used);
    bytes.copy(this.bytes, this.used, from, from + length);
    this.used += length;
  }

  /** Bytes of memory that this head holds. */
  get capacityBytes(): number {
    return this.bytes.length + this.spans.byteLength;
  }

  /** Lets go of whatever is larger than a fresh head. */
  trim(): void {
    if (this.bytes.length > HEAD_BYTES_FIRST) this.bytes = Buffer.allocUnsafeSlow(HEAD_BYTES_FIRST);
    this.pathBytes = this.bytes;
  }

  #copyTarget(source: RequestHead, from: number): void {
    this.targetStart = source.targetStart - from;
    this.targetLength = source.targetLength;
    this.pathStart = source.pathStart - from;
    this.pathLength = source.pathLength;
    this.queryStart = source.queryStart < 0 ? -1 : source.queryStart - from;
    this.queryLength = source.queryLength;
    this.hostIndex = source.hostIndex;
    this.isAbsolute = source.isAbsolute;
    this.isEscaped = source.isEscaped;
  }

  #copySpans(source: RequestHead, from: number): void {
    const { headerCount } = source;
    this.headerCount = headerCount;
    this.spanKind = source.spanKind;
    const words = headerCount * SPAN_WORDS;
    const target = this.spans;
    const spans = source.spans;
    for (let at = 0; at < words; at += SPAN_WORDS) {
      target[at] = spans[at]! - from;
      target[at + 1] = spans[at + 1]!;
      target[at + 2] = spans[at + 2]! - from;
      target[at + 3] = spans[at + 3]!;
    }
  }

  #copyParams(source: RequestHead, from: number): void {
    const isNormalised = source.pathBytes !== source.bytes;
    this.pathBytes = isNormalised ? source.pathBytes : this.bytes;
    const shift = isNormalised ? 0 : from;
    this.paramCount = source.paramCount;
    this.paramNames = source.paramNames;
    for (let index = 0; index < source.paramCount; index++) {
      this.params[index * 2] = source.params[index * 2]! - shift;
      this.params[index * 2 + 1] = source.params[index * 2 + 1]!;
    }
  }

  #reserve(length: number, keep: number): void {
    if (length <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(length, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, keep);
    this.bytes = larger;
    this.pathBytes = larger;
  }

  #trimmedEnd(start: number, length: number): number {
    let end = start + length;
    while (end > start && (this.bytes[end - 1] === 0x20 || this.bytes[end - 1] === 0x09)) end -= 1;
    return end;
  }
}

/** Heads with memory of their own, reused; bounded in bytes. */
export class HeadPool {
  readonly #headersMax: number;
  readonly #headsMax: number;
  readonly #free: RequestHead[] = [];
  readonly #stats: HttpStats;

  /** `headBytesMax` is the longest head; the pool never exceeds `poolBytesMax` even if every head is that long. */
  constructor(headersMax: number, headBytesMax: number, poolBytesMax: number, stats: HttpStats) {
    this.#headersMax = headersMax;
    this.#stats = stats;
    this.#headsMax = Math.max(
      1,
      Math.floor(poolBytesMax / (Math.max(headBytesMax, HEAD_BYTES_FIRST) + headersMax * SPAN_WORDS * 4)),
    );
  }

  /** A head, or undefined when all are in use. */
  acquire(): RequestHead | undefined {
    if (this.#stats.headArenasNow >= this.#headsMax) return undefined;
    this.#stats.headArenasNow += 1;
    const head = this.#free.pop() ?? new RequestHead(Buffer.allocUnsafeSlow(HEAD_BYTES_FIRST), this.#headersMax);
    head.reset();
    return head;
  }

  release(head: RequestHead): void {
    assert(this.#stats.headArenasNow > 0, "a released head was acquired");
    this.#stats.headArenasNow -= 1;
    if (this.#free.length >= FREE_HEADS_MAX) return;
    head.trim();
    this.#free.push(head);
  }
}

/** A head with nothing in it, for a parser that has none yet. */
export function emptyHead(headersMax: number): RequestHead {
  return new RequestHead(EMPTY, headersMax);
}

/** ASCII letters to lower case, everything else to itself. */
export const LOWER_CASE: Uint8Array = lowerCaseTable();

function lowerCaseTable(): Uint8Array {
  const table = new Uint8Array(256);
  for (let byte = 0; byte < 256; byte++) table[byte] = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
  return table;
}

function equalsIgnoringCase(bytes: Buffer, start: number, text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    if (LOWER_CASE[bytes[start + index]!] !== LOWER_CASE[text.charCodeAt(index) & 0xff]) return false;
  }
  return true;
}

function equalsText(left: string, right: string): boolean {
  return left.length === right.length && left.toLowerCase() === right;
}

/**
 * ASCII bytes as text. Up to eight of them cost less one by one than a call into Node, which takes about 100 ns.
 */
function asciiText(bytes: Buffer, start: number, length: number): string {
  switch (length) {
    case 0:
      return "";
    case 1:
      return String.fromCharCode(bytes[start]!);
    case 2:
      return String.fromCharCode(bytes[start]!, bytes[start + 1]!);
    case 3:
      return String.fromCharCode(bytes[start]!, bytes[start + 1]!, bytes[start + 2]!);
    case 4:
      return String.fromCharCode(bytes[start]!, bytes[start + 1]!, bytes[start + 2]!, bytes[start + 3]!);
    case 5:
    case 6:
    case 7:
    case 8:
      return asciiText(bytes, start, 4) + asciiText(bytes, start + 4, length - 4);
    default:
      return bytes.latin1Slice(start, start + length);
  }
}
