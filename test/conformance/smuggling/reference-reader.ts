/**
 * A reader of HTTP/1.1 requests that knows nothing but the grammar of RFC 9112, as strictly as it is written. Slow and small: what it accepts has one meaning
 * only, and a server that accepts more may be read differently by a proxy in front of it.
 */

/** What the bytes mean: how many requests, and whether something behind them is none. */
export interface Reading {
  /** Targets of the requests that are complete, in order. */
  readonly targets: readonly string[];
  /** Why the rest is refused; undefined where all bytes belong to a request. */
  readonly refusal: string | undefined;
  /** A request has begun and is not complete: more bytes are waited for. */
  readonly isWaiting: boolean;
}

const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP\/1\.([01])$/;
const FIELD_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/;
/** A chunk's size, up to 4 GiB, and its extensions: RFC 9112, sections 7.1 and 7.1.1. */
const CHUNK_LINE =
  /^(0*[0-9a-fA-F]{1,8})(?:[ \t]*;[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*=[ \t]*(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+|"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"))?)*$/;

class Refusal extends Error {}
class Incomplete extends Error {}

/** Reads all requests of a stream. */
export function readStrictly(bytes: Buffer): Reading {
  const text = bytes.toString("latin1");
  const targets: string[] = [];
  let offset = 0;
  try {
    while (offset < text.length) {
      // RFC 9112, section 2.2: an empty line in front of a request line is passed over.
      if (text.startsWith("\r\n", offset)) {
        offset += 2;
        continue;
      }
      const { target, next, closes } = readRequest(text, offset);
      targets.push(target);
      offset = closes ? text.length : next;
    }
  } catch (error) {
    if (error instanceof Refusal) return { targets, refusal: error.message, isWaiting: false };
    if (error instanceof Incomplete) return { targets, refusal: undefined, isWaiting: true };
    throw error;
  }
  return { targets, refusal: undefined, isWaiting: false };
}

function readRequest(text: string, start: number): { target: string; next: number; closes: boolean } {
  const [line, fieldsStart] = lineAt(text, start);
  const [, , target, minor] = REQUEST_LINE.exec(line) ?? [];
  if (target === undefined) throw new Refusal("a malformed request line");
  const { fields, next: bodyStart } = readFields(text, fieldsStart);
  const all = (name: string): string[] => fields.filter(([key]) => key === name).map(([, value]) => value);
  const hosts = all("host");
  if (hosts.length > 1 || (hosts.length === 0 && minor === "1")) throw new Refusal("not one Host field");
  const options = all("connection").join(",").toLowerCase();
  const closes = hasOption(options, "close") || (minor === "0" && !hasOption(options, "keep-alive"));
  const next = bodyEnd(text, bodyStart, { codings: all("transfer-encoding"), lengths: all("content-length"), minor });
  return { target, next, closes };
}

function hasOption(list: string, option: string): boolean {
  return list.split(",").some((one) => one.trim() === option);
}

interface Framing {
  readonly codings: readonly string[];
  readonly lengths: readonly string[];
  readonly minor: string | undefined;
}

/** RFC 9112, section 6.3, without what it leaves to the reader's discretion. */
function bodyEnd(text: string, start: number, { codings, lengths, minor }: Framing): number {
  if (codings.length > 0) {
    if (lengths.length > 0) throw new Refusal("Transfer-Encoding beside Content-Length");
    if (codings.length > 1 || codings[0]?.toLowerCase() !== "chunked") throw new Refusal("not exactly chunked");
    if (minor === "0") throw new Refusal("Transfer-Encoding in HTTP/1.0");
    return chunksEnd(text, start);
  }
  if (lengths.length === 0) return start;
  if (lengths.length > 1 || !/^[0-9]{1,15}$/.test(lengths[0]!)) throw new Refusal("not one length");
  const end = start + Number(lengths[0]);
  if (end > text.length) throw new Incomplete();
  return end;
}

function chunksEnd(text: string, start: number): number {
  let offset = start;
  for (;;) {
    const [line, next] = lineAt(text, offset);
    const [, size] = CHUNK_LINE.exec(line) ?? [];
    if (size === undefined) throw new Refusal("a malformed chunk size");
    const length = Number.parseInt(size, 16);
    if (length === 0) return readFields(text, next).next;
    offset = next + length + 2;
    if (offset > text.length) throw new Incomplete();
    if (text.slice(offset - 2, offset) !== "\r\n") throw new Refusal("a chunk without its line end");
  }
}

function readFields(text: string, start: number): { fields: [string, string][]; next: number } {
  const fields: [string, string][] = [];
  let offset = start;
  for (;;) {
    const [line, next] = lineAt(text, offset);
    if (line === "") return { fields, next };
    const [, name, value] = FIELD_LINE.exec(line) ?? [];
    if (name === undefined || value === undefined) throw new Refusal("a malformed field line");
    fields.push([name.toLowerCase(), value]);
    offset = next;
  }
}

/** A line without its CR LF, and where the next one starts. A CR or LF alone ends nothing and has no place in a line. */
function lineAt(text: string, start: number): [string, number] {
  const end = text.indexOf("\r\n", start);
  const line = text.slice(start, end < 0 ? text.length : end);
  if (/[\r\n]/.test(end < 0 ? line.replace(/\r$/, "") : line)) throw new Refusal("a bare CR or LF");
  if (end < 0) throw new Incomplete();
  return [line, end + 2];
}
