/**
 * Reads a source of bytes in the pieces that a program wants, not in those that it comes in.
 *
 * A piece that lies in what the source gave is a view of it, and nothing is copied; one that spans several is copied once, into memory that grows by
 * doubling. Memory that a view was cut from is never written to again, so what was read is the caller's to keep.
 *
 * A read takes its bytes in the step in which it succeeds. One that is given up, times out or fails has taken none, and the next one finds them all.
 */
import { RingloomError } from "../errors.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { type ByteSource, bufferOf, iteratorOf } from "./bytes.js";
import { Wait } from "./wait.js";

/**
 * Bounds of a {@link BufferedReader}.
 * @experimental
 */
export interface BufferedReaderOptions {
  /** The longest piece that a call may ask for or look for, in bytes: 1 MiB. Beyond it `ERR_RINGLOOM_TOO_LARGE`. */
  readonly bytesMax?: number;
}

/**
 * How {@link BufferedReader.lines} and {@link BufferedReader.split} read.
 * @experimental
 */
export interface PieceOptions extends WaitOptions {
  /** The longest piece, without its delimiter, in bytes; the reader's `bytesMax` unless given. */
  readonly bytesMax?: number;
}

const BYTES_MAX_DEFAULT = 1024 * 1024;
const GROWTH_BYTES_MIN = 4096;
const NOTHING = Buffer.alloc(0);
const NEWLINE = Buffer.from("\n");
const NEWLINE_BYTE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Reads exact lengths, lines and delimited pieces from anything with bytes. One call at a time: a second one throws `ERR_RINGLOOM_BUSY`.
 * @example
 * ```ts run
 * import { BufferedReader } from "ringloom/io";
 * const reader = new BufferedReader([Buffer.from("5\nhel"), Buffer.from("lo")]);
 * const length = Number(await reader.readLine());
 * console.log((await reader.readExact(length)).toString()); // hello
 * ```
 * @experimental
 */
export class BufferedReader implements AsyncIterable<Buffer> {
  /** The longest piece that a call may ask for, in bytes. */
  readonly bytesMax: number;
  readonly #iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  /** What has been received and not read lies from `#start` to `#end`. */
  #bytes: Buffer = NOTHING;
  #start = 0;
  #end = 0;
  #isOver = false;
  #failure: unknown;
  #isReading = false;
  /** Whether the source was asked and has not answered. */
  #isPulling = false;
  /** Who waits for the answer. One call at a time does, so a call that is given up leaves at most this behind. */
  #wake: () => void = () => {};

  constructor(source: ByteSource, options: BufferedReaderOptions = {}) {
    this.bytesMax = checkBytes("bytesMax", options.bytesMax ?? BYTES_MAX_DEFAULT);
    this.#iterator = iteratorOf(source);
  }

  /** Bytes that were received and not read yet. */
  get bufferedBytes(): number {
    return this.#end - this.#start;
  }

  /**
   * What is there, or the next piece of the source: at least a byte, at most `bytesMax`. Undefined at the end.
   * @throws RingloomError `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_CLOSED`, `ERR_RINGLOOM_BUSY`; what the source threw.
   */
  async read(options: PieceOptions = {}): Promise<Buffer | undefined> {
    const bytesMax = checkBytes("bytesMax", options.bytesMax ?? this.bytesMax);
    return this.#alone(async () => {
      if (!(await this.#atLeast(1, new Wait("read", options)))) return undefined;
      return this.#take(Math.min(this.bufferedBytes, bytesMax));
    });
  }

