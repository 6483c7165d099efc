/**
 * Collects small writes into large ones.
 *
 * A buffer that was handed to the sink is never written to again: sinks may keep what they get (a Node stream does, and a Web stream hands it on).
 */
import { RingloomError } from "../errors.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { type ByteSink, endOf, type WriteSink, writeTo } from "./bytes.js";
import { Wait } from "./wait.js";

/**
 * Bounds of a {@link BufferedWriter}.
 * @experimental
 */
export interface BufferedWriterOptions {
  /** How much is collected before it is written, in bytes: 16 KiB. */
  readonly bufferBytes?: number;
}

const BUFFER_BYTES_DEFAULT = 16 * 1024;
const NOTHING = Buffer.alloc(0);
/** What every write gives that only had to be copied. */
const TAKEN = Promise.resolve();

/**
 * Writes to a sink in large pieces. One call at a time: one that comes while another waits for the sink rejects with `ERR_RINGLOOM_BUSY`.
 *
 * What has once failed, or was given up in the middle of a write, stays so: nobody can tell what the sink has got, and each later call rejects with that error.
 * @example
 * ```ts run
 * import { BufferedWriter } from "ringloom/io";
 * const pieces: string[] = [];
 * const writer = new BufferedWriter({ write: (bytes) => void pieces.push(Buffer.from(bytes).toString()) });
 * await writer.write("hel");
 * await writer.write("lo");
 * await writer.end();
 * console.log(pieces); // [ 'hello' ]
 * ```
 * @experimental
 */
export class BufferedWriter implements WriteSink {
  readonly #sink: ByteSink;
  readonly #bufferBytes: number;
  /** What waits lies from `#start` to `#end`; before it lies what the sink has. */
  #block: Buffer = NOTHING;
  #start = 0;
  #end = 0;
  #isWriting = false;
  #hasEnded = false;
  #failure: unknown;

  constructor(sink: ByteSink, options: BufferedWriterOptions = {}) {
    const bufferBytes = options.bufferBytes ?? BUFFER_BYTES_DEFAULT;
    if (!Number.isSafeInteger(bufferBytes) || bufferBytes < 1)
      throw new RangeError(
        `Cannot write: bufferBytes is ${String(bufferBytes)}, and has to be a whole number from 1 on`,
      );
    this.#sink = sink;
    this.#bufferBytes = bufferBytes;
  }

  /** Bytes that the sink has not got yet. */
  get bufferedBytes(): number {
    return this.#end - this.#start;
  }

  /**
   * Takes text (as UTF-8) or bytes. Waits for the sink only when the buffer is full; a piece that fits no buffer goes to the sink as it is, uncopied.
   * @throws RingloomError `ERR_RINGLOOM_CLOSED` after the end, `ERR_RINGLOOM_BUSY`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`; what the sink threw.
   */
  write(data: string | Uint8Array, options?: WaitOptions): Promise<void> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    if (typeof data !== "string" && !(data instanceof Uint8Array))
      return Promise.reject(new TypeError(`Cannot write: ${typeof data} is neither text nor a Uint8Array`));
    const length = typeof data === "string" ? Buffer.byteLength(data) : data.length;
    if (this.bufferedBytes + length <= this.#bufferBytes) {
      this.#put(data, length);
      return TAKEN;
    }
    return this.#alone("write", options, async (wait) => {
      await this.#flush(wait);
      if (length <= this.#bufferBytes) return this.#put(data, length);
      await this.#send(typeof data === "string" ? Buffer.from(data) : data, wait);
    });
  }

  /** As {@link write} of all pieces: one call, so that nothing comes between them. */
  writeMany(pieces: readonly Uint8Array[], options?: WaitOptions): Promise<void> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    let length = 0;
    for (const piece of pieces) {
      if (!(piece instanceof Uint8Array))
        return Promise.reject(new TypeError("Cannot write: one of the pieces is not a Uint8Array"));
      length += piece.length;
    }
    if (this.bufferedBytes + length <= this.#bufferBytes) {
      for (const piece of pieces) this.#put(piece, piece.length);
      return TAKEN;
    }
    return this.#alone("write", options, async (wait) => {
      for (const piece of pieces) {
        if (this.bufferedBytes + piece.length > this.#bufferBytes) await this.#flush(wait);
        if (piece.length <= this.#bufferBytes) this.#put(piece, piece.length);
        else await this.#send(piece, wait);
      }
    });
  }

  /** Gives the sink what waits. Throws as {@link write}. */
  async flush(options?: WaitOptions): Promise<void> {
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
    if (this.bufferedBytes > 0) await this.#alone("flush", options, (wait) => this.#flush(wait));
  }

  /** Gives the sink what waits, and its end. Again it does nothing. */
  async end(options?: WaitOptions): Promise<void> {
    if (this.#hasEnded) return;
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
    await this.#alone("end", options, async (wait) => {
      await this.#flush(wait);
      this.#hasEnded = true;
      await wait.for(endOf(this.#sink, wait.remaining()));
    });
  }

  /** The same as {@link end}, but for a writer that has failed: its error was thrown already. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#failure === undefined) await this.end();
  }

  #refusal(): unknown {
    if (this.#failure !== undefined) return this.#failure;
    if (this.#hasEnded) return refused("ERR_RINGLOOM_CLOSED", "the writer has ended");
    return this.#isWriting ? refused("ERR_RINGLOOM_BUSY", "another call of this writer waits for its sink") : undefined;
  }

  async #alone(
    operation: string,
    options: WaitOptions | undefined,
    work: (wait: Wait) => Promise<void>,
  ): Promise<void> {
    const wait = new Wait(operation, options);
    // Whoever is too late before it begins has written nothing.
    wait.check();
    this.#isWriting = true;
    try {
      await work(wait);
    } catch (error) {
      this.#failure = error ?? refused("ERR_RINGLOOM_CLOSED", "the sink failed without an error");
      throw this.#failure;
    } finally {
      this.#isWriting = false;
    }
  }

  #put(data: string | Uint8Array, length: number): void {
    if (this.#end + length > this.#block.length) {
      const block = Buffer.allocUnsafeSlow(this.#bufferBytes);
      const waiting = this.#block.copy(block, 0, this.#start, this.#end);
      this.#block = block;
      this.#start = 0;
      this.#end = waiting;
    }
    if (typeof data === "string") this.#block.write(data, this.#end);
    else this.#block.set(data, this.#end);
    this.#end += length;
  }

  async #flush(wait: Wait): Promise<void> {
    if (this.bufferedBytes === 0) return;
    const bytes = this.#block.subarray(this.#start, this.#end);
    this.#start = this.#end;
    await this.#send(bytes, wait);
  }

  async #send(bytes: Uint8Array, wait: Wait): Promise<void> {
    await wait.for(writeTo(this.#sink, bytes, wait.remaining()));
  }
}

function refused(code: "ERR_RINGLOOM_CLOSED" | "ERR_RINGLOOM_BUSY", why: string): RingloomError {
  return new RingloomError(code, `Cannot write: ${why}`, { operation: "write" });
}
