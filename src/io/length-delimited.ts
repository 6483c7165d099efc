/**
 * Frames with their length in front: the most common way to put messages on a stream of bytes. The parameters are those that formats in use differ by.
 *
 *     | header (lengthOffset bytes) | length (lengthBytes) | payload (length + lengthAdjustment bytes) |
 */
import { RingloomError } from "../errors.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { BufferedReader } from "./buffered-reader.js";
import type { BufferedWriter } from "./buffered-writer.js";
import type { ByteSource } from "./bytes.js";
import { Wait } from "./wait.js";

/**
 * What the frames look like.
 * @experimental
 */
export interface LengthDelimitedOptions {
  /** The size of the length, in bytes, or `varint`: seven bits a byte, the lowest first, as Protocol Buffers has them. 4 unless given. */
  readonly lengthBytes?: 1 | 2 | 3 | 4 | 6 | 8 | "varint";
  /** `big` (network order) unless given. */
  readonly byteOrder?: "big" | "little";
  /** Bytes before the length: none unless given. */
  readonly lengthOffset?: number;
  /** What the payload has more than the length says, in bytes; negative where the length counts its own bytes. */
  readonly lengthAdjustment?: number;
  /** Whether frames are read with header and length, and not their payload only. */
  readonly keepHead?: boolean;
  /** The longest payload, in bytes: what the rest of the frame leaves of 1 MiB. A longer one is `ERR_RINGLOOM_TOO_LARGE` as soon as its length is known. */
  readonly payloadBytesMax?: number;
}

/**
 * Reads and writes frames of one kind. Made by {@link lengthDelimited}.
 * @experimental
 */
export interface LengthDelimited {
  /** The bytes that a reader for these frames must be able to hold: its `bytesMax`. */
  readonly frameBytesMax: number;
  /**
   * The next frame; undefined when the source has ended between two. A read that fails or is given up has taken nothing.
   * @throws RingloomError `ERR_RINGLOOM_TOO_LARGE`, `ERR_RINGLOOM_BAD_ENCODING` for a length that is none, `ERR_RINGLOOM_UNEXPECTED_END` within a frame,
   * and as {@link BufferedReader.read}.
   */
  read(reader: BufferedReader, options?: WaitOptions): Promise<Buffer | undefined>;
  /** All frames of a source. Leaving the loop closes the source, unless it is a {@link BufferedReader}. Throws as {@link LengthDelimited.read}. */
  frames(source: ByteSource, options?: WaitOptions): AsyncGenerator<Buffer, void, undefined>;
  /**
   * Writes a frame; flushing is the caller's, so that several leave together.
   * @throws RingloomError `ERR_RINGLOOM_TOO_LARGE`, and as {@link BufferedWriter.write}.
   */
  write(writer: BufferedWriter, payload: Uint8Array, options?: FrameWriteOptions): Promise<void>;
  /** A frame in one piece. @throws RingloomError `ERR_RINGLOOM_TOO_LARGE`. */
  encode(payload: Uint8Array, header?: Uint8Array): Buffer;
}

/**
 * How a frame is written.
 * @experimental
 */
export interface FrameWriteOptions extends WaitOptions {
  /** What stands before the length: `lengthOffset` bytes, zeros unless given. */
  readonly header?: Uint8Array;
}

/**
 * The codec of length-delimited frames.
 * @example
 * ```ts run
 * import { lengthDelimited } from "ringloom/io";
 * const messages = lengthDelimited({ lengthBytes: 2, payloadBytesMax: 1_000 });
 * const source = [messages.encode(Buffer.from("one")), messages.encode(Buffer.from("two"))];
 * for await (const payload of messages.frames(source)) console.log(payload.toString()); // one, two
 * ```
 * @throws TypeError, RangeError for options that make no frames.
 * @experimental
 */
export function lengthDelimited(options: LengthDelimitedOptions = {}): LengthDelimited {
  return new Codec(options);
}

/** A reader takes pieces of that size unless told otherwise. */
const FRAME_BYTES_MAX_DEFAULT = 1024 * 1024;
/** Eight groups of seven bits reach beyond every length that a Buffer can have. */
const VARINT_BYTES_MAX = 8;
const SIZES: readonly unknown[] = [1, 2, 3, 4, 6, 8, "varint"];

/** Where the payload of a frame begins and ends, counted from the frame's first byte. */
interface Extent {
  readonly start: number;
  readonly end: number;
}

