/**
 * An open file. Reads that the page cache can serve complete inside the call; everything else is an operation of the thread's driver.
 *
 * The descriptor stays open until the last operation on it has ended: one that waits in libuv's pool would otherwise meet whatever file gets the same number next.
 */
import { constants } from "node:buffer";
import { close as closeWithNode, readvSync } from "node:fs";
import { promisify } from "node:util";
import { checkBuffer, checkPosition } from "../driver/arguments.js";
import { CURRENT_POSITION } from "../driver/contract.js";
import type { FileStat } from "../driver/file-stat.js";
import { errnoError, RingloomError } from "../errors.js";
import { threadDriver } from "../runtime/thread-driver.js";
import { EAGAIN, ESPIPE } from "../uapi.js";
import { type Begin, type Call, type CallOptions, operate, pooled, shared, throwIfGivenUp } from "./call.js";
import { type LockOptions, lock, tryLock, unlock } from "./file-lock.js";
import { type FileName, toPath, toText } from "./file-name.js";
import { fitsInline, renewed, takeInline } from "./inline-reads.js";
import { isReadable, type OpenOptions, openFlags } from "./open-options.js";
import { statOf } from "./stat.js";
import { TransferQueue } from "./transfer-queue.js";
import { restOf, totalBytes } from "./vectors.js";

/**
 * Where a transfer begins, and when it is given up.
 * @experimental
 */
export interface TransferOptions extends CallOptions {
  /** In bytes from the start. Default: where the last transfer without a position ended; the end of the file for one that was opened with `append`. */
  readonly position?: number | undefined;
}

/**
 * How much {@link File.readToEnd} may take.
 * @experimental
 */
export interface ReadToEndOptions extends CallOptions {
  /** Fails with `EFBIG` when there is more, in bytes. Default: the largest buffer that Node can make. */
  readonly bytesMax?: number;
}

const CHUNK_BYTES = 64 * 1024;
const closeInPool = promisify(closeWithNode);
const NOTHING = new Uint8Array(0);
const EFBIG = 27;
const EIO = 5;

/**
 * Opens a file.
 *
 * ```ts run
 * import { open, remove } from "ringloom/fs";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 *
 * const path = join(tmpdir(), `ringloom-open-${process.pid}`);
 * const file = await open(path, { read: true, write: true, create: true });
 * try {
 *   await file.write("hello");
 *   const buffer = new Uint8Array(4);
 *   if ((await file.readAt(buffer, 1)) !== 4) throw new Error("the file is too short");
 * } finally {
 *   await file.close();
 *   await remove(path);
 * }
 * ```
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` for options that contradict each other; the kernel's code otherwise (`ENOENT`, `EACCES`, `EMFILE`), with the path in message and details.
 * @experimental
 */
export function open(name: FileName, options: OpenOptions = {}): Promise<File> {
  return openTelling(name, options, undefined);
}

/** As {@link open}; calls `abandoned` when the file was opened, or made, behind the back of a call that was given up. It is closed then. */
export async function openTelling(
  name: FileName,
  options: OpenOptions,
  abandoned: (() => void) | undefined,
): Promise<File> {
  const flags = openFlags(options);
  const path = toPath(name);
  const text = toText(name);
  const call: Call = { operation: "open", details: { path: text }, options, late };
  function late(result: number): void {
    closeLate(result);
    if (result >= 0) abandoned?.();
  }
  const request = { call: "open", path, flags, mode: options.mode } as const;
  const descriptor = await operate(call, (operations, done) => operations.path(request, done));
  return new File(descriptor, text, options);
}

/**
 * An open file; {@link open} makes one. Close it, or let `await using` do so.
 * @experimental
 */
