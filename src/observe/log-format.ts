/** Log records as lines: JSON for machines, in the field names of pino, and text for people. */
import { LINE_BYTES_MAX } from "./line-writer.js";

/**
 * How important a record is, the least important first.
 * @experimental
 */
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal";

/** All levels, the least important first. */
export const LOG_LEVELS: readonly LogLevel[] = ["trace", "debug", "info", "warn", "error", "fatal"];

/** A record before it is text. */
export interface LogRecord {
  readonly level: LogLevel;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly pid: number;
  /** Absent on the main thread. */
  readonly shard: number | undefined;
  readonly msg: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Lengths that the texts of a record are cut to, one after the other, until the record is short enough. */
const CUTS = [LINE_BYTES_MAX, 2_048, 1_024, 512, 128];
const DEPTH_MAX = 5;
/** How many values of one record are looked at: what a handler logs can be as large as its data, and the shard serves nobody meanwhile. */
const VALUES_MAX = 1_000;
const UNPRINTABLE = "(unprintable)";
const ENCODER = new TextEncoder();

/** The way through the values of one record. */
interface Walk {
  /** The length that texts are cut to. */
  readonly cut: number;
  /** How many values may still be looked at. */
  valuesLeft: number;
  /** The objects that the current value is inside of. */
  readonly above: Set<object>;
}

/** The record as a line of JSON, at most {@link LINE_BYTES_MAX} bytes with its end: long texts are cut, and at last the fields left out. */
export function jsonLine(record: LogRecord): string {
  for (const cut of CUTS) {
    const line = `${stringify(record, cut)}\n`;
    if (Buffer.byteLength(line) <= LINE_BYTES_MAX) return line;
  }
  return `${stringify({ ...record, fields: { cut: true } }, CUTS.at(-1) ?? 0)}\n`;
}

/**
 * The record for people: `12:30:00.123 error shard 0: A handler failed  request="GET /"`, and the stack below, at most {@link LINE_BYTES_MAX} bytes
 * in all. Only lines that begin a record begin without a space, and control characters are shown and not sent, so that what comes from
 * a client can neither forge a record nor reach the terminal.
 */
export function textLine(record: LogRecord): string {
  let text = "";
  for (const cut of CUTS) {
    text = showRecord(record, cut);
    if (Buffer.byteLength(text) <= LINE_BYTES_MAX) return text;
  }
  const end = "…\n";
  // encodeInto() stops before a character that does not fit, so none is torn.
  const { read } = ENCODER.encodeInto(text, new Uint8Array(LINE_BYTES_MAX - Buffer.byteLength(end)));
  return `${text.slice(0, read)}${end}`;
}

/** The text of a value that should be one; never throws, as an object without a prototype does when it becomes a text. */
export function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return UNPRINTABLE;
  }
}

function showRecord(record: LogRecord, cut: number): string {
  const { level, time, shard, msg, fields } = record;
  const clock = new Date(time).toISOString().slice(11, 23);
  const who = shard === undefined ? "" : ` shard ${shard}:`;
  let line = `${clock} ${level}${who} ${escapeControls(shorten(msg, cut))}`;
  let below = "";
  const walk = beginWalk(cut);
  for (const name of Object.keys(fields)) {
    if (!mayGoOn(walk)) {
      line += "  …";
      break;
    }
    const value = read(fields, name);
    if (value === undefined) continue;
    const label = showName(shorten(name, cut));
    const text = shorten(showField(value, walk), cut);
    if (text.includes("\n")) below += `\n${indent(name === "err" ? text : `${label}: ${text}`)}`;
    else line += `  ${label}=${escapeControls(text)}`;
  }
  return `${line}${below}\n`;
}

function showName(name: string): string {
  return /^[\w.$-]+$/.test(name) ? name : escapeControls(JSON.stringify(name));
}

function showField(value: unknown, walk: Walk): string {
  if (typeof value === "string") {
    const text = shorten(value, walk.cut);
    return text.includes("\n") || /^[\w./:-]+$/.test(text) ? text : JSON.stringify(text);
  }
  try {
    if (value instanceof Error) return showError(value);
    return JSON.stringify(simplify(value, walk, DEPTH_MAX)) ?? textOf(value);
  } catch {
    return UNPRINTABLE;
  }
}