class Codec implements LengthDelimited {
  readonly frameBytesMax: number;
  readonly #lengthBytes: number | "varint";
  readonly #isLittle: boolean;
  readonly #offset: number;
  readonly #adjustment: number;
  readonly #keepsHead: boolean;
  readonly #payloadBytesMax: number;

  constructor(options: LengthDelimitedOptions) {
    const { lengthBytes = 4, byteOrder = "big", lengthOffset = 0, lengthAdjustment = 0 } = options;
    if (!SIZES.includes(lengthBytes)) throw new RangeError(`Cannot make frames: lengthBytes is ${String(lengthBytes)}`);
    if (byteOrder !== "big" && byteOrder !== "little")
      throw new TypeError(`Cannot make frames: byteOrder is ${String(byteOrder)}, and has to be big or little`);
    checkCount("lengthOffset", lengthOffset);
    const headBytesMax = lengthOffset + (lengthBytes === "varint" ? VARINT_BYTES_MAX : lengthBytes);
    const { payloadBytesMax = Math.max(0, FRAME_BYTES_MAX_DEFAULT - headBytesMax) } = options;
    checkCount("payloadBytesMax", payloadBytesMax);
    if (!Number.isSafeInteger(lengthAdjustment))
      throw new RangeError(`Cannot make frames: lengthAdjustment is ${String(lengthAdjustment)}`);
    this.#lengthBytes = lengthBytes;
    this.#isLittle = byteOrder === "little";
    this.#offset = lengthOffset;
    this.#adjustment = lengthAdjustment;
    this.#keepsHead = options.keepHead === true;
    this.#payloadBytesMax = Math.min(payloadBytesMax, longest(lengthBytes, lengthAdjustment));
    this.frameBytesMax = headBytesMax + payloadBytesMax;
  }

  async read(reader: BufferedReader, options?: WaitOptions): Promise<Buffer | undefined> {
    if (reader.bytesMax < this.frameBytesMax)
      throw new RangeError(
        `Cannot read frames: the reader's bytesMax is ${reader.bytesMax}, and a frame may have ${this.frameBytesMax} bytes`,
      );
    const there = this.#frameNow(reader);
    if (there !== undefined) return there;
    const wait = new Wait("read a frame", options);
    const extent = await this.#extent(reader, wait);
    if (extent === undefined) return undefined;
    return this.#partOf(await reader.readExact(extent.end, wait.remaining()), extent);
  }

  async *frames(source: ByteSource, options?: WaitOptions): AsyncGenerator<Buffer, void, undefined> {
    const isOurs = !(source instanceof BufferedReader);
    const reader =
      source instanceof BufferedReader ? source : new BufferedReader(source, { bytesMax: this.frameBytesMax });
    try {
      for (;;) {
        const frame = this.#frameNow(reader) ?? (await this.read(reader, options));
        if (frame === undefined) return;
        yield frame;
      }
    } finally {
      if (isOurs) await reader.close();
    }
  }

  async write(writer: BufferedWriter, payload: Uint8Array, options: FrameWriteOptions = {}): Promise<void> {
    const { header, ...limits } = options;
    // One call: of two frames that are written at once, none may come between head and payload of the other.
    await writer.writeMany([this.#head(payload.length, header), payload], limits);
  }

  encode(payload: Uint8Array, header?: Uint8Array): Buffer {
    return Buffer.concat([this.#head(payload.length, header), payload]);
  }

  /** The next frame, if all of it is there. */
  #frameNow(reader: BufferedReader): Buffer | undefined {
    for (let wanted = this.#headBytesMin(); wanted <= reader.bytesMax; wanted++) {
      const head = reader.tryPeek(wanted);
      if (head === undefined) return undefined;
      const length = this.#lengthIn(head);
      if (length === undefined) continue;
      const extent = this.#checked(length, wanted);
      const frame = extent.end > reader.bytesMax ? undefined : reader.tryReadExact(extent.end);
      return frame === undefined ? undefined : this.#partOf(frame, extent);
    }
    return undefined;
  }

  #partOf(frame: Buffer, extent: Extent): Buffer {
    return this.#keepsHead ? frame : frame.subarray(extent.start);
  }

  #headBytesMin(): number {
    return this.#offset + (this.#lengthBytes === "varint" ? 1 : this.#lengthBytes);
  }

  /** Undefined when the length goes on. */
  #lengthIn(head: Buffer): number | undefined {
    return this.#lengthBytes === "varint" ? varintAt(head, this.#offset) : this.#fixedLength(head);
  }