export class File {
  readonly path: string;
  readonly #isAppending: boolean;
  /** Opened for both reading and writing. */
  readonly #isReadWrite: boolean;
  #descriptor: number;
  /** False when the kernel cannot say what the page cache has of this file. */
  #readsNow: boolean;
  /** A pipe, a terminal: what has no positions. */
  #isStream = false;
  #isClassified = false;
  #position = 0;
  /** The transfers without a position. They share the one of the file, and so they run one at a time. */
  readonly #ordered = new TransferQueue();
  /** The writes of a stream that is read, too: a read that waits for a peer must not hold back the write that the peer waits for. */
  readonly #streamWrites = new TransferQueue();
  #running = 0;
  /** Reads under way, which a close gives up: they may wait for a peer. */
  readonly #reads = new Set<number>();
  #idle: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  /** For {@link open}. */
  constructor(descriptor: number, path: string, options: OpenOptions) {
    this.#descriptor = descriptor;
    this.path = path;
    this.#isAppending = options.append === true;
    this.#isReadWrite = isReadable(options) && (options.write === true || options.append === true);
    // A direct read is never in the page cache, and would wait for the disk inside the call.
    this.#readsNow = isReadable(options) && options.direct !== true;
  }

  /** The kernel's number of the file. Throws `ERR_RINGLOOM_CLOSED` when it is closed. */
  get descriptor(): number {
    this.#assertOpen("use the descriptor of a file");
    return this.#descriptor;
  }

  /**
   * Fills `buffer` from `position`. Resolves to the number of bytes, which is less than asked for only at the end of the file (for a pipe or a terminal: what was there). The buffer is the kernel's
   * until then. What the page cache has is read inside the call.
   */
  readAt(buffer: Uint8Array, position: number, options?: CallOptions): Promise<number> {
    if (options === undefined && this.#readsNow && buffer instanceof Uint8Array && isPosition(position)) {
      const { byteLength } = buffer;
      if (takeInline(byteLength)) {
        const count = this.#readNow(buffer, position);
        if (count === byteLength) return Promise.resolve(count);
        if (count > 0) return this.#readRest(buffer, position, { already: count, options });
      } else if (fitsInline(byteLength) && this.#closed === undefined) return this.#readNextTurn(buffer, position);
    }
    return this.#readRest(buffer, position, { already: 0, options });
  }

  /** Fills `buffer` from where the last such read or write ended, or from `position`; else like {@link readAt}. Reads without a position run one at a time, in their order: one that waits for its turn is given up like any other. */
  read(buffer: Uint8Array, options: TransferOptions = {}): Promise<number> {
    if (options.position !== undefined) return this.readAt(buffer, options.position, givenUpBy(options));
    return this.#inOrder("read", options, async (limits) => {
      const count = await this.readAt(buffer, this.#position, limits);
      this.#position += count;
      return count;
    });
  }

