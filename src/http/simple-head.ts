/**
 * A short cut past llhttp for the heads that most requests have: GET, origin form, HTTP/1.1, no body, whole and short. One pass over the bytes does
 * what llhttp, its six callbacks and the checks of `request-checks.ts` do, and fills the same {@link RequestHead}.
 *
 * It accepts a strict subset of what llhttp accepts, and refuses nothing: whatever is not of that subset, be it unusual or wrong, is parsed by llhttp from its
 * first byte, as if this file did not exist. So it can only be as strict, and `simple-head.test.ts` holds the two against each other.
 * What llhttp has read is taken at its word when the same fields come again (`known-fields.ts`). Left to llhttp: every other method, any header that speaks of the connection or of a body (but `Connection: keep-alive`), bytes outside ASCII,
 * empty values, folded lines, a missing or repeated Host.
 */
import { KnownFields } from "./known-fields.js";
import { METHOD_GET } from "./methods.js";
import { isHostValue } from "./request-checks.js";
import { LOWER_CASE, type RequestHead, SPAN_VALUE, SPAN_WORDS } from "./request-head.js";

/** Heads longer than this are llhttp's, which reads long values many bytes at a time. */
export const SIMPLE_HEAD_BYTES_MAX = 256;

/** Bytes as little-endian words. */
const GET_ = 0x2054_4547; // "GET "
const _HTT = 0x5454_4820; // " HTT"
const P_1_ = 0x2e31_2f50; // "P/1."
const _1_CRLF = 0x0a0d_312e; // ".1\r\n"
const CRLF = 0x0a0d;
const CRLF_CRLF = 0x0a0d_0a0d;
/** ` HTTP/1.1` and the end of the line. */
const VERSION_BYTES = 11;
const HOST = 0x7473_6f68; // "host"
/** `GET / HTTP/1.1` and an empty line. */
const SHORTEST_BYTES = 18;
/** Longer hosts are checked each time. */
const KNOWN_HOST_BYTES_MAX = 64;
/** Words of a header in the spans, as a shift. */
const SPAN_SHIFT = 2;
const SPACE = 0x20;
const TAB = 0x09;
const SLASH = 0x2f;
const COLON = 0x3a;
const PERCENT = 0x25;

/** Classes of bytes. */
const TOKEN = 1;
const TARGET = 2;
const VALUE = 4;
/** Belongs to a target, and has a meaning there. */
const SPECIAL = 8;
const CLASSES: Uint8Array = byteClasses();

function byteClasses(): Uint8Array {
  const classes = new Uint8Array(256);
  const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  const add = (characters: string, bit: number): void => {
    for (const character of characters) {
      const code = character.charCodeAt(0);
      classes[code] = classes[code]! | bit;
    }
  };
  // RFC 9110, section 5.6.2.
  add(`${alphanumeric}!#$%&'*+-.^_\`|~`, TOKEN);
  for (let code = 0x21; code < 0x7f; code++) classes[code] = classes[code]! | (code === 0x23 ? 0 : TARGET);
  add("%?", SPECIAL);
  for (let code = SPACE; code < 0x7f; code++) classes[code] = classes[code]! | VALUE;
  return classes;
}

/** Reads simple heads out of one memory into one {@link RequestHead}. */
export class SimpleHeadReader {
  readonly #head: RequestHead;
  readonly #bytes: Buffer;
  readonly #view: DataView;
  /** The last Host that was checked and found valid; most requests of a server name the same one. */
  readonly #knownHost = new DataView(new ArrayBuffer(KNOWN_HOST_BYTES_MAX));
  #knownHostLength = 0;
  readonly #known: KnownFields;

  /** `view` is over the same memory as the bytes of `head`. */
  constructor(head: RequestHead, view: DataView) {
    this.#head = head;
    this.#bytes = head.bytes;
    this.#view = view;
    this.#known = new KnownFields(head, view);
  }

  /**
   * Reads the head that starts at `start`, of the connection `slot`. Returns where the next message would start, or -1 when the bytes up to `end` do not begin with
   * a whole head that is simple, or whose fields are known; the {@link RequestHead} then holds nothing of use.
   */
  read(start: number, end: number, slot: number): number {
    const view = this.#view;
    if (end - start < SHORTEST_BYTES || view.getInt32(start, true) !== GET_ || view.getUint8(start + 4) !== SLASH)
      return -1;
    const limit = end - start > SIMPLE_HEAD_BYTES_MAX ? start + SIMPLE_HEAD_BYTES_MAX : end;
    const afterTarget = this.#readTarget(start + 4, limit);
    if (afterTarget < 0) return -1;
    const known = this.#known.find(afterTarget, end, slot);
    if (known >= 0) return known;
    const next = this.#readFields(afterTarget, limit);
    if (next >= 0) this.#known.learn(afterTarget, next, slot);
    return next;
  }

