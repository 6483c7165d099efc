import { writeLog } from "../observe/log.js";

/**
 * One thing that an operator should know.
 * @experimental
 */
export interface LogEntry {
  readonly level: "error" | "warn";
  readonly message: string;
  /** What was thrown, where something was. */
  readonly error?: unknown;
  /** The request it happened in: `GET /hello`. */
  readonly request?: string;
}

/**
 * Takes log entries. Must not throw.
 * @experimental
 */
export type Log = (entry: LogEntry) => void;

/** The default: a record of this thread's log. */
export function logEntry({ level, message, request, error }: LogEntry): void {
  writeLog(level, message, {
    ...(request === undefined ? {} : { request }),
    ...(error === undefined ? {} : { err: error }),
  });
}
