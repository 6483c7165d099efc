/**
 * The access log: one record a request, gathered over a turn and written with few system calls. Only as many lines share a write as
 * arrive in one piece on a pipe.
 */
import { LINE_BYTES_MAX } from "./line-writer.js";
import { jsonLine, type LogRecord, textLine } from "./log-format.js";

/** What one request came to. */
export interface AccessEntry {
  readonly method: string;
  /** The path without the query, which can hold secrets. */
  readonly path: string;
  readonly status: number;
  /** Bytes of the answer, its head included. */
  readonly bytes: number;
  readonly durationMs: number;
  /** Whether the connection ended before the answer was complete. `status` is 0 when nothing had been answered. */
  readonly isAborted: boolean;
}

/** Where finished lines go. */
export type LineSink = (text: string) => void;

/** Gathers the access records of one shard. */
export class AccessLog {
  readonly #format: "text" | "json";
  readonly #shard: number | undefined;
  readonly #sink: LineSink;
  #lines = "";
  #bytes = 0;

  constructor(format: "text" | "json", shard: number | undefined, sink: LineSink) {
    this.#format = format;
    this.#shard = shard;
    this.#sink = sink;
  }

  /** Notes a request that is over. */
  note(entry: AccessEntry): void {
    const { method, path, status, bytes, durationMs, isAborted } = entry;
    const fields = {
      method,
      path,
      status,
      bytes,
      durationMs: Math.round(durationMs * 1_000) / 1_000,
      ...(isAborted ? { aborted: true } : {}),
    };
    const record: LogRecord = {
      level: "info",
      time: Date.now(),
      pid: process.pid,
      shard: this.#shard,
      msg: "request",
      fields,
    };
    const line = this.#format === "json" ? jsonLine(record) : textLine(record);
    const length = Buffer.byteLength(line);
    if (this.#bytes + length > LINE_BYTES_MAX) this.flush();
    this.#lines += line;
    this.#bytes += length;
  }

  /** Writes what was noted. Called at the end of each turn. */
  flush(): void {
    if (this.#bytes === 0) return;
    const lines = this.#lines;
    this.#lines = "";
    this.#bytes = 0;
    this.#sink(lines);
  }
}
