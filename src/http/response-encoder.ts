/**
 * Encodes answers in place, in the room that the driver gives. The part of a head that repeats (status line, Date, Content-Type, Connection,
 * and the name of the length field) is a template: bytes made once per combination, whose Date is brought up to date when the second changes.
 *
 *     HTTP/1.1 200 OK\r\nDate: …\r\nContent-Type: …\r\nContent-Length: ⟩ digits ⟨\r\n⟩ further fields ⟨\r\n⟩ body
 */
import { assert } from "../assert.js";
import { WRITE_BLOCK_BYTES_MAX } from "../constants.js";
import type { Driver } from "../driver/contract.js";
import type { CoarseClock } from "./http-date.js";
import { reasonPhrase, STATUS_MAX, STATUS_MIN, statusHasNoBody } from "./status.js";

/** What an answer says about the connection: nothing (HTTP/1.1 stays open), `close`, or `keep-alive` to an HTTP/1.0 client that asked. */
export const CONNECTION_DEFAULT = 0;
export const CONNECTION_CLOSE = 1;
export const CONNECTION_KEEP = 2;

/** How the end of a body is told: by its length, not at all (no body, or the connection's end), by chunked coding. */
const FRAMING_LENGTH = 0;
const FRAMING_NONE = 1;
const FRAMING_CHUNKED = 2;
const FRAMINGS = 3;

/** Lengths for {@link ResponseEncoder.head}. */
export const LENGTH_CHUNKED = -1;
export const LENGTH_UNTIL_CLOSE = -2;

/** Results of {@link ResponseEncoder.whole} below 0. */
export const NO_ROOM = -1;
export const TOO_LARGE = -2;

/** Content types with a template, by index. Index 0 is none; those that programs set themselves are added behind. */
export const TYPE_NONE = 0;
export const TYPE_TEXT = 1;
export const TYPE_HTML = 2;
export const TYPE_JSON = 3;
export const TYPE_BYTES = 4;
export const TYPE_EVENTS = 5;
const TYPES_FIRST = [
  "",
  "text/plain; charset=utf-8",
  "text/html; charset=utf-8",
  "application/json",
  "application/octet-stream",
  "text/event-stream",
] as const;
const TYPES_MAX = 64;

/** Texts up to this length are written by a loop; a call into Node costs more. */
const LOOP_TEXT_MAX = 24;
const CR = 0x0d;
const LF = 0x0a;
/** `\r\n\r\n` as a little-endian word. */
const CRLF_CRLF = 0x0a0d_0a0d;
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
const SWITCHING = "HTTP/1.1 101 Switching Protocols\r\n";

interface HeadTemplate {
  readonly key: number;
  readonly status: number;
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly length: number;
  readonly dateOffset: number;
  epochSeconds: number;
}

/** Writes answers into the driver's memory and commits them. One per server. */
export class ResponseEncoder {
  readonly #driver: Driver;
  readonly #clock: CoarseClock;
  readonly #out: Buffer;
  readonly #outView: DataView;
  /** By connection, framing and content type: a table by status. */
  readonly #templates: ((HeadTemplate | undefined)[] | undefined)[] = [];
  #lastTemplate: HeadTemplate;
  readonly #types: string[] = [...TYPES_FIRST];
  readonly #typeIndexes = new Map<string, number>(TYPES_FIRST.map((type, index) => [type, index]));

  constructor(driver: Driver, clock: CoarseClock) {
    const { writeBytes } = driver;
    this.#driver = driver;
    this.#clock = clock;
    this.#out = Buffer.from(writeBytes.buffer, writeBytes.byteOffset, writeBytes.length);
    this.#outView = new DataView(writeBytes.buffer, writeBytes.byteOffset, writeBytes.length);
    const key = FRAMING_LENGTH * TYPES_MAX + TYPE_TEXT;
    this.#lastTemplate = this.#makeTemplate(200, CONNECTION_DEFAULT, FRAMING_LENGTH, TYPE_TEXT, key);
  }

