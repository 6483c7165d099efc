/**
 * Reads the protocol cases of `test/http/cases/*.md`. `test/http/cases/README.md` describes the form.
 *
 * Every byte of a request is visible: the line ends of the file are not part of it, only `\r` and `\n` are.
 */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

/** One request that the handler must have seen. */
export interface ExpectedRequest {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  /** For each name listed: all its values, in order. Names that are not listed are not checked. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  readonly trailers: ReadonlyMap<string, readonly string[]>;
  /** Latin-1 text, one character a byte. */
  readonly body: string;
}

export interface ExpectedAnswer {
  readonly status: number;
  /** Whether the connection must end after this answer. Interim answers (1xx) never end it. */
  readonly close: boolean;
  /** What the handler saw; undefined where the request must not reach it. */
  readonly request: ExpectedRequest | undefined;
}

export interface NodeVerdict {
  /** The statuses it answers with: one list for each behaviour that versions of Node have. */
  readonly statuses: readonly (readonly number[])[];
  /** It waits for more bytes instead of answering. */
  readonly waits: boolean;
  readonly why: string;
}

export interface HttpCase {
  readonly file: string;
  readonly line: number;
  readonly title: string;
  readonly why: string;
  readonly bytes: Buffer;
  readonly answers: readonly ExpectedAnswer[];
  /** The client half-closes after the bytes. Without this, a further request follows them. */
  readonly clientEnds: boolean;
  /** The counter of refusals that moves by one; undefined where none may move. */
  readonly counter: string | undefined;
  /** What Node's own server does where it differs from ours, and why. */
  readonly node: NodeVerdict | undefined;
}

/**
 * Reads all case files of a directory, in alphabetical order. Throws an Error naming file and line for anything
 * malformed.
 */
export function readCases(directory: string): HttpCase[] {
  const files = readdirSync(directory).filter((name) => name.endsWith(".md") && name !== "README.md");
  return files.sort().flatMap((name) => parseCases(basename(name), readFileSync(join(directory, name), "utf8")));
}

/** Parses the text of one case file. */
export function parseCases(file: string, text: string): HttpCase[] {
  const cases: HttpCase[] = [];
  let draft: Draft | undefined;
  const lines = text.split("\n");
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? "";
    const where = `${file}:${index + 1}`;
    if (line.startsWith("## ")) {
      if (draft !== undefined) cases.push(finish(draft));
      draft = { file, line: index + 1, title: line.slice(3).trim(), why: [], bytes: undefined, answer: undefined };
    } else if (line.startsWith("```")) {
      const end = lines.indexOf("```", index + 1);
      if (draft === undefined || end < 0) throw new Error(`${where}: a block outside of a case, or without an end`);
      const content = lines.slice(index + 1, end);
      if (line === "```http" && draft.bytes === undefined) draft.bytes = decodeBytes(content, where);
      else if (line === "```answer" && draft.answer === undefined) draft.answer = { lines: content, line: index + 2 };
      else throw new Error(`${where}: unexpected block ${line}`);
      index = end;
    } else if (draft !== undefined && line.trim() !== "") {
      draft.why.push(line.trim());
    }
  }
  if (draft !== undefined) cases.push(finish(draft));
  if (cases.length === 0) throw new Error(`${file}: no case found`);
  return cases;
}

interface Draft {
  readonly file: string;
  readonly line: number;
  readonly title: string;
  readonly why: string[];
  bytes: Buffer | undefined;
  answer: { readonly lines: readonly string[]; readonly line: number } | undefined;
}

function finish(draft: Draft): HttpCase {
  const where = `${draft.file}:${draft.line}`;
  const why = draft.why.join(" ");
  if (!/RFC \d{4}/.test(why)) throw new Error(`${where}: the case names no RFC section`);
  if (draft.bytes === undefined || draft.answer === undefined) throw new Error(`${where}: a block is missing`);
  const { file, line, title, bytes } = draft;
  return { file, line, title, why, bytes, ...parseAnswer(draft.answer.lines, file, draft.answer.line) };
}

type ParsedAnswer = Pick<HttpCase, "answers" | "clientEnds" | "counter" | "node">;