  /** Undefined when the source has ended and there is no further frame. */
  async #extent(reader: BufferedReader, wait: Wait): Promise<Extent | undefined> {
    let wanted = this.#headBytesMin();
    for (;;) {
      const head = await reader.peek(wanted, wait.remaining());
      if (head.length === 0) return undefined;
      if (head.length < wanted) throw unexpectedEnd(head.length);
      const length = this.#lengthIn(head);
      // One byte at a time: the byte after the length may never come.
      if (length === undefined) wanted++;
      else return this.#checked(length, wanted);
    }
  }

  #fixedLength(head: Buffer): number {
    const size = this.#lengthBytes as number;
    if (size < 8) return this.#isLittle ? head.readUIntLE(this.#offset, size) : head.readUIntBE(this.#offset, size);
    const [low, high] = this.#isLittle ? [0, 4] : [4, 0];
    const word = (at: number) =>
      this.#isLittle ? head.readUInt32LE(this.#offset + at) : head.readUInt32BE(this.#offset + at);
    return word(high) * 2 ** 32 + word(low);
  }

  #checked(length: number, start: number): Extent {
    const size = length + this.#adjustment;
    if (size < 0)
      throw new RingloomError(
        "ERR_RINGLOOM_BAD_ENCODING",
        `Cannot read a frame: its length of ${length} is less than nothing after the adjustment of ${this.#adjustment}`,
        { operation: "read a frame", details: { length } },
      );
    this.#checkSize(size, "read");
    return { start, end: start + size };
  }

  #checkSize(size: number, operation: string): void {
    if (size <= this.#payloadBytesMax) return;
    throw new RingloomError(
      "ERR_RINGLOOM_TOO_LARGE",
      `Cannot ${operation} a frame: its payload has ${size} bytes, and at most ${this.#payloadBytesMax} are allowed`,
      { operation: `${operation} a frame`, details: { size, payloadBytesMax: this.#payloadBytesMax } },
    );
  }

  #head(size: number, header: Uint8Array | undefined): Buffer {
    this.#checkSize(size, "write");
    if (header !== undefined && header.length !== this.#offset)
      throw new RangeError(`Cannot write a frame: the header has ${header.length} bytes in place of ${this.#offset}`);
    const length = size - this.#adjustment;
    if (length < 0) throw new RangeError(`Cannot write a frame: its length would be ${length}`);
    const lengthField = this.#lengthBytes === "varint" ? varintOf(length) : this.#fixedField(length, this.#lengthBytes);
    return Buffer.concat([header ?? Buffer.alloc(this.#offset), lengthField]);
  }

  #fixedField(length: number, size: number): Buffer {
    const field = Buffer.alloc(size);
    // Six bytes hold every whole number that there is in memory; the two highest of eight stay 0.
    const width = Math.min(size, 6);
    if (this.#isLittle) field.writeUIntLE(length, 0, width);
    else field.writeUIntBE(length, size - width, width);
    return field;
  }
}

/** The longest payload that the length can express. */
function longest(lengthBytes: number | "varint", adjustment: number): number {
  const bits = lengthBytes === "varint" ? 7 * VARINT_BYTES_MAX : 8 * Math.min(lengthBytes, 6);
  return Math.min(2 ** bits, 2 ** 53) - 1 + adjustment;
}

/** Undefined when it goes on beyond the head. */
function varintAt(head: Buffer, offset: number): number | undefined {
  let value = 0;
  for (let index = offset; index < head.length; index++) {
    const byte = head[index] ?? 0;
    value += (byte & 0x7f) * 2 ** (7 * (index - offset));
    if (byte < 0x80) return value;
  }
  if (head.length - offset < VARINT_BYTES_MAX) return undefined;
  throw new RingloomError("ERR_RINGLOOM_BAD_ENCODING", "Cannot read a frame: its length has no end", {
    operation: "read a frame",
  });
}

function varintOf(length: number): Buffer {
  const bytes: number[] = [];
  let rest = length;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

function checkCount(name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw new RangeError(`Cannot make frames: ${name} is ${String(value)}, and has to be a whole number`);
}

function unexpectedEnd(length: number): RingloomError {
  return new RingloomError(
    "ERR_RINGLOOM_UNEXPECTED_END",
    `Cannot read a frame: the source ended ${length} bytes into its head`,
    { operation: "read a frame" },
  );
}
