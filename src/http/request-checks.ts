/**
 * What llhttp leaves to the server: the request line's exact form, the target, Host, the transfer coding and expectations. One pass over the
 * target and one over the names; nothing is allocated.
 */
import { FLAG_CHUNKED, FLAG_TRANSFER_ENCODING } from "./llhttp-numbers.js";
import { METHOD_CONNECT, METHOD_OPTIONS, METHOD_TRACE } from "./methods.js";
import { LOWER_CASE, type RequestHead, SPAN_WORDS } from "./request-head.js";

const SPACE = 0x20;
const PERCENT = 0x25;
const ASTERISK = 0x2a;
const SLASH = 0x2f;
const COLON = 0x3a;
const QUESTION = 0x3f;
const HASH = 0x23;
const UPPER_H = 0x48;

const TRANSFER_ENCODING = "transfer-encoding";

/** {@link checkHead}'s other result: the client waits for `100 Continue`. */
export interface HeadFindings {
  expectsContinue: boolean;
}

/**
 * Checks a complete head, and finds its path, query and Host. Returns 0, or the status that refuses it:
 *
 * - 400 for a request line with other than single spaces, a target in the wrong form, a fragment, a missing, repeated or invalid Host,
 *   a Transfer-Encoding whose last coding is not chunked or that comes with HTTP/1.0 (RFC 9112, sections 3, 3.2, 6.1, 6.3);
 * - 417 for an expectation other than 100-continue (RFC 9110, section 10.1.1);
 * - 501 for CONNECT, TRACE (RFC 9110, section 9.1: a method that the server does not implement) and other transfer codings;
 * - 505 for a major version other than 1.
 */
export function checkHead(head: RequestHead, majorVersion: number, flags: number, findings: HeadFindings): number {
  findings.expectsContinue = false;
  if (majorVersion !== 1) return 505;
  const { bytes, targetStart } = head;
  const targetEnd = targetStart + head.targetLength;
  // llhttp also takes "GET  /" and "GET /  HTTP/1.1", and RTSP and ICE in the place of HTTP.
  if (bytes[targetStart - 2] === SPACE || bytes[targetEnd + 1] !== UPPER_H) return 400;
  const { method } = head;
  if (method === METHOD_CONNECT || method === METHOD_TRACE) return 501;
  const status = checkTarget(head, targetStart, targetEnd);
  if (status !== 0) return status;
  return checkFields(head, flags, findings);
}

function checkTarget(head: RequestHead, start: number, end: number): number {
  const { bytes } = head;
  let pathStart = start;
  head.isAbsolute = false;
  if (bytes[start] !== SLASH) {
    if (bytes[start] === ASTERISK) {
      if (head.targetLength !== 1 || head.method !== METHOD_OPTIONS) return 400;
    } else {
      pathStart = authorityEnd(head, start, end);
      if (pathStart < 0) return 400;
      head.isAbsolute = true;
    }
  }
  let isEscaped = false;
  let position = pathStart;
  while (position < end) {
    const byte = bytes[position]!;
    if (byte === QUESTION) break;
    if (byte === PERCENT) isEscaped = true;
    else if (byte === HASH || byte > 0x7e) return 400;
    position += 1;
  }
  head.isEscaped = isEscaped;
  head.pathStart = pathStart;
  head.pathLength = position - pathStart;
  head.queryStart = -1;
  head.queryLength = 0;
  if (position === end) return 0;
  head.queryStart = position + 1;
  head.queryLength = end - position - 1;
  for (let at = position + 1; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === HASH || byte > 0x7e) return 400;
  }
  return 0;
}

/** End of the authority of an absolute-form http(s) target, or -1 when the target has another form (RFC 9112, section 3.2.2). */
function authorityEnd(head: RequestHead, start: number, end: number): number {
  const { bytes } = head;
  const scheme = matches(bytes, start, end, "https://") ? 8 : matches(bytes, start, end, "http://") ? 7 : 0;
  if (scheme === 0) return -1;
  let position = start + scheme;
  while (position < end && bytes[position] !== SLASH && bytes[position] !== QUESTION) position += 1;
  return isAuthority(bytes, start + scheme, position) ? position : -1;
}

