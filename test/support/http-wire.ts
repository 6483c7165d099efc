/**
 * The client's side of raw HTTP/1.1 for tests: sends exact bytes, reads until the connection ends, and parses strictly
 * what came.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";

/** One answer as it stood on the wire. */
export interface WireAnswer {
  readonly version: string;
  readonly status: number;
  readonly reason: string;
  /** Names in lower case, in wire order. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
  readonly trailers: readonly (readonly [string, string])[];
}

/** The value of a header that stands at most once; undefined when it is absent. Throws when it is repeated. */
export function headerOf(answer: WireAnswer, name: string): string | undefined {
  const found = answer.headers.filter(([key]) => key === name);
  if (found.length > 1) throw new Error(`The answer has ${found.length} headers ${name}`);
  return found[0]?.[1];
}

/** Whether an answer says that its connection ends (RFC 9112, section 9.3). */
export function saysClose(answer: WireAnswer): boolean {
  const options = (headerOf(answer, "connection") ?? "").toLowerCase().split(/\s*,\s*/);
  return options.includes("close") || (answer.version === "1.0" && !options.includes("keep-alive"));
}

export interface ExchangeOptions {
  /** Half-close after the last write. */
  readonly end?: boolean;
  /** Give up, and reject, after this long. A guard against a hang, not a measure. */
  readonly guardMs?: number;
}

/** What came back: all bytes until the end, and whether it ended with a reset. */
export interface Exchanged {
  readonly bytes: Buffer;
  readonly reset: boolean;
}

/** Connects, sends `writes` with a turn of the event loop between each two, and resolves when the server has closed. */
export async function exchange(
  port: number,
  writes: readonly Uint8Array[],
  options: ExchangeOptions = {},
): Promise<Exchanged> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const collected = collect(socket, options.guardMs ?? 10_000);
  socket.once("connect", () => void writeAll(socket, writes, options.end === true));
  return await collected;
}

async function writeAll(socket: Socket, writes: readonly Uint8Array[], end: boolean): Promise<void> {
  for (const [index, bytes] of writes.entries()) {
    if (index > 0) await nextTurn();
    if (socket.destroyed || socket.writableEnded) return;
    socket.write(bytes);
  }
  if (end) socket.end();
}

/** Resolves with everything that arrives on `socket` once it has closed. */
export async function collect(socket: Socket, guardMs = 10_000): Promise<Exchanged> {
  const chunks: Buffer[] = [];
  let reset = false;
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "ECONNRESET" || error.code === "EPIPE") reset = true;
  });
  const closed = once(socket, "close");
  let guard: NodeJS.Timeout | undefined;
  const hung = new Promise<never>((_, reject) => {
    guard = setTimeout(async () => {
      // After a pause of the whole process timers run before what has arrived meanwhile is read.
      for (let turn = 0; turn < 20 && !socket.closed; turn++) await nextTurn();
      if (socket.closed) return;
      socket.destroy();
      const sent = Buffer.concat(chunks).toString("latin1").slice(0, 400);
      reject(new Error(`The connection was still open after ${guardMs} ms; it had sent: ${sent}`));
    }, guardMs);
  });
  // `once` rejects on an error that comes before the close, which is an ordinary end here.
  await Promise.race([closed.catch(() => (socket.closed ? undefined : once(socket, "close"))), hung]).finally(() =>
    clearTimeout(guard),
  );
  return { bytes: Buffer.concat(chunks), reset };
}

/**
 * Splits what a server sent into answers. `isHead(n)` tells whether the n-th final answer belongs to a HEAD request,
 * which has no body. Throws when a byte does not fit the grammar, or when the last answer is cut short.
 */
export function parseAnswers(bytes: Buffer, isHead: (index: number) => boolean = () => false): WireAnswer[] {
  const answers: WireAnswer[] = [];
  let offset = 0;
  let finals = 0;
  while (offset < bytes.length) {
    const [answer, next] = parseAnswer(bytes, offset, isHead(finals));
    answers.push(answer);
    if (answer.status >= 200) finals++;
    offset = next;
  }
  return answers;
}

/** Splits off the one answer that starts at `offset`, and tells where the next one would start. */
export function parseAnswer(bytes: Buffer, offset: number, head: boolean): [WireAnswer, number] {
  const headEnd = bytes.indexOf("\r\n\r\n", offset, "latin1");
  if (headEnd < 0) throw new Error(`A head without an end: ${printable(bytes, offset)}`);
  const [statusLine = "", ...fields] = bytes.toString("latin1", offset, headEnd).split("\r\n");
  const [, version, status, reason] = /^HTTP\/(1\.[01]) ([1-5]\d\d) ([\t\x20-\x7e\x80-\xff]*)$/.exec(statusLine) ?? [];
  if (version === undefined || reason === undefined) throw new Error(`Not a status line: ${printable(bytes, offset)}`);
  const headers = fields.map(parseField);
  const code = Number(status);
  const bodyStart = headEnd + 4;
  const base = { version, status: code, reason, headers, body: Buffer.alloc(0), trailers: [] };
  if (head || code < 200 || code === 204 || code === 304) return [base, bodyStart];
  const length = headerOf(base, "content-length");
  const coding = headerOf(base, "transfer-encoding");
  if (length !== undefined && coding !== undefined) throw new Error("Content-Length beside Transfer-Encoding");
  if (coding !== undefined) {
    if (coding !== "chunked") throw new Error(`Transfer-Encoding: ${coding}`);
    const { body, trailers, next } = parseChunked(bytes, bodyStart);
    return [{ ...base, body, trailers }, next];
  }
  if (length === undefined) return [{ ...base, body: bytes.subarray(bodyStart) }, bytes.length];
  if (!/^\d+$/.test(length)) throw new Error(`Content-Length: ${length}`);
  const end = bodyStart + Number(length);
  if (end > bytes.length) throw new Error(`A body of ${length} bytes was cut at ${bytes.length - bodyStart}`);
  return [{ ...base, body: bytes.subarray(bodyStart, end) }, end];
}

function parseField(line: string): [string, string] {
  const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(line) ?? [];
  if (name === undefined || value === undefined) throw new Error(`Not a header line: ${JSON.stringify(line)}`);
  return [name.toLowerCase(), value];
}

function parseChunked(bytes: Buffer, start: number): { body: Buffer; trailers: [string, string][]; next: number } {
  const parts: Buffer[] = [];
  const trailers: [string, string][] = [];
  let offset = start;
  for (;;) {
    const line = lineAt(bytes, offset);
    if (!/^[0-9a-fA-F]+$/.test(line)) throw new Error(`Not a chunk size: ${JSON.stringify(line)}`);
    const size = Number.parseInt(line, 16);
    offset += line.length + 2;
    if (size === 0) break;
    parts.push(bytes.subarray(offset, offset + size));
    offset += size;
    if (bytes.toString("latin1", offset, offset + 2) !== "\r\n") throw new Error("A chunk without its line end");
    offset += 2;
  }
  for (;;) {
    const line = lineAt(bytes, offset);
    offset += line.length + 2;
    if (line === "") return { body: Buffer.concat(parts), trailers, next: offset };
    trailers.push(parseField(line));
  }
}

function lineAt(bytes: Buffer, offset: number): string {
  const end = bytes.indexOf("\r\n", offset, "latin1");
  if (end < 0) throw new Error(`A line without an end: ${printable(bytes, offset)}`);
  return bytes.toString("latin1", offset, end);
}

function printable(bytes: Buffer, offset: number): string {
  return JSON.stringify(bytes.toString("latin1", offset, offset + 200));
}
