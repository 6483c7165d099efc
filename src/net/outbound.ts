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
import { Gather } from "./gather.js";

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
  readonly bytes: Gather;
  /** Whether the bytes are copies, to which later ones may be added. */
  readonly isKept: boolean;
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

  /** Whether a write waits. */
  get isPending(): boolean {
    return this.#pending.length > 0;
  }

  /** Bytes of the writes that wait. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Takes what there is room for now, and returns how many bytes that was. */
  tryWrite(bytes: Uint8Array): number {
    if (this.tryWriteAll(bytes)) return bytes.length;
    if (this.#pending.length > 0) return 0;
    const some = new Gather([bytes]);
    this.#commit(some);
    return some.taken;
  }

  /** Takes all, or nothing and returns false. */
  tryWriteAll(bytes: Uint8Array): boolean {
    if (this.#error !== undefined) throw this.#error;
    const { length } = bytes;
    if (this.#pending.length > 0 || length > WRITE_BLOCK_BYTES_MAX || length > this.#room()) return false;
    return length === 0 || this.#commitWhole(bytes);
  }

  /** Resolves when all bytes have been taken. */
  write(bytes: Uint8Array, options: WaitOptions | undefined): Promise<void> {
    if (options !== undefined) checkWait("write", options);
    if (!(bytes instanceof Uint8Array)) throw new TypeError("Cannot write: the bytes are not a Uint8Array");
    if (this.tryWriteAll(bytes)) return TAKEN;
    return this.#writeOrWait(new Gather([bytes]), options);
  }

  /** As a {@link write} of all pieces behind each other: one write, which is taken, waits and is given up as one. Small pieces leave in one send. */
  writeMany(pieces: readonly Uint8Array[], options: WaitOptions | undefined): Promise<void> {
    if (options !== undefined) checkWait("write", options);
    for (const piece of pieces)
      if (!(piece instanceof Uint8Array)) throw new TypeError("Cannot write: one of the pieces is not a Uint8Array");
    if (this.#error !== undefined) throw this.#error;
    return this.#writeOrWait(new Gather(pieces), options);
  }

  /**
   * Takes the bytes now and returns true, or a copy of them, however many writes wait: the caller bounds {@link pendingBytes}. Copies that wait behind each other are one
   * write; `onTaken` of the first is called when all of them have been taken, and never when the connection fails.
   */
  keep(bytes: Uint8Array, onTaken: () => void): boolean {
    if (this.tryWriteAll(bytes)) return true;
    const last = this.#pending.at(-1);
    if (last?.isKept === true) {
      last.bytes.append(bytes);
      this.#pendingBytes += bytes.length;
      return false;
    }
    const copy = new Gather();
    copy.append(bytes);
    if (!this.isPending && this.#commit(copy)) return true;
    this.#wait(copy, undefined, true).then(onTaken, () => {});
    return false;
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
      const { left } = write.bytes;
      const isTaken = this.#commit(write.bytes);
      this.#pendingBytes -= left - write.bytes.left;
      if (!isTaken) return;
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

  #writeOrWait(bytes: Gather, options: WaitOptions | undefined): Promise<void> {
    if (this.#pending.length >= PENDING_WRITES_MAX) throw backpressure(this.#pendingBytes);
    if (bytes.length === 0 || (!this.isPending && this.#commit(bytes))) return TAKEN;
    return this.#wait(bytes, options, false);
  }

  #wait(bytes: Gather, options: WaitOptions | undefined, isKept: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const write: PendingWrite = { bytes, isKept, resolve, reject, endLimits: undefined };
      if (options !== undefined) write.endLimits = armWait(options, "write", (error) => this.#giveUp(write, error));
      this.#pending.push(write);
      this.#pendingBytes += bytes.left;
    });
  }

  #giveUp(write: PendingWrite, error: RingloomError): void {
    const index = this.#pending.indexOf(write);
    if (index < 0) return;
    this.#pending.splice(index, 1);
    this.#pendingBytes -= write.bytes.left;
    const { message, code, cause } = error;
    const details = { ...error.details, writtenBytes: write.bytes.taken, bytes: write.bytes.length };
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

  /** Commits what there is room for, and asks to be told of more where that is not all. Returns whether it is. */
  #commit(bytes: Gather): boolean {
    const { driver, slot } = this.#owner;
    while (bytes.left > 0) {
      const length = Math.min(bytes.left, WRITE_BLOCK_BYTES_MAX, this.#room());
      if (length <= 0) {
        driver.requestDrained(slot);
        return false;
      }
      const at = driver.reserve(slot, length);
      if (at < 0) {
        this.#owner.starved();
        return false;
      }
      bytes.moveTo(driver.writeBytes, at, length);
      driver.commit(slot, length);
      this.committedBytes += length;
    }
    return true;
  }

  #commitWhole(bytes: Uint8Array): boolean {
    const { driver, slot } = this.#owner;
    const at = driver.reserve(slot, bytes.length);
    if (at < 0) return false;
    driver.writeBytes.set(bytes, at);
    driver.commit(slot, bytes.length);
    this.committedBytes += bytes.length;
    return true;
  }
}

/** The error of a write to a connection for which too much waits already. */
export function backpressure(pendingBytes: number): RingloomError {
  return new RingloomError(
    "ERR_RINGLOOM_BACKPRESSURE",
    `Cannot write: the peer does not read, and ${pendingBytes} bytes of earlier writes wait already`,
    { operation: "write", details: { pendingBytes } },
  );
}
