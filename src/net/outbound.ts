/**
 * The writing side of one connection. Bytes are copied into the driver's write pool up to a bound a connection; what is beyond it stays with its caller until the
 * kernel has taken some. Writes leave in the order of their calls, and those of one turn in one send.
 *
 *     write → [the write pool, at most `queuedBytesMax`] → kernel
 *           ↘ [pending writes, at most PENDING_MAX: their callers wait]
 */
import { WRITE_BLOCK_BYTES_MAX } from "../constants.js";
import type { Driver } from "../driver/contract.js";
import { RingloomError } from "../errors.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { armWait, checkWait } from "../task/wait-limits.js";

/** Writes of one connection that may wait at once: each waits for its caller's memory, and nobody waits for a thousand on purpose. */
export const PENDING_WRITES_MAX = 1_024;

/** What every write that could be taken at once returns: nobody can tell one from the other. */
const TAKEN: Promise<void> = Promise.resolve();

/** What the writing side needs. */
export interface OutboundOwner {
  readonly driver: Driver;
  readonly slot: number;
  /** The most bytes of the connection that may wait for the kernel. */
  readonly queuedBytesMax: number;
  /** The write pool has no room: have {@link Outbound.proceed} called soon. */
  starved(): void;
}

interface PendingWrite {
  readonly bytes: Uint8Array;
  taken: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  endLimits: (() => void) | undefined;
}

/** The writes of one connection. */
export class Outbound {
  /** Bytes given to the driver so far. */
  committedBytes = 0;
  readonly #owner: OutboundOwner;
  #pending: PendingWrite[] = [];
  #pendingBytes = 0;
  #onIdle: ((error?: Error) => void) | undefined;
  /** Why nothing can be written any more. */
  #error: Error | undefined;

  constructor(owner: OutboundOwner) {
    this.#owner = owner;
  }

