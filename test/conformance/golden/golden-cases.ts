/**
 * Reads the golden cases of llhttp's own tests: Markdown files with the bytes of a message and the parser's log of it. Their text stays in llhttp's repository;
 * only the form is known here.
 *
 * A case of the log is turned into what a server can show: the requests that were complete, and how the connection ended.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { SeenRequest } from "../../support/seen.js";

/** What the parser is expected to make of the bytes. */
export interface GoldenOutcome {
  /** Requests that were parsed to their end. */
  readonly requests: readonly SeenRequest[];
  /** The reason of the error that ended it; undefined where the parser would take more bytes. */
  readonly error: string | undefined;
}

export interface GoldenCase {
  /** `request/sample.md: Simple request`; a second case of one title has a number behind it. */
  readonly id: string;
  /** The parser's mode: `request`, `response`, `request-lenient-headers`, … */
  readonly mode: string;
  /** The test pauses the parser, which changes nothing in what is parsed. */
  readonly isPaused: boolean;
  /** The user of the parser tells it that there is no body, whatever the head says. */
  readonly skipsBody: boolean;
  /** The bytes, with a Host field in each request of HTTP/1.1 that has none: llhttp leaves it to its user to ask for one. */
  readonly bytes: Buffer;
  readonly hasAddedHost: boolean;
  readonly outcome: GoldenOutcome;
}

/** The value of a Host field that is put in. */
export const ADDED_HOST = "added.example";

/** The version of an llhttp checkout, and the cases below its `test`. Throws an Error for a folder that is none, and for a case that cannot be read. */
export function readGoldenCases(folder: string): { readonly version: string; readonly cases: readonly GoldenCase[] } {
  const manifest = join(folder, "package.json");
  if (!existsSync(manifest)) throw new Error(`${folder} is no checkout of llhttp: it has no package.json`);
  const { name, version } = JSON.parse(readFileSync(manifest, "utf8")) as { name?: string; version?: string };
  if (name !== "llhttp" || version === undefined) throw new Error(`${folder} is no checkout of llhttp`);
  const cases = ["request", "response"].flatMap((kind) =>
    readdirSync(join(folder, "test", kind))
      .filter((file) => file.endsWith(".md"))
      .sort()
      .flatMap((file) => parseGolden(`${kind}/${file}`, readFileSync(join(folder, "test", kind, file), "utf8"))),
  );
  return { version, cases };
}

/** The cases of one file. */
export function parseGolden(file: string, text: string): GoldenCase[] {
  const cases: GoldenCase[] = [];
  const times = new Map<string, number>();
  let title = "";
  let meta: Meta | undefined;
  let input: string | undefined;
  const lines = text.split(/\r?\n/);
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? "";
    if (/^#+ /.test(line)) title = line.replace(/^#+ /, "").trim();
    else if (line.startsWith("<!-- meta=")) meta = JSON.parse(line.slice(10, line.lastIndexOf("-->"))) as Meta;
    else if (line.startsWith("```")) {
      const end = lines.indexOf("```", at + 1);
      if (end < 0) throw new Error(`${file}:${at + 1}: a block without an end`);
      const content = lines.slice(at + 1, end);
      if (line === "```http") input = content.join("\n");
      else if (line === "```log" && input !== undefined && meta !== undefined) {
        const count = (times.get(title) ?? 0) + 1;
        times.set(title, count);
        cases.push(finish(`${file}: ${title}${count > 1 ? ` (${count})` : ""}`, meta, { input, log: content }));
        input = undefined;
        meta = undefined;
      }
      at = end;
    }
  }
  return cases;
}

interface Meta {
  readonly type?: string;
  readonly pause?: string;
  readonly skipBody?: boolean;
}

function finish(id: string, meta: Meta, blocks: { input: string; log: readonly string[] }): GoldenCase {
  const bytes = decode(blocks.input);
  const messages = readLog(blocks.log, bytes);
  const hostless = messages.filter(({ version, fields }) => version === "1.1" && !hasHost(fields));
  return {
    id,
    mode: meta.type ?? "",
    isPaused: meta.pause !== undefined,
    skipsBody: meta.skipBody === true,
    bytes: withHosts(
      bytes,
      hostless.map(({ lineEnd }) => lineEnd),
    ),
    hasAddedHost: hostless.length > 0,
    outcome: {
      requests: messages.filter(({ isComplete }) => isComplete).map(seenOf),
      error: errorOf(blocks.log),
    },
  };
}