  /** The index of a content type, or -1 for one that has to travel among the other fields: there are too many, or it is not ASCII. */
  typeIndex(type: string): number {
    const known = this.#typeIndexes.get(type);
    if (known !== undefined) return known;
    if (this.#types.length === TYPES_MAX || !/^[\x20-\x7e]*$/.test(type)) return -1;
    this.#types.push(type);
    this.#typeIndexes.set(type, this.#types.length - 1);
    return this.#types.length - 1;
  }

  /** The content type of an index; undefined for none. */
  typeText(index: number): string | undefined {
    return index === TYPE_NONE ? undefined : this.#types[index];
  }

  /**
   * Commits a whole answer and returns its size in bytes, or {@link TOO_LARGE} (above one write block: use `head` and send the body in pieces),
   * or {@link NO_ROOM}. `headers` is flat, name after value, checked before. `headOnly` answers HEAD.
   */
  whole(
    slot: number,
    status: number,
    connection: number,
    type: number,
    headers: readonly string[] | undefined,
    body: string | Uint8Array | null,
    headOnly: boolean,
  ): number {
    if (body === null || statusHasNoBody(status))
      return this.#bodiless(slot, status, connection, type, headers, headOnly);
    if (typeof body === "string") {
      const template = this.#template(status, connection, FRAMING_LENGTH, type);
      if (body.length > LOOP_TEXT_MAX || headOnly || headers !== undefined)
        return this.#text(slot, template, headers, body, headOnly);
      const written = this.#shortText(slot, template, body);
      return written === 0 ? this.#text(slot, template, undefined, body, false) : written;
    }
    const template = this.#template(status, connection, FRAMING_LENGTH, type);
    const size = headSize(template, body.length, headers) + (headOnly ? 0 : body.length);
    if (size > WRITE_BLOCK_BYTES_MAX) return TOO_LARGE;
    const offset = this.#driver.reserve(slot, size);
    if (offset < 0) return NO_ROOM;
    const position = this.#head(offset, template, body.length, headers);
    if (!headOnly) this.#out.set(body, position);
    this.#driver.commit(slot, size);
    return size;
  }

  /** Commits the head of an answer whose body follows; `length` in bytes, or {@link LENGTH_CHUNKED}, or {@link LENGTH_UNTIL_CLOSE}. */
  head(
    slot: number,
    status: number,
    connection: number,
    type: number,
    headers: readonly string[] | undefined,
    length: number,
  ): number {
    const framing = length >= 0 ? FRAMING_LENGTH : length === LENGTH_CHUNKED ? FRAMING_CHUNKED : FRAMING_NONE;
    const template = this.#template(status, connection, framing, type);
    const size = headSize(template, length, headers);
    if (size > WRITE_BLOCK_BYTES_MAX) return TOO_LARGE;
    const offset = this.#driver.reserve(slot, size);
    if (offset < 0) return NO_ROOM;
    this.#head(offset, template, length, headers);
    this.#driver.commit(slot, size);
    return size;
  }

  /** Commits `100 Continue`. Returns its size or {@link NO_ROOM}. */
  continue(slot: number): number {
    return this.raw(slot, CONTINUE);
  }

  /** Commits `101 Switching Protocols` with the protocol's own fields and the program's. Returns its size, {@link NO_ROOM} or {@link TOO_LARGE}. */
  switching(slot: number, fields: readonly string[], headers: readonly string[] | undefined): number {
    let text = SWITCHING;
    for (const list of [fields, headers ?? []]) {
      for (let index = 0; index < list.length; index += 2) text += `${list[index]}: ${list[index + 1]}\r\n`;
    }
    text += "\r\n";
    return text.length > WRITE_BLOCK_BYTES_MAX ? TOO_LARGE : this.raw(slot, text);
  }

  /** Commits ASCII text as it is, such as the end of a chunked body. */
  raw(slot: number, text: string): number {
    const offset = this.#driver.reserve(slot, text.length);
    if (offset < 0) return NO_ROOM;
    this.#ascii(offset, text);
    this.#driver.commit(slot, text.length);
    return text.length;
  }

  /** Commits `length` body bytes as they are. */
  piece(slot: number, bytes: Uint8Array, start: number, length: number): number {
    const offset = this.#driver.reserve(slot, length);
    if (offset < 0) return NO_ROOM;
    this.#out.set(start === 0 && length === bytes.length ? bytes : bytes.subarray(start, start + length), offset);
    this.#driver.commit(slot, length);
    return length;
  }

  /** Commits `length` body bytes as one chunk (RFC 9112, section 7.1). */
  chunk(slot: number, bytes: Uint8Array, start: number, length: number): number {
    const sizeText = length.toString(16);
    const size = sizeText.length + 2 + length + 2;
    const offset = this.#driver.reserve(slot, size);
    if (offset < 0) return NO_ROOM;
    const out = this.#out;
    const position = this.#crlf(this.#ascii(offset, sizeText));
    out.set(start === 0 && length === bytes.length ? bytes : bytes.subarray(start, start + length), position);
    this.#crlf(position + length);
    this.#driver.commit(slot, size);
    return size;
  }

  #bodiless(
    slot: number,
    status: number,
    connection: number,
    type: number,
    headers: readonly string[] | undefined,
    headOnly: boolean,
  ): number {
    // 204 must not carry a length, and a 304 or an answer to HEAD without a body does not know the one that it would tell (RFC 9110, 8.6).
    const hasNoLength = statusHasNoBody(status) || headOnly;
    const template = this.#template(
      status,
      connection,
      hasNoLength ? FRAMING_NONE : FRAMING_LENGTH,
      status === 204 ? TYPE_NONE : type,
    );
    const length = hasNoLength ? LENGTH_UNTIL_CLOSE : 0;
    const size = headSize(template, length, headers);
    if (size > WRITE_BLOCK_BYTES_MAX) return TOO_LARGE;
    const offset = this.#driver.reserve(slot, size);
    if (offset < 0) return NO_ROOM;
    this.#head(offset, template, length, headers);
    this.#driver.commit(slot, size);
    return size;
  }

  #text(
    slot: number,
    template: HeadTemplate,
    headers: readonly string[] | undefined,
    text: string,
    headOnly: boolean,
  ): number {
    const length = Buffer.byteLength(text, "utf8");
    const size = headSize(template, length, headers) + (headOnly ? 0 : length);
    if (size > WRITE_BLOCK_BYTES_MAX) return TOO_LARGE;
    const offset = this.#driver.reserve(slot, size);
    if (offset < 0) return NO_ROOM;
    const position = this.#head(offset, template, length, headers);
    if (!headOnly) this.#out.utf8Write(text, position, length);
    this.#driver.commit(slot, size);
    return size;
  }

  /** The commonest answer: a short ASCII text without further fields. Returns 0, and has sent nothing, when the text is not ASCII. */
  #shortText(slot: number, template: HeadTemplate, text: string): number {
    const length = text.length;
    assert(length < 100, "a short text's length has at most two digits");
    const size = template.length + (length < 10 ? 5 : 6) + length;
    const offset = this.#driver.reserve(slot, size);
    if (offset < 0) return NO_ROOM;
    const out = this.#out;
    let position = this.#copyTemplate(offset, template);
    if (length >= 10) out[position++] = 0x30 + ((length / 10) | 0);
    out[position] = 0x30 + (length % 10);
    this.#outView.setInt32(position + 1, CRLF_CRLF, true);
    position += 5;
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) {
        this.#driver.abort(slot);
        return 0;
      }
      out[position + index] = code;
    }
    this.#driver.commit(slot, size);
    return size;
  }

  /** Writes a head and returns the position behind it. */
  #head(offset: number, template: HeadTemplate, length: number, headers: readonly string[] | undefined): number {
    let position = this.#copyTemplate(offset, template);
    if (length >= 0) position = this.#crlf(this.#digits(position, length));
    if (headers !== undefined) {
      for (let index = 0; index < headers.length; index += 2) {
        position = this.#ascii(position, headers[index]!);
        this.#out[position] = 0x3a;
        this.#out[position + 1] = 0x20;
        position = this.#crlf(this.#ascii(position + 2, headers[index + 1]!));
      }
    }
    return this.#crlf(position);
  }

  /**
   * Eight bytes at a time, as a float: a template is ASCII, so no eight of its bytes are a NaN, the one value that a float copy may change.
   * The last word overlaps the one before it, so that nothing is written behind the template.
   */
  #copyTemplate(offset: number, template: HeadTemplate): number {
    const { view, length } = template;
    const out = this.#outView;
    const last = length - 8;
    for (let index = 0; index < last; index += 8) out.setFloat64(offset + index, view.getFloat64(index, true), true);
    out.setFloat64(offset + last, view.getFloat64(last, true), true);
    return offset + length;
  }

  #refreshDate(template: HeadTemplate): void {
    template.epochSeconds = this.#clock.epochSeconds;
    template.bytes.latin1Write(this.#clock.dateText, template.dateOffset, this.#clock.dateText.length);
  }

  #digits(position: number, value: number): number {
    const end = position + digitCount(value);
    const out = this.#out;
    let rest = value;
    for (let at = end - 1; at >= position; at--) {
      const next = Math.floor(rest / 10);
      out[at] = 0x30 + rest - next * 10;
      rest = next;
    }
    return end;
  }

  #crlf(position: number): number {
    this.#out[position] = CR;
    this.#out[position + 1] = LF;
    return position + 2;
  }

  /** Writes text of which each character is one byte. */
  #ascii(position: number, text: string): number {
    const length = text.length;
    if (length > LOOP_TEXT_MAX) {
      this.#out.latin1Write(text, position, length);
      return position + length;
    }
    const out = this.#out;
    for (let index = 0; index < length; index++) out[position + index] = text.charCodeAt(index);
    return position + length;
  }

  /** The template of a combination, its Date brought up to date. Most answers have the combination of the one before. */
  #template(status: number, connection: number, framing: number, type: number): HeadTemplate {
    const last = this.#lastTemplate;
    const key = (connection * FRAMINGS + framing) * TYPES_MAX + type;
    const template =
      last.key === key && last.status === status ? last : this.#findTemplate(status, connection, framing, type, key);
    if (template.epochSeconds !== this.#clock.epochSeconds) this.#refreshDate(template);
    return template;
  }

  #findTemplate(status: number, connection: number, framing: number, type: number, key: number): HeadTemplate {
    const known = this.#templates[key]?.[status - STATUS_MIN];
    const template = known ?? this.#makeTemplate(status, connection, framing, type, key);
    this.#lastTemplate = template;
    return template;
  }

  #makeTemplate(status: number, connection: number, framing: number, type: number, key: number): HeadTemplate {
    while (this.#templates.length <= key) this.#templates.push(undefined);
    const table = (this.#templates[key] ??= new Array<HeadTemplate | undefined>(STATUS_MAX - STATUS_MIN + 1).fill(
      undefined,
    ));
    const start = `HTTP/1.1 ${status} ${reasonPhrase(status)}\r\nDate: `;
    let text = `${start}${this.#clock.dateText}\r\n`;
    if (type !== TYPE_NONE) text += `Content-Type: ${this.#types[type]}\r\n`;
    if (connection === CONNECTION_CLOSE) text += "Connection: close\r\n";
    if (connection === CONNECTION_KEEP) text += "Connection: keep-alive\r\n";
    if (framing === FRAMING_LENGTH) text += "Content-Length: ";
    if (framing === FRAMING_CHUNKED) text += "Transfer-Encoding: chunked\r\n";
    const bytes = Buffer.allocUnsafeSlow(text.length);
    bytes.latin1Write(text, 0, text.length);
    const template: HeadTemplate = {
      key,
      status,
      bytes,
      view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length),
      length: text.length,
      dateOffset: start.length,
      epochSeconds: this.#clock.epochSeconds,
    };
    table[status - STATUS_MIN] = template;
    return template;
  }
}

function headSize(template: HeadTemplate, length: number, headers: readonly string[] | undefined): number {
  let size = template.length + 2;
  if (length >= 0) size += digitCount(length) + 2;
  if (headers !== undefined) {
    for (let index = 0; index < headers.length; index += 2)
      size += headers[index]!.length + headers[index + 1]!.length + 4;
  }
  return size;
}

function digitCount(value: number): number {
  if (value < 10) return 1;
  if (value < 100) return 2;
  if (value < 1000) return 3;
  if (value < 10_000) return 4;
  let count = 4;
  for (let rest = Math.floor(value / 10_000); rest > 0; rest = Math.floor(rest / 10)) count += 1;
  return count;
}