  /**
   * Exactly `length` bytes.
   * @throws RingloomError `ERR_RINGLOOM_UNEXPECTED_END` when the source ends before, `ERR_RINGLOOM_TOO_LARGE`, and as {@link read}. Nothing is lost then.
   */
  async readExact(length: number, options?: WaitOptions): Promise<Buffer> {
    const there = this.tryReadExact(length);
    if (there !== undefined) return there;
    return this.#alone(async () => {
      if (await this.#atLeast(length, new Wait("read", options))) return this.#take(length);
      throw unexpectedEnd(`${length} bytes were asked for and ${this.bufferedBytes} were left`);
    });
  }

  /**
   * The next `length` bytes, which the next read gives again; fewer at the end of the source only.
   * @throws RingloomError as {@link readExact}, but for the end.
   */
  async peek(length: number, options?: WaitOptions): Promise<Buffer> {
    this.#checkLength(length, "peek");
    return this.#alone(async () => {
      await this.#atLeast(length, new Wait("peek", options));
      return this.#bytes.subarray(this.#start, Math.min(this.#start + length, this.#end));
    });
  }

  /** As {@link readExact} without waiting: undefined when fewer bytes are there. Before an `await`, it saves the promise. */
  tryReadExact(length: number): Buffer | undefined {
    this.#checkLength(length, "read exactly");
    this.#checkAlone();
    return this.bufferedBytes < length || this.#failure !== undefined ? undefined : this.#take(length);
  }

  /** As {@link peek} without waiting: undefined when fewer bytes are there. */
  tryPeek(length: number): Buffer | undefined {
    this.#checkLength(length, "peek");
    this.#checkAlone();
    if (this.bufferedBytes < length || this.#failure !== undefined) return undefined;
    return this.#bytes.subarray(this.#start, this.#start + length);
  }

  /**
   * Passes over `length` bytes, however many. What came is gone even when the rest does not come: `details.skippedBytes` of the error says how many that were.
   * @throws RingloomError `ERR_RINGLOOM_UNEXPECTED_END`, and as {@link read}.
   */
  async skip(length: number, options?: WaitOptions): Promise<void> {
    checkBytes("length", length);
    return this.#alone(async () => {
      const wait = new Wait("skip", options);
      let left = length;
      try {
        while (left > 0) {
          if (!(await this.#atLeast(1, wait))) throw unexpectedEnd(`${left} of ${length} bytes to skip were missing`);
          left -= this.#take(Math.min(left, this.bufferedBytes)).length;
        }
      } catch (error) {
        throw error instanceof RingloomError ? afterSkipping(error, length - left) : error;
      }
    });
  }

  /**
   * The bytes up to `delimiter`, which is passed over. Undefined when the source has ended and nothing is left.
   * @param delimiter text (UTF-8) or bytes, at least one
   * @throws RingloomError `ERR_RINGLOOM_UNEXPECTED_END` when the source ends without it, `ERR_RINGLOOM_TOO_LARGE` when it does not come within `bytesMax`;
   * the bytes stay readable. And as {@link read}.
   */
  async readUntil(delimiter: string | Uint8Array, options: PieceOptions = {}): Promise<Buffer | undefined> {
    const wanted = delimiterOf(delimiter);
    return this.#alone(async () => {
      const piece = await this.#piece(wanted, options);
      if (piece !== undefined || this.bufferedBytes === 0) return piece;
      throw unexpectedEnd(`the delimiter did not come, and ${this.bufferedBytes} bytes were left`);
    });
  }

  /**
   * The next line without its end (`\n` or `\r\n`), as UTF-8; what is no UTF-8 becomes U+FFFD. The last line needs no end. Undefined when there is none.
   * @throws RingloomError `ERR_RINGLOOM_TOO_LARGE` for a line beyond `bytesMax`, and as {@link read}.
   */
  async readLine(options: PieceOptions = {}): Promise<string | undefined> {
    const there = this.#lineNow(options);
    if (there !== undefined) return there;
    return this.#alone(async () => {
      const line = (await this.#piece(NEWLINE, options)) ?? this.#rest();
      if (line === undefined) return undefined;
      const length = line.length - (line[line.length - 1] === CARRIAGE_RETURN ? 1 : 0);
      return line.toString("utf8", 0, length);
    });
  }

  /**
   * All lines from here on. Leaving the loop leaves the reader at the line after, so that the rest can be read in another way.
   * @example
   * ```ts run
   * import { BufferedReader } from "ringloom/io";
   * const reader = new BufferedReader([Buffer.from("host: x\r\n\r\nbody")]);
   * for await (const line of reader.lines({ bytesMax: 1000 })) {
   *   if (line === "") break;
   *   console.log(line); // host: x
   * }
   * console.log((await reader.readAll()).toString()); // body
   * ```
   */
  async *lines(options: PieceOptions = {}): AsyncGenerator<string, void, undefined> {
    for (;;) {
      const line = this.#lineNow(options) ?? (await this.readLine(options));
      if (line === undefined) return;
      yield line;
    }
  }

  /** All pieces between delimiters from here on; the last one may lack its delimiter. Otherwise as {@link lines}. */
  async *split(delimiter: string | Uint8Array, options: PieceOptions = {}): AsyncGenerator<Buffer, void, undefined> {
    const wanted = delimiterOf(delimiter);
    for (;;) {
      const piece = await this.#alone(async () => (await this.#piece(wanted, options)) ?? this.#rest());
      if (piece === undefined) return;
      yield piece;
    }
  }

  /** Everything up to the end of the source. @throws RingloomError `ERR_RINGLOOM_TOO_LARGE` beyond `bytesMax`, and as {@link read}. */
  async readAll(options: PieceOptions = {}): Promise<Buffer> {
    const bytesMax = checkBytes("bytesMax", options.bytesMax ?? this.bytesMax);
    return this.#alone(async () => {
      if (await this.#atLeast(bytesMax + 1, new Wait("read", options))) throw tooLarge("the rest", bytesMax);
      return this.#rest() ?? NOTHING;
    });
  }

  /** The pieces of the source as they come, from here on. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    for (let piece = await this.read(); piece !== undefined; piece = await this.read()) yield piece;
  }

  /** Gives up the source and what is buffered: calls that wait, and later ones, throw `ERR_RINGLOOM_CLOSED`. Again it does nothing. */
  async close(): Promise<void> {
    if (this.#failure instanceof RingloomError && this.#failure.code === "ERR_RINGLOOM_CLOSED") return;
    const wasOver = this.#isOver;
    const isPulling = this.#isPulling;
    this.#fail(new RingloomError("ERR_RINGLOOM_CLOSED", "Cannot read: the reader is closed", { operation: "read" }));
    this.#bytes = NOTHING;
    this.#start = 0;
    this.#end = 0;
    this.#wake();
    if (wasOver) return;
    const returned = this.#iterator.return?.();
    // A generator ends only when what it waits for has come; nobody should have to wait for that.
    if (isPulling) Promise.resolve(returned).catch(() => {});
    else await returned;
  }

  /** The same as {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Runs a read while no other one runs. */
  async #alone<Result>(read: () => Promise<Result>): Promise<Result> {
    this.#checkAlone();
    this.#isReading = true;
    try {
      return await read();
    } finally {
      this.#isReading = false;
    }
  }

  #checkAlone(): void {
    if (!this.#isReading) return;
    throw new RingloomError("ERR_RINGLOOM_BUSY", "Cannot read: another read of this reader has not ended", {
      operation: "read",
    });
  }

  /** The next line, if all of it is there. */
  #lineNow(options: PieceOptions): string | undefined {
    this.#checkAlone();
    // The slow way says so.
    if (options.signal?.aborted === true) return undefined;
    const found = this.#filled().indexOf(NEWLINE_BYTE, this.#start);
    if (found < 0) return undefined;
    const bytesMax = checkBytes("bytesMax", options.bytesMax ?? this.bytesMax);
    if (found - this.#start > bytesMax) throw tooLarge("a line", bytesMax);
    const hasReturn = found > this.#start && this.#bytes[found - 1] === CARRIAGE_RETURN;
    const line = this.#bytes.toString("utf8", this.#start, hasReturn ? found - 1 : found);
    this.#advance(found + 1 - this.#start);
    return line;
  }

  /** The memory up to `#end`, where there is room behind it. */
  #filled(): Buffer {
    return this.#end === this.#bytes.length ? this.#bytes : this.#bytes.subarray(0, this.#end);
  }

  /** Waits until so many bytes are buffered. Returns false when the source ended before. */
  async #atLeast(length: number, wait: Wait): Promise<boolean> {
    while (this.bufferedBytes < length) {
      if (!(await this.#more(wait))) return false;
    }
    return true;
  }

  /** Waits for the next piece of the source. Returns false at its end. */
  async #more(wait: Wait): Promise<boolean> {
    if (!this.#isOver) {
      wait.check();
      const answered = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      if (!this.#isPulling) this.#pull();
      await wait.for(answered);
    }
    if (this.#failure !== undefined) throw this.#failure;
    return !this.#isOver;
  }

  #pull(): void {
    this.#isPulling = true;
    this.#ask()
      .catch((error: unknown) => this.#fail(error))
      .then(() => {
        this.#isPulling = false;
        this.#wake();
      });
  }

  async #ask(): Promise<void> {
    const { done, value } = await this.#iterator.next();
    if (this.#isOver) return;
    if (done === true) this.#isOver = true;
    else this.#append(bufferOf(value));
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#isOver = true;
    this.#failure =
      error ?? new RingloomError("ERR_RINGLOOM_CLOSED", "Cannot read: the source failed without an error");
  }

  #append(piece: Buffer): void {
    const buffered = this.bufferedBytes;
    if (buffered === 0) {
      this.#bytes = piece;
      this.#start = 0;
      this.#end = piece.length;
      return;
    }
    // What the source gave is full; only memory that was made here has room behind `#end`.
    if (this.#end + piece.length > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(GROWTH_BYTES_MIN, 2 * (buffered + piece.length)));
      this.#bytes.copy(grown, 0, this.#start, this.#end);
      this.#bytes = grown;
      this.#start = 0;
      this.#end = buffered;
    }
    piece.copy(this.#bytes, this.#end);
    this.#end += piece.length;
  }

  #take(length: number): Buffer {
    const taken = this.#bytes.subarray(this.#start, this.#start + length);
    this.#advance(length);
    return taken;
  }

  #advance(length: number): void {
    this.#start += length;
    if (this.#start < this.#end) return;
    this.#bytes = NOTHING;
    this.#start = 0;
    this.#end = 0;
  }

  #rest(): Buffer | undefined {
    return this.bufferedBytes === 0 ? undefined : this.#take(this.bufferedBytes);
  }

  /** Up to the delimiter, which is passed over. Undefined when the source ended without one. */
  async #piece(delimiter: Buffer, options: PieceOptions): Promise<Buffer | undefined> {
    const bytesMax = checkBytes("bytesMax", options.bytesMax ?? this.bytesMax);
    const wait = new Wait("read", options);
    // Counted from the first buffered byte, which stays the first one: nothing else reads meanwhile.
    let searched = 0;
    for (;;) {
      const found = this.#filled().indexOf(delimiter, this.#start + searched);
      const at = found < 0 ? -1 : found - this.#start;
      if (at >= 0 ? at > bytesMax : this.bufferedBytes >= bytesMax + delimiter.length)
        throw tooLarge("a piece", bytesMax);
      if (at >= 0) return this.#take(at + delimiter.length).subarray(0, at);
      // The delimiter may have begun at the end of what is there.
      searched = Math.max(0, this.bufferedBytes - delimiter.length + 1);
      if (await this.#more(wait)) continue;
      if (this.bufferedBytes > bytesMax) throw tooLarge("a piece", bytesMax);
      return undefined;
    }
  }

  #checkLength(length: number, operation: string): void {
    checkBytes("length", length);
    if (length > this.bytesMax) throw tooLarge(`a call to ${operation} ${length} bytes`, this.bytesMax);
  }
}

function checkBytes(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new RangeError(`Cannot read: ${name} is ${String(value)}, and has to be a whole number of bytes`);
}

function delimiterOf(delimiter: string | Uint8Array): Buffer {
  const bytes = typeof delimiter === "string" ? Buffer.from(delimiter) : bufferOf(delimiter);
  if (bytes.length === 0) throw new RangeError("Cannot read: the delimiter is empty");
  return bytes;
}

function tooLarge(what: string, bytesMax: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_TOO_LARGE", `Cannot read: ${what} exceeds ${bytesMax} bytes`, {
    operation: "read",
    details: { bytesMax },
  });
}

function unexpectedEnd(what: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_UNEXPECTED_END", `Cannot read: ${what} when the source ended`, {
    operation: "read",
  });
}

function afterSkipping({ code, message, details, cause }: RingloomError, skippedBytes: number): RingloomError {
  return new RingloomError(code, message, { operation: "skip", details: { ...details, skippedBytes }, cause });
}
