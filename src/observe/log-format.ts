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

/** Lengths that the texts of a record are cut to, one after the other, until the line is short enough. */
const CUTS = [2_048, 1_024, 512, 128];
const DEPTH_MAX = 5;

/** The record as a line of JSON, at most {@link LINE_BYTES_MAX} bytes with its end: long texts are cut, and at last the fields left out. */
export function jsonLine(record: LogRecord): string {
  for (const cut of [Number.POSITIVE_INFINITY, ...CUTS]) {
    const line = `${stringify(record, cut)}\n`;
    if (Buffer.byteLength(line) <= LINE_BYTES_MAX) return line;
  }
  return `${stringify({ ...record, fields: { cut: true } }, CUTS.at(-1) ?? 0)}\n`;
}

/** The record for people: `12:30:00.123 error shard 0: A handler failed  request="GET /"`, and the stack below. */
export function textLine(record: LogRecord): string {
  const { level, time, shard, msg, fields } = record;
  const clock = new Date(time).toISOString().slice(11, 23);
  const who = shard === undefined ? "" : ` shard ${shard}:`;
  let line = `${clock} ${level}${who} ${msg}`;
  let below = "";
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const text = value instanceof Error ? (value.stack ?? String(value)) : showField(value);
    if (text.includes("\n")) below += `\n${indent(name === "err" ? text : `${name}: ${text}`)}`;
    else line += `  ${name}=${text}`;
  }
  return `${line}${below}\n`;
}

function showField(value: unknown): string {
  if (typeof value !== "string") return safeJson(value);
  return value.includes("\n") || /^[\w./:-]+$/.test(value) ? value : JSON.stringify(value);
}

function safeJson(value: unknown): string {
  try {
    return JSON.stringify(simplify(value, Number.POSITIVE_INFINITY, DEPTH_MAX)) ?? String(value);
  } catch {
    return "(unprintable)";
  }
}

function stringify(record: LogRecord, cut: number): string {
  const { level, time, pid, shard, msg, fields } = record;
  const head = { level, time, pid, shard, msg: shorten(msg, cut) };
  try {
    const simple = simplify(fields, cut, DEPTH_MAX) as Record<string, unknown>;
    // The record's own names win: a field called "level" must not forge a record of another level.
    return JSON.stringify({ ...head, ...simple, ...head });
  } catch {
    return JSON.stringify({ ...head, unprintable: true });
  }
}

/** Plain data of a value: errors by their parts, BigInts as text, nothing deeper than `depth`, so that neither cycles nor getters can fail the line. */
function simplify(value: unknown, cut: number, depth: number): unknown {
  if (typeof value === "string") return shorten(value, cut);
  if (typeof value === "bigint" || typeof value === "symbol") return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth === 0) return "…";
  if (value instanceof Error) return simplifyError(value, cut, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (Array.isArray(value)) return value.map((item) => simplify(item, cut, depth - 1));
  if (ArrayBuffer.isView(value)) return `(${value.byteLength} bytes)`;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, simplify(item, cut, depth - 1)]));
}

function simplifyError(error: Error, cut: number, depth: number): Record<string, unknown> {
  const code: unknown = Reflect.get(error, "code");
  return {
    type: error.name,
    message: shorten(error.message, cut),
    ...(typeof code === "string" ? { code } : {}),
    stack: shorten(error.stack ?? "", cut),
    ...(error.cause === undefined ? {} : { cause: simplify(error.cause, cut, depth - 1) }),
  };
}

function shorten(text: string, cut: number): string {
  return text.length <= cut ? text : `${text.slice(0, cut)}…`;
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `  ${line}`)
    .join("\n");
}
