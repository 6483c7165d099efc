/** The body of a response as it arrives: bytes wait here for a reader, up to a bound; beyond it the server is held back. */

import { RingloomError } from "../errors.js";
import { JoinedPieces } from "./joined-pieces.js";

/** Bytes of one body that wait for its reader before the server is held back. What one receive brings may lie beyond. */
export const BODY_BUFFER_BYTES = 256 * 1024;

/** What a body asks of its connection. */
export interface RawBodyOwner {
  /** Less waits than before. */
  bodyRead(): void;
  /** The rest is not wanted. */
  bodyCancelled(): void;
}

interface WaitingReader {
  readonly resolve: (chunk: Buffer | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** One body. One reader at a time. */
export class RawBody {
  /** Bytes that wait. */
  bytesNow = 0;
  readonly #owner: RawBodyOwner;
  #chunks: Buffer[] = [];
  readonly #joined = new JoinedPieces();
  #first = 0;
  #isEnded = false;
  #error: Error | undefined;
  #reader: WaitingReader | undefined;

  constructor(owner: RawBodyOwner) {
    this.#owner = owner;
  }

  /** Whether it has all come, read or not. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** A piece has come, and is the body's. */
  push(chunk: Buffer): void {
    const reader = this.#reader;
    if (reader !== undefined) {
      this.#reader = undefined;
      reader.resolve(chunk);
      return;
    }
    this.bytesNow += chunk.length;
    const last = this.#chunks.length - 1;
    const joined = this.#joined.join(this.#chunks[last], chunk);
    if (joined === undefined) this.#chunks.push(chunk);
    else this.#chunks[last] = joined;
  }

  /** That was all. */
  end(): void {
    this.#isEnded = true;
    this.#reader?.resolve(undefined);
    this.#reader = undefined;
  }

  /** The rest will not come. What waits can be read before, unless it is not wanted any more. */
  fail(error: Error, isWanted = true): void {
    if (this.#isEnded || this.#error !== undefined) return;
    this.#error = error;
    if (!isWanted) this.#drop();
    this.#reader?.reject(error);
    this.#reader = undefined;
  }

  /** The next piece; undefined at the end. */
  read(): Promise<Buffer | undefined> {
    if (this.#first < this.#chunks.length) return Promise.resolve(this.#take());
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#isEnded) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  /** All that is left when all has come; undefined when it has not. */
  takeAll(): Buffer | undefined {
    if (!this.#isEnded || this.#error !== undefined) return undefined;
    const left = this.#chunks.slice(this.#first);
    this.#drop();
    return left.length === 1 ? left[0] : Buffer.concat(left);
  }

  /** Gives the rest up. Whoever still reads hears that it is not whole. */
  cancel(): void {
    if (this.#isEnded || this.#error !== undefined) return this.#drop();
    this.#drop();
    this.#isEnded = true;
    this.#error = new RingloomError("ERR_RINGLOOM_ABORTED", "The body was given up before its end: it was discarded.", {
      operation: "read a body",
    });
    this.#reader?.reject(this.#error);
    this.#reader = undefined;
    this.#owner.bodyCancelled();
  }

  #take(): Buffer | undefined {
    const chunk = this.#chunks[this.#first];
    this.#first += 1;
    if (this.#first === this.#chunks.length) {
      this.#chunks = [];
      this.#first = 0;
    }
    this.bytesNow -= chunk?.length ?? 0;
    if (!this.#isEnded) this.#owner.bodyRead();
    return chunk;
  }

  #drop(): void {
    this.#chunks = [];
    this.#first = 0;
    this.bytesNow = 0;
  }
}