function checkFields(head: RequestHead, flags: number, findings: HeadFindings): number {
  const { bytes, spans, headerCount } = head;
  let hostIndex = -1;
  let status = 0;
  for (let index = 0; index < headerCount; index++) {
    const at = index * SPAN_WORDS;
    const length = spans[at + 1]!;
    if (length === 4) {
      if (!isHostName(bytes, spans[at]!)) continue;
      if (hostIndex >= 0) return 400;
      hostIndex = index;
    } else if (length === 6) {
      if (!matches(bytes, spans[at]!, spans[at]! + 6, "expect")) continue;
      if (head.minorVersion === 0) continue;
      if (head.valueEquals(index, "100-continue")) findings.expectsContinue = true;
      else status = 417;
    } else if (length === 17) {
      // llhttp passes over an empty one, for which RFC 9112, section 6.1 has no meaning.
      if ((flags & FLAG_TRANSFER_ENCODING) !== 0) continue;
      if (matches(bytes, spans[at]!, spans[at]! + 17, "transfer-encoding")) return 400;
    }
  }
  head.hostIndex = hostIndex;
  if (hostIndex < 0) {
    if (head.minorVersion !== 0) return 400;
  } else if (!isHostValue(head, hostIndex)) {
    return 400;
  }
  if ((flags & FLAG_TRANSFER_ENCODING) !== 0) {
    if (head.minorVersion === 0 || (flags & FLAG_CHUNKED) === 0) return 400;
    if (!isOnlyChunked(head)) return 501;
  }
  return status;
}

/** A Transfer-Encoding of exactly one coding, chunked, is the one that is implemented; a list that ends in it is not. */
function isOnlyChunked(head: RequestHead): boolean {
  const first = head.find(TRANSFER_ENCODING, 0);
  return head.valueEquals(first, "chunked") && head.find(TRANSFER_ENCODING, first + 1) < 0;
}

function isHostName(bytes: Buffer, start: number): boolean {
  return (
    (bytes[start]! | 0x20) === 0x68 &&
    (bytes[start + 1]! | 0x20) === 0x6f &&
    (bytes[start + 2]! | 0x20) === 0x73 &&
    (bytes[start + 3]! | 0x20) === 0x74
  );
}

/** Whether the value of the header at `index` is a host with an optional port. */
export function isHostValue(head: RequestHead, index: number): boolean {
  const at = index * SPAN_WORDS;
  const { bytes, spans } = head;
  const start = spans[at + 2]!;
  let end = start + spans[at + 3]!;
  while (end > start && (bytes[end - 1] === SPACE || bytes[end - 1] === 0x09)) end -= 1;
  return isAuthority(bytes, start, end);
}

/**
 * Whether bytes are a host with an optional port (RFC 3986, section 3.2.2). An empty host is refused: an http URI must not have one (RFC
 * 9110, section 4.2.1). User information is refused too: its use in a target is a phishing vector that section 4.2.4 warns of.
 */
function isAuthority(bytes: Buffer, start: number, end: number): boolean {
  let position = start;
  if (bytes[start] === 0x5b) {
    position += 1;
    while (position < end && IP_LITERAL_BYTES[bytes[position]!] === 1) position += 1;
    if (position === end || bytes[position] !== 0x5d || position === start + 1) return false;
    position += 1;
  } else {
    while (position < end && HOST_BYTES[bytes[position]!] === 1) position += 1;
    if (position === start) return false;
  }
  if (position === end) return true;
  if (bytes[position] !== COLON) return false;
  let port = 0;
  for (position += 1; position < end; position++) {
    const digit = bytes[position]! - 0x30;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
    if (port > 65_535) return false;
  }
  return true;
}

function matches(bytes: Buffer, start: number, end: number, text: string): boolean {
  if (end - start < text.length) return false;
  for (let index = 0; index < text.length; index++) {
    if (LOWER_CASE[bytes[start + index]!] !== text.charCodeAt(index)) return false;
  }
  return true;
}

/** unreserved, sub-delims and the percent sign. */
const HOST_BYTES: Uint8Array = byteSet(
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=%",
);
/** What stands between the brackets of an IPv6 or future literal. */
const IP_LITERAL_BYTES: Uint8Array = byteSet(
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:",
);

function byteSet(characters: string): Uint8Array {
  const set = new Uint8Array(256);
  for (let index = 0; index < characters.length; index++) set[characters.charCodeAt(index)] = 1;
  return set;
}