/** What a file writes for bytes: its line ends are CRLF, and a backslash begins an escape or joins two lines. */
function decode(input: string): Buffer {
  const text = input
    .replace(/\\\n/g, "")
    .replace(/\n/g, "\r\n")
    .replace(/\\r/g, "\r")
    .replace(/\\n/g, "\n")
    .replace(/\\t/g, "\t")
    .replace(/\\f/g, "\f")
    .replace(/\\x([0-9a-fA-F]+)/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
    .replace(/\\([0-7]{1,3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
  if (text.includes("${")) throw new Error("A case computes its bytes by a program, which is not run");
  return Buffer.from(text, "utf8");
}

/** A message while its log is read. Texts hold one character a byte. */
interface Message {
  method: string;
  target: string;
  version: string;
  readonly fields: [string, string][];
  readonly trailers: [string, string][];
  body: string;
  /** Behind the request line's CR LF, or -1. */
  lineEnd: number;
  hasHead: boolean;
  isComplete: boolean;
}

/** Spans are taken from the bytes by their place, so that nothing depends on how the log writes them. */
function readLog(log: readonly string[], bytes: Buffer): Message[] {
  const messages: Message[] = [];
  let message = newMessage();
  let isNewName = true;
  for (const line of log) {
    const [, offset = "", rest = ""] = /^off=(\d+|NULL) (.*)$/.exec(line) ?? [];
    const at = Number(offset);
    const [, size, span] = /^len=(\d+) span\[(\w+)\]/.exec(rest) ?? [];
    const text = bytes.toString("latin1", at, at + Number(size ?? 0));
    const list = message.hasHead ? message.trailers : message.fields;
    if (rest === "message begin") messages.push((message = newMessage()));
    else if (span === "method") message.method += text;
    else if (span === "url") message.target += text;
    else if (span === "version") message.version += text;
    else if (span === "body") message.body += text;
    else if (span === "header_field") {
      if (isNewName) list.push(["", ""]);
      isNewName = false;
      list.at(-1)![0] += text.toLowerCase();
    } else if (span === "header_value") list.at(-1)![1] += text;
    else if (rest === "header_value complete") isNewName = true;
    else if (rest === "version complete") message.lineEnd = bytes.indexOf("\r\n", at, "latin1") === at ? at + 2 : -1;
    else if (rest.startsWith("headers complete")) message.hasHead = true;
    else if (rest === "message complete") message.isComplete = true;
  }
  return messages;
}

function newMessage(): Message {
  return {
    method: "",
    target: "",
    version: "",
    fields: [],
    trailers: [],
    body: "",
    lineEnd: -1,
    hasHead: false,
    isComplete: false,
  };
}

function hasHost(fields: Message["fields"]): boolean {
  return fields.some(([name]) => name === "host");
}

function seenOf({ method, target, version, fields, trailers, body }: Message): SeenRequest {
  return { method, target, version, headers: trimmed(fields), trailers: trimmed(trailers), body };
}

/** White space behind a value is the parser's to keep and a server's to drop. */
function trimmed(fields: Message["fields"]): [string, string][] {
  return fields.map(([name, value]) => [name, value.replace(/[ \t]+$/, "")]);
}

function errorOf(log: readonly string[]): string | undefined {
  for (const line of log) {
    const [, reason] = / error code=\d+ reason="(.*)"$/.exec(line) ?? [];
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function withHosts(bytes: Buffer, places: readonly number[]): Buffer {
  const parts: Buffer[] = [];
  let from = 0;
  for (const place of places) {
    if (place < 0) continue;
    parts.push(bytes.subarray(from, place), Buffer.from(`Host: ${ADDED_HOST}\r\n`));
    from = place;
  }
  return Buffer.concat([...parts, bytes.subarray(from)]);
}