  /**
   * llhttp has read a head that arrived whole on the connection `slot`, of a GET without anything that the short cut would have to know: its fields are known from now on,
   * however long they are.
   */
  learn(slot: number): void {
    const head = this.#head;
    const view = this.#view;
    const targetEnd = head.targetStart + head.targetLength;
    const start = targetEnd + VERSION_BYTES;
    const end = head.end();
    if (head.headerCount === 0 || head.spanKind !== SPAN_VALUE || end <= start) return;
    if (!isVersionLine(view, targetEnd) || view.getInt32(end, true) !== CRLF_CRLF) return;
    const { spans } = head;
    const words = head.headerCount << SPAN_SHIFT;
    // A field without a value has no position for it.
    for (let at = 0; at < words; at += SPAN_WORDS) if (spans[at + 2]! < start) return;
    if (spans[0] === start) this.#known.learn(start, end + 4, slot);
  }

  /** Returns the position behind the request line, or -1. */
  #readTarget(start: number, limit: number): number {
    const head = this.#head;
    const bytes = this.#bytes;
    const view = this.#view;
    let at = plainTargetEnd(view, start, limit);
    let isEscaped = false;
    let query = -1;
    for (; at < limit; at++) {
      const byte = bytes[at]!;
      const kind = CLASSES[byte]! & (TARGET | SPECIAL);
      if (kind === TARGET) continue;
      if (kind === 0) break;
      if (byte === PERCENT) isEscaped ||= query < 0;
      else if (query < 0) query = at;
    }
    if (at + VERSION_BYTES > limit || !isVersionLine(view, at)) return -1;
    head.method = METHOD_GET;
    head.minorVersion = 1;
    head.targetStart = start;
    head.targetLength = at - start;
    head.isAbsolute = false;
    head.isEscaped = isEscaped;
    head.pathStart = start;
    head.pathLength = (query < 0 ? at : query) - start;
    head.queryStart = query < 0 ? -1 : query + 1;
    head.queryLength = query < 0 ? 0 : at - query - 1;
    return at + VERSION_BYTES;
  }

  /** Returns the position behind the head, or -1. */
  #readFields(start: number, limit: number): number {
    const bytes = this.#bytes;
    const view = this.#view;
    const { spans } = this.#head;
    const wordsMax = spans.length;
    let at = start;
    let word = 0;
    let hostWord = -1;
    while (at + 1 < limit) {
      const name = at;
      const isHost = at + 5 < limit && (view.getInt32(at, true) | 0x2020_2020) === HOST && bytes[at + 4] === COLON;
      if (isHost) {
        if (hostWord >= 0) return -1;
        hostWord = word;
        at += 4;
      } else {
        while (at < limit && (CLASSES[bytes[at]!]! & TOKEN) !== 0) at += 1;
      }
      const nameLength = at - name;
      if (nameLength === 0) return this.#atEnd(at, limit, word, hostWord);
      if (word === wordsMax || at >= limit || bytes[at] !== COLON) return -1;
      at += 1;
      while (at < limit && (bytes[at] === SPACE || bytes[at] === TAB)) at += 1;
      const value = at;
      at = valueEnd(bytes, view, at, limit);
      if (at === value || at + 1 >= limit || view.getUint16(at, true) !== CRLF) return -1;
      if (!isHost && isForLlhttp(bytes, name, nameLength, value, at - value)) return -1;
      spans[word] = name;
      spans[word + 1] = nameLength;
      spans[word + 2] = value;
      spans[word + 3] = at - value;
      word += SPAN_WORDS;
      at += 2;
    }
    return -1;
  }

  /** The empty line, or something that is none. */
  #atEnd(at: number, limit: number, words: number, hostWord: number): number {
    if (at + 1 >= limit || this.#view.getUint16(at, true) !== CRLF || hostWord < 0) return -1;
    const head = this.#head;
    head.headerCount = words >>> SPAN_SHIFT;
    head.spanKind = SPAN_VALUE;
    head.hostIndex = hostWord >>> SPAN_SHIFT;
    return this.#isKnownHost(hostWord) || this.#checkHost(hostWord) ? at + 2 : -1;
  }

  #isKnownHost(hostWord: number): boolean {
    const { spans } = this.#head;
    const length = spans[hostWord + 3]!;
    if (length !== this.#knownHostLength || length < 4) return false;
    const start = spans[hostWord + 2]!;
    const view = this.#view;
    const known = this.#knownHost;
    const last = length - 4;
    for (let index = 0; index < last; index += 4) {
      if (view.getInt32(start + index, true) !== known.getInt32(index, true)) return false;
    }
    return view.getInt32(start + last, true) === known.getInt32(last, true);
  }

  #checkHost(hostWord: number): boolean {
    const head = this.#head;
    if (!isHostValue(head, hostWord >>> SPAN_SHIFT)) return false;
    const length = head.spans[hostWord + 3]!;
    if (length > KNOWN_HOST_BYTES_MAX) return true;
    const start = head.spans[hostWord + 2]!;
    for (let index = 0; index < length; index++) this.#knownHost.setUint8(index, this.#bytes[start + index]!);
    this.#knownHostLength = length;
    return true;
  }
}

