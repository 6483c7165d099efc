import { writeSync } from "node:fs";

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

const STDERR = 2;

/**
 * The default: one line of JSON an entry, written to descriptor 2 directly, since a worker thread's `process.stderr` travels through
 * the main thread and is lost at exit.
 */
export function logToStderr(entry: LogEntry): void {
  const { level, message, request, error } = entry;
  const stack =
    error instanceof Error ? (error.stack ?? String(error)) : error === undefined ? undefined : String(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
  const line = JSON.stringify({ time: new Date().toISOString(), level, message, request, code, stack });
  try {
    writeSync(STDERR, `${line}\n`);
  } catch {
    // A closed or full stderr must not take the server down.
  }
}