function showError(error: Error): string {
  const stack = read(error, "stack");
  return typeof stack === "string" && stack !== "" ? stack : textOf(error);
}

function stringify(record: LogRecord, cut: number): string {
  const { level, time, pid, shard, msg, fields } = record;
  const head = { level, time, pid, shard, msg: shorten(msg, cut) };
  try {
    const simple = simplify(fields, beginWalk(cut), DEPTH_MAX);
    if (typeof simple !== "object") return JSON.stringify({ ...head, unprintable: true });
    // The record's own names win: a field called "level" must not forge a record of another level.
    return JSON.stringify({ ...head, ...simple, ...head });
  } catch {
    return JSON.stringify({ ...head, unprintable: true });
  }
}

/**
 * Plain data of a value: errors by their parts, BigInts as texts, no functions, nothing deeper than `depth` and not more than the walk allows, so that
 * neither cycles nor getters can fail the record, and its size cannot hold up the shard.
 */
function simplify(value: unknown, walk: Walk, depth: number): unknown {
  if (typeof value === "string") return shorten(value, walk.cut);
  if (typeof value === "bigint" || typeof value === "symbol") return shorten(String(value), walk.cut);
  if (typeof value === "function") return undefined;
  if (typeof value !== "object" || value === null) return value;
  if (depth === 0) return "…";
  if (walk.above.has(value)) return "(circular)";
  walk.above.add(value);
  try {
    return simplifyObject(value, walk, depth);
  } catch {
    return UNPRINTABLE;
  } finally {
    walk.above.delete(value);
  }
}

function simplifyObject(value: object, walk: Walk, depth: number): unknown {
  if (value instanceof Error) return simplifyError(value, walk, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (ArrayBuffer.isView(value)) return `(${value.byteLength} bytes)`;
  if (Array.isArray(value)) {
    const items: unknown[] = [];
    for (let index = 0; index < value.length; index++) {
      if (!mayGoOn(walk)) return [...items, "…"];
      items.push(simplify(read(value, index), walk, depth - 1));
    }
    return items;
  }
  const entries: [name: string, item: unknown][] = [];
  for (const name of Object.keys(value)) {
    if (!mayGoOn(walk)) {
      entries.push(["…", "…"]);
      break;
    }
    entries.push([shorten(name, walk.cut), simplify(read(value, name), walk, depth - 1)]);
  }
  return Object.fromEntries(entries);
}

function simplifyError(error: Error, walk: Walk, depth: number): Record<string, unknown> {
  const code = read(error, "code");
  const cause = read(error, "cause");
  return {
    type: shorten(textOf(read(error, "name")), walk.cut),
    message: shorten(textOf(read(error, "message")), walk.cut),
    ...(typeof code === "string" ? { code: shorten(code, walk.cut) } : {}),
    stack: shorten(textOf(read(error, "stack") ?? ""), walk.cut),
    ...(cause === undefined ? {} : { cause: simplify(cause, walk, depth - 1) }),
  };
}

function beginWalk(cut: number): Walk {
  return { cut, valuesLeft: VALUES_MAX, above: new Set() };
}

/** Whether one more value may be looked at; counts it. */
function mayGoOn(walk: Walk): boolean {
  if (walk.valuesLeft === 0) return false;
  walk.valuesLeft -= 1;
  return true;
}

/** The property, whatever its getter does. */
function read(owner: object, name: PropertyKey): unknown {
  try {
    return Reflect.get(owner, name);
  } catch {
    return UNPRINTABLE;
  }
}

function shorten(text: string, cut: number): string {
  return text.length <= cut ? text : `${text.slice(0, cut)}…`;
}

/** Control characters as JavaScript writes them, but for the tabulator; line and paragraph separators are line ends for some readers. */
function escapeControls(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, showControl);
}

function showControl(character: string): string {
  if (character === "\t") return character;
  if (character === "\n") return "\\n";
  if (character === "\r") return "\\r";
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `  ${escapeControls(line)}`)
    .join("\n");
}