function parseAnswer(lines: readonly string[], file: string, firstLine: number): ParsedAnswer {
  const answers: ExpectedAnswer[] = [];
  let request: RequestDraft | undefined;
  let clientEnds = false;
  let counter: string | undefined;
  let node: HttpCase["node"];
  let silent = false;
  for (const [index, line] of lines.entries()) {
    const where = `${file}:${firstLine + index}`;
    const word = line.startsWith("  ") ? "  " : (line.split(" ", 1)[0] ?? "");
    const rest = line.slice(word.length).trim();
    if (word === "saw") request = parseSaw(rest, where);
    else if (word === "  ") parseDetail(request, rest, where);
    else if (/^\d{3}$/.test(word)) {
      answers.push({ status: Number(word), close: parseEnd(rest, Number(word), where), request });
      request = undefined;
    } else if (word === "client" && rest === "ends") clientEnds = true;
    else if (word === "nothing") silent = true;
    else if (word === "counts") counter = rest;
    else if (word === "node") node = parseNode(rest, where);
    else throw new Error(`${where}: cannot read "${line}"`);
  }
  if (request !== undefined) throw new Error(`${file}:${firstLine}: "saw" without an answer`);
  if (silent !== (answers.length === 0)) throw new Error(`${file}:${firstLine}: give answers or "nothing"`);
  return { answers, clientEnds, counter, node };
}

interface RequestDraft extends ExpectedRequest {
  readonly headers: Map<string, string[]>;
  readonly trailers: Map<string, string[]>;
  body: string;
}

function parseSaw(text: string, where: string): RequestDraft {
  const [method, target, version = "1.1", ...more] = text.split(" ");
  if (method === undefined || target === undefined || more.length > 0)
    throw new Error(`${where}: saw METHOD TARGET [VERSION]`);
  return { method, target: unescapeText(target, where), version, headers: new Map(), trailers: new Map(), body: "" };
}

function parseDetail(request: RequestDraft | undefined, text: string, where: string): void {
  if (request === undefined) throw new Error(`${where}: a detail without "saw"`);
  const [, kind, name, value] = /^(header|trailer|body) (?:([^ "]+): ?)?"(.*)"$/.exec(text) ?? [];
  if (kind === undefined || value === undefined)
    throw new Error(`${where}: header NAME: "VALUE", trailer or body "TEXT"`);
  const decoded = unescapeText(value, where);
  if (kind === "body") request.body += decoded;
  else append(kind === "header" ? request.headers : request.trailers, name ?? "", decoded);
}

function append(map: Map<string, string[]>, name: string, value: string): void {
  const values = map.get(name);
  if (values === undefined) map.set(name, [value]);
  else values.push(value);
}

function parseEnd(text: string, status: number, where: string): boolean {
  if (status < 200 && text === "") return false;
  if (text !== "close" && text !== "keep-alive") throw new Error(`${where}: an answer says close or keep-alive`);
  return text === "close";
}

function parseNode(text: string, where: string): NodeVerdict {
  const [, verdict, why] = /^(waits|(?:(?:\d{3}(?:, )?)+|nothing)(?: or (?:\d{3}(?:, )?)+)*): (.+)$/.exec(text) ?? [];
  if (verdict === undefined || why === undefined) throw new Error(`${where}: node STATUS, STATUS [or STATUS]: WHY`);
  const waits = verdict === "waits";
  const lists = waits
    ? []
    : verdict.split(" or ").map((list) => (list === "nothing" ? [] : list.split(", ").map(Number)));
  return { statuses: lists, waits, why };
}

function decodeBytes(lines: readonly string[], where: string): Buffer {
  for (const line of lines) {
    if (/\s$/.test(line)) throw new Error(`${where}: a line ends in white space; write \\x20`);
  }
  return Buffer.from(lines.map((line) => unescapeText(line, where)).join(""), "latin1");
}

/**
 * `\r \n \t \f \v \0 \\ \" \xHH`, and `\{text*count}` for repetition. Everything else stands for itself and must be
 * ASCII.
 */
function unescapeText(text: string, where: string): string {
  if (/[^\x20-\x7e]/.test(text)) throw new Error(`${where}: only visible ASCII may stand unescaped`);
  return text.replace(/\\(?:\{(.+?)\*(\d+)\}|x([0-9a-fA-F]{2})|(.))/g, (_, repeated, count, hex, letter) => {
    if (repeated !== undefined) return unescapeText(String(repeated), where).repeat(Number(count));
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(String(hex), 16));
    const value = ESCAPES.get(String(letter));
    if (value === undefined) throw new Error(`${where}: unknown escape \\${String(letter)}`);
    return value;
  });
}

const ESCAPES = new Map([
  ["r", "\r"],
  ["n", "\n"],
  ["t", "\t"],
  ["f", "\f"],
  ["v", "\v"],
  ["0", "\0"],
  ["\\", "\\"],
  ['"', '"'],
]);
