/**
 * A short cut past llhttp for the heads that most requests have: GET, origin form, HTTP/1.1, no body, whole and short. One pass over the bytes does
 * what llhttp, its six callbacks and the checks of `request-checks.ts` do, and fills the same {@link RequestHead}.
 *
 * It accepts a strict subset of what llhttp accepts, and refuses nothing: whatever is not of that subset, be it unusual or wrong, is parsed by llhttp from its
 * first byte, as if this file did not exist. So it can only be as strict, and `simple-head.test.ts` holds the two against each other.
 * Left to llhttp: every other method, any header that speaks of the connection or of a body (but `Connection: keep-alive`), bytes outside ASCII,
 * empty values, folded lines, a missing or repeated Host.
 */
import { METHOD_GET } from "./methods.js";
import { isHostValue } from "./request-checks.js";
import { LOWER_CASE, type RequestHead, SPAN_VALUE, SPAN_WORDS } from "./request-head.js";

/** Heads longer than this are llhttp's, which reads long values many bytes at a time. */
export const SIMPLE_HEAD_BYTES_MAX = 256;

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const SLASH = 0x2f;
const COLON = 0x3a;
const QUESTION = 0x3f;
const PERCENT = 0x25;

/** Classes of bytes. */
const TOKEN = 1;
const TARGET = 2;
const VALUE = 4;
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
  // RFC 3986, section 3.3 and 3.4: pchar, "/", "?".
  add(`${alphanumeric}-._~%!$&'()*+,;=:@/?`, TARGET);
  for (let code = SPACE; code < 0x7f; code++) classes[code] = classes[code]! | VALUE;
  return classes;
}

/**
 * Reads the head that starts at `start`. Returns where the next message would start, or -1 when the bytes up to `end` do not begin with a
 * simple and whole head; `head` then holds nothing of use.
 */
export function readSimpleHead(head: RequestHead, start: number, end: number): number {
  const { bytes } = head;
  if (end - start < 18 || bytes[start] !== 0x47 || bytes[start + 1] !== 0x45 || bytes[start + 2] !== 0x54) return -1;
  if (bytes[start + 3] !== SPACE || bytes[start + 4] !== SLASH) return -1;
  const limit = end - start > SIMPLE_HEAD_BYTES_MAX ? start + SIMPLE_HEAD_BYTES_MAX : end;
  const afterTarget = readTarget(head, bytes, start + 4, limit);
  if (afterTarget < 0) return -1;
  return readFields(head, bytes, afterTarget, limit);
}

/** Returns the position behind the request line, or -1. */
function readTarget(head: RequestHead, bytes: Buffer, start: number, limit: number): number {
  let at = start;
  let isEscaped = false;
  let query = -1;
  for (; at < limit; at++) {
    const byte = bytes[at]!;
    if ((CLASSES[byte]! & TARGET) === 0) break;
    if (byte === PERCENT) isEscaped ||= query < 0;
    else if (byte === QUESTION && query < 0) query = at;
  }
  // " HTTP/1.1\r\n"
  if (at + 11 > limit || bytes[at] !== SPACE || bytes[at + 1] !== 0x48 || bytes[at + 2] !== 0x54) return -1;
  if (bytes[at + 3] !== 0x54 || bytes[at + 4] !== 0x50 || bytes[at + 5] !== SLASH || bytes[at + 6] !== 0x31) return -1;
  if (bytes[at + 7] !== 0x2e || bytes[at + 8] !== 0x31 || bytes[at + 9] !== CR || bytes[at + 10] !== LF) return -1;
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
  return at + 11;
}

/** Returns the position behind the head, or -1. */
function readFields(head: RequestHead, bytes: Buffer, start: number, limit: number): number {
  const { spans } = head;
  const wordsMax = spans.length;
  let at = start;
  let word = 0;
  let host = -1;
  while (at + 1 < limit) {
    if (bytes[at] === CR) {
      if (bytes[at + 1] !== LF || host < 0) return -1;
      head.headerCount = word / SPAN_WORDS;
      head.spanKind = SPAN_VALUE;
      head.hostIndex = host;
      return isHostValue(head, host) ? at + 2 : -1;
    }
    if (word === wordsMax) return -1;
    const name = at;
    while (at < limit && (CLASSES[bytes[at]!]! & TOKEN) !== 0) at += 1;
    const nameLength = at - name;
    if (nameLength === 0 || at >= limit || bytes[at] !== COLON) return -1;
    at += 1;
    while (at < limit && (bytes[at] === SPACE || bytes[at] === TAB)) at += 1;
    const value = at;
    while (at < limit && (CLASSES[bytes[at]!]! & VALUE) !== 0) at += 1;
    if (at === value || at + 1 >= limit || bytes[at] !== CR || bytes[at + 1] !== LF) return -1;
    spans[word] = name;
    spans[word + 1] = nameLength;
    spans[word + 2] = value;
    spans[word + 3] = at - value;
    if (nameLength === 4) {
      if (isNamed(bytes, name, "host")) {
        if (host >= 0) return -1;
        host = word / SPAN_WORDS;
      }
    } else if (isForLlhttp(bytes, name, nameLength, value, at - value)) {
      return -1;
    }
    word += SPAN_WORDS;
    at += 2;
  }
  return -1;
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
