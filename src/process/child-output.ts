/** What a child process writes, as pieces of bytes. */
import type { Readable } from "node:stream";
import { RingloomError } from "../errors.js";
import { Fifo } from "../messages/fifo.js";
import { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { waitFor } from "../time/wait-for.js";

/** What {@link ChildOutput.bytes} collects unless told otherwise. */
export const COLLECT_BYTES_MAX = 16 * 1024 * 1024;

/**
 * How much is collected.
 * @experimental
 */
export interface CollectOptions extends WaitOptions {
  /** More than this rejects with `ERR_RINGLOOM_OUTPUT_TOO_LARGE`. 16 MiB unless told otherwise. */
  readonly maxBytes?: number | undefined;
}

/**
 * The standard output, or the error output, of a child process: pieces of bytes, taken with {@link ChildOutput.read}, `for await` or `select`. Each piece is its reader's.
 *
 * Nothing is read ahead but what fits a small buffer, and a child whose pipe is full waits: that is the backpressure, and why an output that is piped has to be read or closed.
 * @experimental
 */
export class ChildOutput implements Selectable<Buffer | undefined>, AsyncIterable<Buffer> {
  readonly #stream: Readable;
  readonly #name: string;
  readonly #waiting = new Fifo<SelectWaiter<Buffer | undefined>>();
  #isOver = false;

  /** @internal */
  constructor(stream: Readable, name: string) {
    this.#stream = stream;
    this.#name = name;
    stream.on("readable", () => this.#deliver());
    const end = (): void => this.#end();
    // A pipe that breaks has ended: what the child wanted to say can be said no more.
    stream.on("error", end);
    stream.on("end", end);
    stream.on("close", end);
  }

  /** The next piece, or undefined when there will be none. */
  read(options: WaitOptions = {}): Promise<Buffer | undefined> {
    return waitFor(this, { ...options, operation: `read ${this.#name}` });
  }

  /** All that is still to come. */
  async bytes({ maxBytes = COLLECT_BYTES_MAX, ...options }: CollectOptions = {}): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let length = 0;
    for (let piece = await this.read(options); piece !== undefined; piece = await this.read(options)) {
      length += piece.length;
      if (length > maxBytes) throw outputTooLarge(this.#name, maxBytes);
      pieces.push(piece);
    }
    return Buffer.concat(pieces, length);
  }

  /** The same as text in UTF-8. */
  async text(options: CollectOptions = {}): Promise<string> {
    return (await this.bytes(options)).toString("utf8");
  }

  /** Reads no more: whoever waits gets the end, and the child an error, or SIGPIPE, when it writes. */
  close(): void {
    this.#stream.destroy();
    this.#end();
  }

  /** All pieces to the end. Leaving the loop leaves the rest to whoever reads next. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    for (let piece = await this.read(); piece !== undefined; piece = await this.read()) yield piece;
  }

  /** A branch of `select`, won by a piece, or by the end. */
  [selectable](waiter: SelectWaiter<Buffer | undefined>): (() => void) | undefined {
    // Where there is something to give nobody waits, so this one is the first.
    if (this.#isOver || this.#stream.readableLength > 0) {
      this.#give(waiter);
      return undefined;
    }
    this.#waiting.push(waiter);
    return () => void this.#waiting.remove(waiter);
  }

  #deliver(): void {
    while (this.#stream.readableLength > 0) {
      const waiter = this.#waiting.shift();
      if (waiter === undefined) return;
      this.#give(waiter);
    }
    // An empty stream reads on, or says that it has ended, only for somebody who asks.
    this.#stream.read(0);
  }

  /** Whoever waits is asked before a piece is taken from the stream. */
  #give(waiter: SelectWaiter<Buffer | undefined>): void {
    if (!waiter.claim()) return;
    const piece: unknown = this.#isOver ? undefined : this.#stream.read();
    waiter.resolve(Buffer.isBuffer(piece) ? piece : undefined);
    if (this.#stream.readableLength === 0) this.#stream.read(0);
  }

  #end(): void {
    this.#isOver = true;
    for (let waiter = this.#waiting.shift(); waiter !== undefined; waiter = this.#waiting.shift()) {
      if (waiter.claim()) waiter.resolve(undefined);
    }
  }
}

/** An output that is longer than was allowed. */
export function outputTooLarge(name: string, maxBytes: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_OUTPUT_TOO_LARGE", `Cannot collect ${name}: it is over ${maxBytes} bytes.`, {
    operation: "collect",
    details: { maxBytes },
  });
}