  /** Bytes of writes whose callers wait. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Takes what there is room for now, and returns how many bytes that was. */
  tryWrite(bytes: Uint8Array): number {
    if (this.#error !== undefined) throw this.#error;
    return this.#pending.length > 0 ? 0 : this.#commit(bytes, 0);
  }

  /** Takes all, or nothing and returns false. */
  tryWriteAll(bytes: Uint8Array): boolean {
    if (this.#error !== undefined) throw this.#error;
    const { length } = bytes;
    if (this.#pending.length > 0 || length > WRITE_BLOCK_BYTES_MAX || length > this.#room()) return false;
    return length === 0 || this.#commitBlock(bytes, 0, length);
  }

  /** Resolves when all bytes have been taken. */
  write(bytes: Uint8Array, options: WaitOptions | undefined): Promise<void> {
    if (options !== undefined) checkWait("write", options);
    if (!(bytes instanceof Uint8Array)) throw new TypeError("Cannot write: the bytes are not a Uint8Array");
    if (this.tryWriteAll(bytes)) return TAKEN;
    if (this.#pending.length >= PENDING_WRITES_MAX) throw backpressure(this.#pendingBytes);
    const taken = this.#pending.length > 0 ? 0 : this.#commit(bytes, 0);
    if (taken === bytes.length) return TAKEN;
    return this.#wait(bytes, taken, options);
  }

  /** As a {@link write} of all pieces behind each other; small ones leave in one send. */
  writeMany(pieces: readonly Uint8Array[], options: WaitOptions | undefined): Promise<void> {
    if (options !== undefined) checkWait("write", options);
    const total = totalLength(pieces);
    if (this.#error !== undefined) throw this.#error;
    if (total === 0) return TAKEN;
    const isSmall = total <= WRITE_BLOCK_BYTES_MAX && this.#pending.length === 0 && total <= this.#room();
    if (isSmall && this.#commitTogether(pieces, total)) return TAKEN;
    if (this.#pending.length + pieces.length > PENDING_WRITES_MAX) throw backpressure(this.#pendingBytes);
    return Promise.all(pieces.map((piece) => this.write(piece, options))).then(nothing);
  }

  /** Calls `idle` when no caller waits any more, at once when none does; with the error when that will never be. */
  whenIdle(idle: (error?: Error) => void): void {
    if (this.#pending.length === 0) idle();
    else this.#onIdle = idle;
  }

  /** The kernel or the write pool has room again. */
  proceed(): void {
    while (this.#pending.length > 0) {
      const write = this.#pending[0]!;
      const taken = this.#commit(write.bytes, write.taken);
      write.taken += taken;
      this.#pendingBytes -= taken;
      if (write.taken < write.bytes.length) return;
      this.#pending.shift();
      write.endLimits?.();
      write.resolve();
    }
    this.#idle();
  }

  /** No more writes: those that wait, and those to come, get the error. */
  fail(error: Error): void {
    this.#error ??= error;
    const pending = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    for (const { endLimits, reject } of pending) {
      endLimits?.();
      reject(error);
    }
    this.#idle(error);
  }

  /** No more writes are accepted; those that wait go on. */
  refuse(error: Error): void {
    this.#error ??= error;
  }

  #wait(bytes: Uint8Array, taken: number, options: WaitOptions | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const write: PendingWrite = { bytes, taken, resolve, reject, endLimits: undefined };
      if (options !== undefined) write.endLimits = armWait(options, "write", (error) => this.#giveUp(write, error));
      this.#pending.push(write);
      this.#pendingBytes += bytes.length - taken;
    });
  }

  #giveUp(write: PendingWrite, error: RingloomError): void {
    const index = this.#pending.indexOf(write);
    if (index < 0) return;
    this.#pending.splice(index, 1);
    this.#pendingBytes -= write.bytes.length - write.taken;
    const { message, code, cause } = error;
    const details = { ...error.details, writtenBytes: write.taken, bytes: write.bytes.length };
    write.reject(new RingloomError(code, message, { operation: "write", cause, details }));
    if (index === 0) this.proceed();
  }

  #idle(error?: Error): void {
    const idle = this.#onIdle;
    this.#onIdle = undefined;
    idle?.(error);
  }

  #room(): number {
    const { driver, slot, queuedBytesMax } = this.#owner;
    return queuedBytesMax - driver.queuedBytes(slot);
  }

  /** Commits from `start` on what there is room for, and asks to be told of more where that is not all. Returns how many bytes it took. */
  #commit(bytes: Uint8Array, start: number): number {
    let at = start;
    while (at < bytes.length) {
      const length = Math.min(bytes.length - at, WRITE_BLOCK_BYTES_MAX, this.#room());
      if (length <= 0) {
        this.#owner.driver.requestDrained(this.#owner.slot);
        break;
      }
      if (!this.#commitBlock(bytes, at, length)) {
        this.#owner.starved();
        break;
      }
      at += length;
    }
    return at - start;
  }

  #commitBlock(bytes: Uint8Array, start: number, length: number): boolean {
    const { driver, slot } = this.#owner;
    const at = driver.reserve(slot, length);
    if (at < 0) return false;
    driver.writeBytes.set(length === bytes.length ? bytes : bytes.subarray(start, start + length), at);
    driver.commit(slot, length);
    this.committedBytes += length;
    return true;
  }

  #commitTogether(pieces: readonly Uint8Array[], total: number): boolean {
    const { driver, slot } = this.#owner;
    const start = driver.reserve(slot, total);
    if (start < 0) return false;
    let at = start;
    for (const piece of pieces) {
      driver.writeBytes.set(piece, at);
      at += piece.length;
    }
    driver.commit(slot, total);
    this.committedBytes += total;
    return true;
  }
}

function totalLength(pieces: readonly Uint8Array[]): number {
  let total = 0;
  for (const piece of pieces) {
    if (!(piece instanceof Uint8Array)) throw new TypeError("Cannot write: one of the pieces is not a Uint8Array");
    total += piece.length;
  }
  return total;
}

function nothing(): void {}

/** The error of a write to a connection for which too much waits already. */
export function backpressure(pendingBytes: number): RingloomError {
  return new RingloomError(
    "ERR_RINGLOOM_BACKPRESSURE",
    `Cannot write: the peer does not read, and ${pendingBytes} bytes of earlier writes wait already`,
    { operation: "write", details: { pendingBytes } },
  );
}
