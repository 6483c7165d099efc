/**
 * The log of this thread: ringloom's own records and the user's, one line each, written at once (`line-writer.ts`). Each thread has its
 * own `log`, and all write to one descriptor.
 */
import { isatty } from "node:tty";
import { LineWriter } from "./line-writer.js";
import { jsonLine, LOG_LEVELS, type LogLevel, type LogRecord, textLine, textOf } from "./log-format.js";

/** How and where this process logs, as data that reaches every thread. */
export interface LogSettings {
  readonly format: "text" | "json";
  /** 1 or 2. */
  readonly fd: number;
  /** Less important records are left out; `silent` leaves out all. */
  readonly level: LogLevel | "silent";
}

/**
 * What to add to a record. `err` is the name for an error; `level`, `time`, `pid`, `shard` and `msg` belong to the record itself.
 * @experimental
 */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * Writes records, one function for each level. None throws, and each has written its line when it returns.
 * @experimental
 */
export interface Logger {
  trace(msg: string, fields?: LogFields): void;
  debug(msg: string, fields?: LogFields): void;
  info(msg: string, fields?: LogFields): void;
  warn(msg: string, fields?: LogFields): void;
  error(msg: string, fields?: LogFields): void;
  fatal(msg: string, fields?: LogFields): void;
}

const STDERR = 2;
const NO_FIELDS: LogFields = {};

let settings: LogSettings = { format: isatty(STDERR) ? "text" : "json", fd: STDERR, level: "info" };
let shardOfThread: number | undefined;
let writer = new LineWriter(settings.fd);

/** Settles how this thread logs; `shard` is undefined on the main thread. */
export function configureLog(chosen: LogSettings, shard?: number): void {
  settings = chosen;
  shardOfThread = shard;
  if (writer.fd !== chosen.fd) writer = new LineWriter(chosen.fd);
}

/** How this thread logs. */
export function logSettings(): LogSettings {
  return settings;
}

/** Turns an option into settings. `auto` is text on a terminal and JSON elsewhere, on descriptor 2; `json` is JSON on descriptor 1. */
export function resolveLogSettings(
  format: "auto" | "text" | "json",
  level: LogSettings["level"],
  isTerminal: boolean = isatty(STDERR),
): LogSettings {
  if (format === "json") return { format, fd: 1, level };
  return { format: format === "text" || isTerminal ? "text" : "json", fd: STDERR, level };
}

/** Writes a record of that level. Never throws, whatever `msg` and `fields` are: a record is mostly written where something has gone wrong already. */
export function writeLog(level: LogLevel, msg: string, fields: LogFields = NO_FIELDS): void {
  if (settings.level === "silent" || LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(settings.level)) return;
  const lost = writer.dropped;
  writer.write(lineOf(level, msg, { fields, lost }));
  // Said once: what this write itself lost stays for the next one.
  if (lost > 0 && writer.dropped === lost) writer.dropped = 0;
}

function lineOf(level: LogLevel, msg: unknown, more: { readonly fields: unknown; readonly lost: number }): string {
  const record = { level, time: Date.now(), pid: process.pid, shard: shardOfThread, msg: textOf(msg) };
  const dropped = more.lost === 0 ? NO_FIELDS : { linesDropped: more.lost };
  try {
    const fields = fieldsOf(more.fields);
    return format({ ...record, fields: more.lost === 0 ? fields : { ...fields, ...dropped } });
  } catch {
    // Objects can refuse even to be asked what they are (proxies); the message is what matters most.
    return format({ ...record, fields: { ...dropped, unprintable: true } });
  }
}

function format(record: LogRecord): string {
  return settings.format === "json" ? jsonLine(record) : textLine(record);
}

/** Fields out of what callers without types hand over; an error in their place is what other loggers take first. */
function fieldsOf(given: unknown): LogFields {
  if (given === null || given === undefined) return NO_FIELDS;
  if (given instanceof Error) return { err: given };
  // The cast is safe because every object can be read by names.
  return typeof given === "object" ? (given as LogFields) : { fields: given };
}

/** Writes lines that are records already, such as those of the access log. */
export function writeLogLines(text: string): void {
  writer.write(text);
}

/**
 * The log: one line a record, JSON or text (`--log`), written to the descriptor directly, so that nothing is lost when a shard dies.
 * Works on every thread.
 * @example
 * ```ts
 * import { log } from "ringloom";
 * log.info("order placed", { orderId: 7 });
 * log.error("cannot charge", { err: new Error("card declined") });
 * ```
 * @experimental
 */
export const log: Logger = {
  trace: (msg, fields) => writeLog("trace", msg, fields),
  debug: (msg, fields) => writeLog("debug", msg, fields),
  info: (msg, fields) => writeLog("info", msg, fields),
  warn: (msg, fields) => writeLog("warn", msg, fields),
  error: (msg, fields) => writeLog("error", msg, fields),
  fatal: (msg, fields) => writeLog("fatal", msg, fields),
};
