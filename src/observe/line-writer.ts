/**
 * Writes whole lines to a descriptor from any thread, at once. `process.stdout` of a worker thread travels through the main thread's
 * loop, so the last words of a dying thread would be lost; a system call made here is done when the function returns.
 *
 * Two threads may write at the same time. A write of up to PIPE_BUF bytes (4,096 on Linux) is atomic on a pipe (pipe(7)), and one to a
 * file opened for appending always is. So no record is longer (`log-format.ts`), and no more share a write than fit (`access-log.ts`).
 */
import { writeSync } from "node:fs";

/** What one write may hold and still arrive in one piece, in bytes. */
export const LINE_BYTES_MAX = 4_096;
/** How long one write may wait for a reader that takes nothing from a full pipe, in milliseconds. Then the line is dropped and counted. */
export const STALL_MS_MAX = 50;

/** The system call, so that tests can fail it. */
export type WriteCall = (fd: number, bytes: Uint8Array, offset: number) => number;

/** Writes lines to one descriptor. */
export class LineWriter {
  readonly fd: number;
  /** Writes that were lost, because the reader had gone or took nothing. */
  dropped = 0;
  readonly #write: WriteCall;
  readonly #wait = new Int32Array(new SharedArrayBuffer(4));

  constructor(fd: number, write: WriteCall = writeSync) {
    this.fd = fd;
    this.#write = write;
  }

  /** Writes `text`, whole lines with their ends. Never throws: a log that cannot be written must not take the server down. */
  write(text: string): void {
    const bytes = Buffer.from(text);
    let offset = 0;
    let waitedMs = 0;
    while (offset < bytes.length) {
      try {
        offset += this.#write(this.fd, bytes, offset);
      } catch (error) {
        const code = error instanceof Error ? Reflect.get(error, "code") : undefined;
        if (code === "EINTR") continue;
        // A pipe that somebody made non-blocking is full. A line that is half written is finished at almost any price.
        const patienceMs = offset === 0 ? STALL_MS_MAX : STALL_MS_MAX * 20;
        if (code !== "EAGAIN" || waitedMs >= patienceMs) {
          this.dropped += 1;
          return;
        }
        Atomics.wait(this.#wait, 0, 0, 1);
        waitedMs += 1;
      }
    }
  }
}