  /** Fills several buffers, one after the other; else like {@link read}. */
  readVector(buffers: readonly Uint8Array[], options: TransferOptions = {}): Promise<number> {
    const { position } = options;
    if (position !== undefined) return this.#readBuffers(buffers, position, options);
    return this.#inOrder("read", options, async (limits) => {
      const count = await this.#readBuffers(buffers, this.#position, limits);
      this.#position += count;
      return count;
    });
  }

  /** Everything from where the last read without a position ended to the end of the file. */
  readToEnd(options: ReadToEndOptions = {}): Promise<Uint8Array> {
    return this.#inOrder("read", options, (limits) => this.#readToEnd(options.bytesMax, limits));
  }

  /** The file in pieces of at most `chunkBytes`, each in a buffer of its own, from where the last read without a position ended. */
  async *chunks(options: CallOptions & { readonly chunkBytes?: number } = {}): AsyncGenerator<Uint8Array, void, void> {
    const { chunkBytes = CHUNK_BYTES } = options;
    if (!Number.isInteger(chunkBytes) || chunkBytes < 1)
      throw new RangeError(`Cannot read in chunks of ${chunkBytes} bytes`);
    while (true) {
      const buffer = new Uint8Array(chunkBytes);
      const count = await this.read(buffer, givenUpBy(options));
      if (count === 0) return;
      yield count === chunkBytes ? buffer : buffer.subarray(0, count);
    }
  }

  /** Writes all of `data` at `position`. Text is written as UTF-8. The buffer is the kernel's until the promise settles. */
  async writeAt(data: Uint8Array | string, position: number, options?: CallOptions): Promise<void> {
    await this.#writeBuffers([bytesOf(data)], position, options);
  }

  /** Writes all of `data` where the last read or write without a position ended, or at `position`. A file that was opened with `append` is written at its end only, and reads go on where they were. */
  async write(data: Uint8Array | string, options: TransferOptions = {}): Promise<void> {
    await this.writeVector([bytesOf(data)], options);
  }

  /** Writes several buffers, one after the other; else like {@link write}. */
  writeVector(buffers: readonly Uint8Array[], options: TransferOptions = {}): Promise<void> {
    const { position } = options;
    if (position !== undefined) return this.#writeBuffers(buffers, position, options);
    return this.#inOrder("write", options, async (limits) => {
      if (this.#isAppending) return this.#writeBuffers(buffers, CURRENT_POSITION, limits);
      await this.#writeBuffers(buffers, this.#position, limits);
      this.#position += totalBytes(buffers);
    });
  }

  /** Writes to the end of the file. It must have been opened with `append`, so that nobody else's bytes are overwritten. */
  async append(data: Uint8Array | string, options: CallOptions = {}): Promise<void> {
    if (!this.#isAppending) throw this.#invalid("append", "which was not opened with append");
    await this.write(data, givenUpBy(options));
  }

  /** Makes the file so many bytes long: cuts it, or adds zeros. */
  async truncate(length = 0, options?: CallOptions): Promise<void> {
    await this.#run("truncate", options, (operations, done) => operations.truncate(this.#descriptor, length, done), {
      length,
    });
  }

  /** Waits until everything written has reached the device, times and owner included. */
  async sync(options?: CallOptions): Promise<void> {
    await this.#run("sync", options, (operations, done) => operations.fsync(this.#descriptor, false, done));
  }

  /** Waits until everything written has reached the device, and what reading it needs. */
  async datasync(options?: CallOptions): Promise<void> {
    await this.#run("datasync", options, (operations, done) => operations.fsync(this.#descriptor, true, done));
  }

  /**
   * Reserves room on the device for `length` bytes from `position`, so that writing there cannot fail with `ENOSPC`. The file is at least so long then, with zeros. Where the ring has no
   * such operation, zeros are written behind the end of the file instead: holes before it stay holes.
   */
  async allocate(position: number, length: number, options?: CallOptions): Promise<void> {
    const begin: Begin = (operations, done) => operations.allocate(this.#descriptor, position, length, done);
    await this.#run("allocate", options, begin, { position, length });
  }

  /** What the kernel knows of the file. */
  async stat(options?: CallOptions): Promise<FileStat> {
    this.#enter("stat");
    try {
      return await statOf(this.#descriptor, this.#call("stat", options));
    } finally {
      this.#leave();
    }
  }

  /** Takes the advisory lock of the file as soon as it can be had; see {@link LockOptions}. It ends with {@link unlock} or with the file. */
  async lock(options: LockOptions = {}): Promise<void> {
    this.#assertOpen("lock");
    const call = this.#call("lock", shared(options));
    await lock(() => this.descriptor, call, options.shared === true);
  }

  /** Takes the lock if nobody else has it. Returns whether it did. */
  tryLock(options: { readonly shared?: boolean } = {}): boolean {
    this.#assertOpen("tryLock");
    return tryLock(this.#descriptor, this.#call("lock", undefined), options.shared === true);
  }

  /** Gives the lock back. Does nothing when the file has none, or is closed. */
  unlock(): void {
    if (this.#closed === undefined) unlock(this.#descriptor, this.#call("unlock", undefined));
  }

  /**
   * Closes the file when what runs on it has ended. A read that waits for a peer, as of a pipe, is given up on `uring`; on `epoll` and `portable`, where a thread of libuv's pool sits in it,
   * the file closes when the peer writes or leaves. Later calls reject with `ERR_RINGLOOM_CLOSED`; closing again does nothing. Rejects with
   * what the kernel says of writes that failed late; the file is closed all the same.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Gives the descriptor back without closing it: for another thread, which makes a file of it with `adoptFile`, or another kind of reader. It is the caller's to close from then on, and this object is closed. Locks stay with the descriptor.
   *
   * @throws RingloomError `ERR_RINGLOOM_BUSY` while a call on the file has not ended, `ERR_RINGLOOM_CLOSED`.
   */
  release(): number {
    this.#assertOpen("release");
    if (this.#running > 0 || this.#ordered.isBusy || this.#streamWrites.isBusy)
      throw new RingloomError("ERR_RINGLOOM_BUSY", `Cannot release: a call on ${this.path} has not ended`, {
        operation: "release",
        details: { path: this.path },
      });
    const descriptor = this.#descriptor;
    this.#readsNow = false;
    this.#descriptor = -1;
    this.#closed = Promise.resolve();
    return descriptor;
  }

  async #close(): Promise<void> {
    this.#readsNow = false;
    for (const id of this.#reads) threadDriver().driver.operations.cancel(id);
    if (this.#running > 0)
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    const descriptor = this.#descriptor;
    this.#descriptor = -1;
    await closeDescriptor(this.#call("close", undefined), descriptor);
  }

  /** What the page cache has, or a negative error number. */
  #readNow(buffer: Uint8Array, position: number): number {
    const count = threadDriver().driver.operations.readNow(this.#descriptor, buffer, position);
    if (count < 0) this.#noteRefusal(count);
    return count;
  }

  /** A file system that cannot tell will not learn it, and a pipe will not get positions. */
  #noteRefusal(result: number): void {
    if (result !== -EAGAIN) this.#readsNow = false;
    if (result === -ESPIPE) this.#isStream = true;
  }

  /** A ring reads a pipe at any position and says nothing; preadv(2) refuses. Without the addon it is the pool that refuses. */
  #classify(): void {
    if (this.#isClassified) return;
    this.#isClassified = true;
    if (this.#readsNow) {
      const result = threadDriver().driver.operations.readNow(this.#descriptor, NOTHING, 0);
      if (result < 0) this.#noteRefusal(result);
      if (result >= 0 || this.#isStream) return;
    }
    // Before its first write there must be an answer: which queue it waits in hangs on it.
    if (this.#isReadWrite) this.#isStream ||= hasNoPositions(this.#descriptor);
  }

  /** The allowance of reads inside the call is used up. Of many reads at once each ninth comes here, so it makes one promise and no more. */
  #readNextTurn(buffer: Uint8Array, position: number): Promise<number> {
    this.#running += 1;
    return renewed().then(
      () => {
        const count = takeInline(buffer.byteLength) ? this.#readNow(buffer, position) : 0;
        if (count < buffer.byteLength)
          return this.#readEntered(buffer, position, { already: Math.max(0, count), options: undefined });
        this.#leave();
        return count;
      },
      (error: unknown) => {
        this.#leave();
        throw error;
      },
    );
  }

  async #readRest(
    buffer: Uint8Array,
    position: number,
    { already, options }: { already: number; options: CallOptions | undefined },
  ): Promise<number> {
    checkBuffer("read", buffer);
    checkPosition("read", position);
    this.#enter("read");
    return this.#readEntered(buffer, position, { already, options });
  }

  /** Reads for a call that `close` waits for. */
  async #readEntered(
    buffer: Uint8Array,
    position: number,
    { already, options }: { already: number; options: CallOptions | undefined },
  ): Promise<number> {
    try {
      this.#classify();
      const limits = shared(options);
      let done = already;
      while (done < buffer.byteLength) {
        const count = await this.#readSome(buffer.subarray(done), position + done, limits);
        done += count;
        if (count === 0 || this.#isStream) break;
      }
      return done;
    } finally {
      this.#leave();
    }
  }

  async #readSome(buffer: Uint8Array, position: number, options: CallOptions | undefined): Promise<number> {
    if (options !== undefined) throwIfGivenUp(this.#call("read", options));
    while (this.#readsNow && fitsInline(buffer.byteLength)) {
      if (!takeInline(buffer.byteLength)) {
        await renewed();
        continue;
      }
      const count = threadDriver().driver.operations.readNow(this.#descriptor, buffer, position);
      if (count >= 0) return count;
      this.#noteRefusal(count);
      break;
    }
    const begin =
      (at: number): Begin =>
      (operations, done) =>
        operations.readAt(this.#descriptor, buffer, at, done);
    return this.#transfer("read", { position, bytes: buffer.byteLength }, options, begin);
  }

  async #readBuffers(
    buffers: readonly Uint8Array[],
    position: number,
    options: CallOptions | undefined,
  ): Promise<number> {
    for (const buffer of buffers) checkBuffer("read", buffer);
    checkPosition("read", position);
    this.#enter("read");
    try {
      this.#classify();
      const limits = shared(options);
      const total = totalBytes(buffers);
      let done = 0;
      while (done < total) {
        const rest = restOf(buffers, done);
        const begin =
          (at: number): Begin =>
          (operations, ended) =>
            operations.readVector(this.#descriptor, rest, at, ended);
        const count = await this.#transfer("read", { position: position + done, bytes: total }, limits, begin);
        done += count;
        if (count === 0 || this.#isStream) break;
      }
      return done;
    } finally {
      this.#leave();
    }
  }

  async #writeBuffers(
    buffers: readonly Uint8Array[],
    position: number,
    options: CallOptions | undefined,
  ): Promise<void> {
    for (const buffer of buffers) checkBuffer("write", buffer);
    if (!this.#isAppending) checkPosition("write", position);
    else if (position !== CURRENT_POSITION) throw this.#invalid("write", "which was opened with append, at a position");
    this.#enter("write");
    try {
      const limits = shared(options);
      const total = totalBytes(buffers);
      let done = 0;
      while (done < total) {
        const rest = restOf(buffers, done);
        const at = position === CURRENT_POSITION ? CURRENT_POSITION : position + done;
        const begin = (from: number): Begin => {
          const [only] = rest;
          if (rest.length === 1 && only !== undefined)
            return (operations, ended) => operations.writeAt(this.#descriptor, only, from, ended);
          return (operations, ended) => operations.writeVector(this.#descriptor, rest, from, ended);
        };
        const count = await this.#transfer("write", { position: at, bytes: total, written: done }, limits, begin);
        // Nothing written and no reason given would be an endless loop.
        if (count === 0) throw errnoError("write", EIO, { path: this.path });
        done += count;
      }
    } finally {
      this.#leave();
    }
  }

  /** One transfer; at the file's own position once the kernel has said that this file has no others. */
  async #transfer(
    operation: "read" | "write",
    details: Readonly<Record<string, unknown>> & { readonly position: number },
    options: CallOptions | undefined,
    begin: (position: number) => Begin,
  ): Promise<number> {
    let id = -1;
    const began = (started: number): void => {
      id = started;
      if (operation === "read") this.#reads.add(started);
    };
    const call: Call = { ...this.#call(operation, options, details), hasBuffer: true, began };
    try {
      return await operate(call, begin(this.#isStream ? CURRENT_POSITION : details.position));
    } catch (error) {
      if (this.#isStream || !isCode(error, "ESPIPE")) throw this.#isClosing(error);
      this.#isStream = true;
      return this.#transfer(operation, details, options, begin);
    } finally {
      this.#reads.delete(id);
    }
  }

  /** What a read that `close` has given up rejects with. */
  #isClosing(error: unknown): unknown {
    return this.#closed !== undefined && isCode(error, "ECANCELED") ? this.#closedError("read") : error;
  }

  async #readToEnd(bytesMax = constants.MAX_LENGTH, limits: CallOptions | undefined = undefined): Promise<Uint8Array> {
    const { size } = await this.stat(limits);
    const pieces: Uint8Array[] = [];
    let total = 0;
    // One byte more than the file has, so that its end shows without another read.
    let next = Math.min(Math.max(size - this.#position, 0) + 1, bytesMax + 1);
    while (true) {
      const piece = new Uint8Array(next);
      const count = await this.readAt(piece, this.#position, limits);
      this.#position += count;
      total += count;
      if (total > bytesMax) throw errnoError("read", EFBIG, { path: this.path, bytesMax });
      if (count > 0) pieces.push(piece.subarray(0, count));
      if (count === 0 || (count < next && !this.#isStream)) return joined(pieces, total);
      next = CHUNK_BYTES;
    }
  }

  async #run(
    operation: string,
    options: CallOptions | undefined,
    begin: Begin,
    details: Readonly<Record<string, unknown>> = {},
  ): Promise<void> {
    this.#enter(operation);
    try {
      // Given up is not over: the descriptor must stay until the completion.
      await operate({ ...this.#call(operation, options, details), hasBuffer: true }, begin);
    } finally {
      this.#leave();
    }
  }

  /** Transfers without a position begin where the one before ended, so they wait for it; their time runs meanwhile. */
  async #inOrder<T>(
    operation: "read" | "write",
    options: CallOptions,
    run: (limits: CallOptions | undefined) => Promise<T>,
  ): Promise<T> {
    const limits = shared(options);
    const queue = operation === "write" && this.#isDuplex() ? this.#streamWrites : this.#ordered;
    return await queue.run(this.#call(operation, limits), () => run(limits));
  }

  /** Whether its reads and its writes have nothing to do with each other. */
  #isDuplex(): boolean {
    if (!this.#isReadWrite || this.#closed !== undefined) return false;
    this.#classify();
    return this.#isStream;
  }

  #call(operation: string, options: CallOptions | undefined, details: Readonly<Record<string, unknown>> = {}): Call {
    return { operation, details: { path: this.path, ...details }, options };
  }

  #enter(operation: string): void {
    this.#assertOpen(operation);
    this.#running += 1;
  }

  #leave(): void {
    this.#running -= 1;
    if (this.#running === 0) this.#idle?.();
  }

  #assertOpen(operation: string): void {
    if (this.#closed !== undefined) throw this.#closedError(operation);
  }

  #invalid(operation: string, problem: string): RingloomError {
    const message = `Cannot ${operation} to ${this.path}, ${problem}`;
    return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", message, { operation, details: { path: this.path } });
  }

  #closedError(operation: string): RingloomError {
    return new RingloomError("ERR_RINGLOOM_CLOSED", `Cannot ${operation}: the file ${this.path} is closed`, {
      operation,
      details: { path: this.path },
    });
  }
}

/** Whoever gave up an open that then succeeded will never hear of the descriptor. */
function closeLate(result: number): void {
  if (result >= 0)
    closeDescriptor({ operation: "close", details: {}, options: undefined }, result).catch(() => {
      // Nobody has written to it, and it is closed whatever the kernel says.
    });
}

/** A thread with as many operations as it may have can still close: a descriptor that stays open would be lost. */
async function closeDescriptor(call: Call, descriptor: number): Promise<void> {
  try {
    await operate(call, (operations, done) => operations.closeFile(descriptor, done));
  } catch (error) {
    if (!isCode(error, "ERR_RINGLOOM_OVERLOADED")) throw error;
    await pooled(call, () => closeInPool(descriptor));
  }
}

function givenUpBy({ signal, timeoutMs }: CallOptions): CallOptions | undefined {
  return signal === undefined && (timeoutMs ?? 0) === 0 ? undefined : { signal, timeoutMs };
}

/** What can be a position, so that the addon need not ask. */
function isPosition(position: number): boolean {
  return Number.isSafeInteger(position) && position >= 0;
}

function bytesOf(data: Uint8Array | string): Uint8Array {
  if (typeof data === "string") return Buffer.from(data);
  if (data instanceof Uint8Array) return data;
  throw new TypeError("Cannot write what is neither text nor a Uint8Array");
}

function joined(pieces: readonly Uint8Array[], total: number): Uint8Array {
  const [first] = pieces;
  if (pieces.length === 1 && first !== undefined) return first;
  const whole = new Uint8Array(total);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** Reading nothing at a position moves nothing, and what has no positions refuses. */
function hasNoPositions(descriptor: number): boolean {
  try {
    readvSync(descriptor, [NOTHING], 0);
    return false;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ESPIPE";
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof RingloomError && error.code === code;
}
