/**
 * The payload of a compressed message (RFC 7692, section 7.2), by zlib's one-shot calls.
 *
 * What earlier messages have said is given to them as a dictionary: for raw deflate it is the window as it would be had one stream gone on, so no stream is kept, only bytes that can be counted. A call has its
 * state for its own duration: a thousand sockets cost what one does.
 */
import { Buffer } from "node:buffer";
import { constants, deflateRaw, deflateRawSync, inflateRaw, inflateRawSync, type ZlibOptions } from "node:zlib";

/** Messages up to this size are compressed at once, which takes some 0.3 ms; larger ones in libuv's pool. */
export const DEFLATE_NOW_BYTES_MAX = 16 * 1024;
/** Messages that become larger than this are inflated in libuv's pool: it bounds what one frame can cost the event loop. */
export const INFLATE_NOW_BYTES_MAX = 64 * 1024;

/** What a sender leaves off and a receiver puts back. */
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);
/** Node's zlib does not compress with 8; with 9 it refers back by 250 bytes at most, which is within 256. */
const COMPRESS_BITS_MIN = 9;
/** A message may consist of several streams, each with a final block (RFC 7692, section 7.2.3.4). Nobody sends many, and each costs a call, also that of a frame of a few bytes. One that ends with such a block takes two: what is left off stands behind it. */
const STREAMS_MAX = 4;

/** How to compress. */
export interface DeflateParameters {
  readonly windowBits: number;
  readonly level: number;
  readonly history: Buffer | undefined;
}

/** How to inflate, and the bytes that may come out. */
export interface InflateParameters {
  readonly windowBits: number;
  readonly history: Buffer | undefined;
  readonly bytesMax: number;
}

/** A message, or why there is none. */
export type Inflated = Buffer | "tooLarge" | "invalid";

/** Compresses a message. */
export function deflateNow(bytes: Uint8Array, parameters: DeflateParameters): Buffer {
  return deflateRawSync(bytes, deflateOptions(parameters)).subarray(0, -TAIL.length);
}

/** As {@link deflateNow}, in libuv's pool. The bytes must not change meanwhile. */
export function deflateLater(bytes: Uint8Array, parameters: DeflateParameters): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    deflateRaw(bytes, deflateOptions(parameters), (error, deflated) => {
      if (error === null) resolve(deflated.subarray(0, -TAIL.length));
      else reject(error);
    });
  });
}

/** Inflates a message, no further than it may be long. */
export function inflateNow(payload: Uint8Array, parameters: InflateParameters): Inflated {
  const inflating = new Inflating(payload, parameters);
  try {
    while (!inflating.isDone) {
      const { rest, options } = inflating;
      inflating.took(inflateRawSync(rest, options) as unknown as Taken);
    }
  } catch (error) {
    return problemOf(error);
  }
  return inflating.result;
}

/** As {@link inflateNow}, in libuv's pool. */
export async function inflateLater(payload: Uint8Array, parameters: InflateParameters): Promise<Inflated> {
  const inflating = new Inflating(payload, parameters);
  try {
    while (!inflating.isDone) inflating.took(await inflateOnce(inflating));
  } catch (error) {
    return problemOf(error);
  }
  return inflating.result;
}

function deflateOptions({ windowBits, level, history }: DeflateParameters): ZlibOptions {
  const options = { level, windowBits: Math.max(windowBits, COMPRESS_BITS_MIN), finishFlush: constants.Z_SYNC_FLUSH };
  return history === undefined ? options : { ...options, dictionary: history };
}

/** What `info: true` makes of a call's result. */
interface Taken {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

function inflateOnce({ rest, options }: Inflating): Promise<Taken> {
  return new Promise((resolve, reject) => {
    inflateRaw(rest, options, (error, taken) => {
      if (error === null) resolve(taken as unknown as Taken);
      else reject(error);
    });
  });
}

/** A message on its way out of its streams. */
class Inflating {
  rest: Buffer;
  readonly #parameters: InflateParameters;
  readonly #parts: Buffer[] = [];
  #length = 0;

  constructor(payload: Uint8Array, parameters: InflateParameters) {
    this.rest = Buffer.concat([payload, TAIL]);
    this.#parameters = parameters;
  }

  get options(): ZlibOptions {
    const { windowBits, bytesMax } = this.#parameters;
    const options: ZlibOptions = {
      windowBits,
      finishFlush: constants.Z_SYNC_FLUSH,
      // zlib's own bound cannot be 0.
      maxOutputLength: Math.max(1, bytesMax - this.#length),
      info: true,
    };
    const dictionary = this.#history();
    return dictionary === undefined ? options : { ...options, dictionary };
  }

  took({ buffer, engine }: Taken): void {
    this.#parts.push(buffer);
    this.#length += buffer.length;
    if (this.#length > this.#parameters.bytesMax) throw new Refused("tooLarge");
    if (engine.bytesWritten === 0 || this.#parts.length > STREAMS_MAX) throw new Refused("invalid");
    this.rest = this.rest.subarray(engine.bytesWritten);
  }

  get isDone(): boolean {
    return this.rest.length === 0;
  }

  get result(): Buffer {
    const [first] = this.#parts;
    if (this.#parts.length === 1 && first !== undefined && first.length * 2 >= first.buffer.byteLength) return first;
    // zlib gives pieces of chunks of 16 KiB, and Node's pool is larger still: whoever keeps a short message would keep all of it.
    const own = Buffer.allocUnsafeSlow(this.#length);
    let length = 0;
    for (const part of this.#parts) length += part.copy(own, length);
    return own;
  }

  /** A stream behind another one of the same message may refer to that, too. */
  #history(): Buffer | undefined {
    const { history, windowBits } = this.#parameters;
    if (this.#length === 0) return history;
    return Buffer.concat([history ?? Buffer.alloc(0), ...this.#parts]).subarray(-(1 << windowBits));
  }
}

class Refused extends Error {
  readonly why: "tooLarge" | "invalid";

  constructor(why: "tooLarge" | "invalid") {
    super(why);
    this.why = why;
  }
}

function problemOf(error: unknown): "tooLarge" | "invalid" {
  if (error instanceof Refused) return error.why;
  return (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE" ? "tooLarge" : "invalid";
}