function isVersionLine(view: DataView, at: number): boolean {
  return (
    view.getInt32(at, true) === _HTT && view.getInt32(at + 4, true) === P_1_ && view.getInt32(at + 7, true) === _1_CRLF
  );
}

/**
 * Skips bytes of a target four at a time, while all are 0x21 to 0x7e and none is `#`, `%` or `?`. llhttp takes exactly these (its `URL_CHAR`). The test for a
 * byte `b` is the test for a zero byte in `word ^ bbbb`.
 */
function plainTargetEnd(view: DataView, start: number, limit: number): number {
  let at = start;
  const lastWord = limit - 4;
  while (at <= lastWord) {
    const word = view.getInt32(at, true);
    const hash = word ^ 0x2323_2323;
    const percent = word ^ 0x2525_2525;
    const question = word ^ 0x3f3f_3f3f;
    const outside = (word - 0x2121_2121) | (word + 0x0101_0101) | word;
    const zeros =
      ((hash - 0x0101_0101) & ~hash) | ((percent - 0x0101_0101) & ~percent) | ((question - 0x0101_0101) & ~question);
    if (((outside | zeros) & 0x8080_8080) !== 0) break;
    at += 4;
  }
  return at;
}

/**
 * The first position from `start` on that is not 0x20 to 0x7e. Four bytes at a time: subtracting 0x20 sets the upper bit of a smaller byte, adding 1
 * that of 0x7f, and larger bytes have it.
 */
function valueEnd(bytes: Buffer, view: DataView, start: number, limit: number): number {
  let at = start;
  const lastWord = limit - 4;
  while (at <= lastWord) {
    const word = view.getInt32(at, true);
    if ((((word - 0x2020_2020) | (word + 0x0101_0101) | word) & 0x8080_8080) !== 0) break;
    at += 4;
  }
  while (at < limit && (CLASSES[bytes[at]!]! & VALUE) !== 0) at += 1;
  return at;
}

/** Whether a header may speak of the connection, of a body or of an expectation; by length and first letter, so that few names are compared. */
function isForLlhttp(bytes: Buffer, name: number, length: number, value: number, valueLength: number): boolean {
  switch (length) {
    case 6: // expect
      return (bytes[name]! | 0x20) === 0x65;
    case 7: // upgrade, trailer
    case 17: // transfer-encoding
      return (bytes[name]! | 0x20) === 0x75 || (bytes[name]! | 0x20) === 0x74;
    case 10: // connection, keep-alive
      if ((bytes[name]! | 0x20) === 0x6b) return true;
      return (
        (bytes[name]! | 0x20) === 0x63 &&
        !(isNamed(bytes, name, "connection") && valueLength === 10 && isNamed(bytes, value, "keep-alive"))
      );
    case 14: // content-length
      return (bytes[name]! | 0x20) === 0x63;
    case 16: // proxy-connection
      return (bytes[name]! | 0x20) === 0x70;
    default:
      return false;
  }
}

function isNamed(bytes: Buffer, start: number, name: string): boolean {
  for (let index = 0; index < name.length; index++) {
    if (LOWER_CASE[bytes[start + index]!] !== name.charCodeAt(index)) return false;
  }
  return true;
}
