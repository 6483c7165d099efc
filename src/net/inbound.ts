/**
 * The reading side of one connection. A driver pushes bytes and lends them for the call; here they wait for a reader, or go straight to the memory of one who waits.
 *
 *     received → [a read waits: its target] → [the queue, up to a bound; beyond it the connection is paused]
 *
 * One read at a time. What was taken for a read that is then given up goes back to the queue, so giving up loses nothing.
 */
import { AsyncResource } from "node:async_hooks";
import { assert } from "../assert.js";
import { RingloomError } from "../errors.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { armWait, checkWait } from "../task/wait-limits.js";
import { ByteQueue } from "./byte-queue.js";

/** What the reading side asks of its connection. */
export interface InboundOwner {
  pauseReceiving(): void;
  resumeReceiving(): void;
}

/**
 * Takes one segment. The bytes are lent: they are somebody else's when it returns. `false` ends the reading; what comes later waits for the next read.
 * @experimental
 */
export type SegmentHandler = (segment: Uint8Array) => unknown;

/** What waits for bytes: nobody, a target to fill, a target to put something in, somebody who wants memory of their own, a handler of segments. */
const NOBODY = 0;
const EXACT = 1;
const SOME = 2;
const OWNED = 3;
const SEGMENTS = 4;

const NOTHING = new Uint8Array(0);
const NO_TARGETS: readonly Uint8Array[] = [];

/** The reads of one connection. */
export class Inbound {
  readonly #owner: InboundOwner;
  readonly #bytesMax: number;
  readonly #queue = new ByteQueue();
  #isPaused = false;
  #hasEnded = false;
  #error: Error | undefined;
  #mode: number = NOBODY;
  #target: Uint8Array = NOTHING;
  /** Of that target. */
  #filled = 0;
  /** Of a read into several targets all of them, and which one it is at. */
  #targets = NO_TARGETS;
  #targetIndex = 0;
  #handler: SegmentHandler | undefined;
  // Whether it takes a count, a buffer or nothing depends on the mode that set it.
  #resolve: ((value: never) => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;
  #endLimits: (() => void) | undefined;

  /** Holds up to `bytesMax` bytes that nobody has read, and what one receive brings beyond them. */
  constructor(owner: InboundOwner, bytesMax: number) {
    this.#owner = owner;
    this.#bytesMax = bytesMax;
  }

  /** Bytes that can be read without waiting. */
  get bytesNow(): number {
    return this.#queue.length;
  }

  /** Whether there is nothing left to read, and never will be. */
  get isEnded(): boolean {
    return this.#hasEnded && this.#queue.length === 0;
  }

  // --- what the driver says

  received(bytes: Uint8Array, offset: number, length: number): void {
    // Most of the time somebody waits, or nobody and there is room.
    switch (this.#mode) {
      case EXACT:
        return this.#fill(bytes, offset, length);
      case SOME:
        return this.#giveSome(bytes, offset, length);
      case OWNED:
        return this.#finish(Buffer.from(bytes.subarray(offset, offset + length)));
      case SEGMENTS:
        return this.#handle(bytes.subarray(offset, offset + length));
      default:
        this.#keep(bytes, offset, length);
    }
  }

  ended(): void {
    this.#hasEnded = true;
    this.#settleAtEnd();
  }

  /** The connection is gone: whoever waits now, or asks when the queue is empty, gets the error; without one the stream just ends. */
  closed(error: Error | undefined): void {
    // Behind a clean end an error is the other direction's.
    if (error === undefined) this.#hasEnded = true;
    else if (!this.#hasEnded) this.#error ??= error;
    this.#settleAtEnd();
  }

  /** This side gives the connection up: nothing is read any more. */
  discard(error: Error): void {
    this.#queue.clear();
    this.#hasEnded = false;
    this.#error = error;
    if (this.#mode !== NOBODY) this.#fail(error);
  }

  /** Ends this form of reading: what waits is returned, and what comes is somebody else's. */
  surrender(operation: string): Buffer {
    this.assertFree(operation);
    const rest = this.#queue.take(this.#queue.length);
    if (this.#isPaused) this.#owner.resumeReceiving();
    this.#isPaused = false;
    return rest;
  }

  // --- reading at once

  tryRead(bytesMax: number): Buffer | undefined {
    this.assertFree("read");
    if (this.#queue.length === 0) return undefined;
    const bytes = this.#queue.take(bytesMax);
    this.#taken();
    return bytes;
  }

  tryReadSome(target: Uint8Array): number {
    this.assertFree("read");
    const count = this.#queue.moveTo(target, 0, target.length);
    if (this.#isPaused) this.#taken();
    return count;
  }

  tryReadExact(target: Uint8Array): boolean {
    this.assertFree("read");
    if (this.#queue.length < target.length) return false;
    this.#queue.moveTo(target, 0, target.length);
    if (this.#isPaused) this.#taken();
    return true;
  }

  tryReadMany(targets: readonly Uint8Array[]): number {
    this.assertFree("read");
    let count = 0;
    for (const target of targets) {
      count += this.#queue.moveTo(target, 0, target.length);
      if (this.#queue.length === 0) break;
    }
    if (this.#isPaused) this.#taken();
    return count;
  }

  tryReadExactMany(targets: readonly Uint8Array[]): boolean {
    this.assertFree("read");
    if (this.#queue.length < bytesOf(targets)) return false;
    this.tryReadMany(targets);
    return true;
  }

  // --- reading what comes

  read(options: WaitOptions | undefined): Promise<Buffer | undefined> {
    this.#begin("read", options);
    const bytes = this.tryRead(this.#queue.length);
    if (bytes !== undefined) return Promise.resolve(bytes);
    if (this.#hasEnded) return Promise.resolve(undefined);
    return this.#wait(OWNED, "read", options);
  }

  readSome(target: Uint8Array, options: WaitOptions | undefined): Promise<number> {
    this.#begin("read", options);
    if (target.length === 0) throw new RangeError("Cannot read: the buffer has no room");
    const count = this.tryReadSome(target);
    if (count > 0 || this.#hasEnded) return Promise.resolve(count);
    this.#aim(target, NO_TARGETS);
    return this.#wait(SOME, "read", options);
  }

  readMany(targets: readonly Uint8Array[], options: WaitOptions | undefined): Promise<number> {
    this.#begin("read", options);
    const [first] = targets;
    if (first === undefined || bytesOf(targets) === 0) throw new RangeError("Cannot read: the buffers have no room");
    const count = this.tryReadMany(targets);
    if (count > 0 || this.#hasEnded) return Promise.resolve(count);
    this.#aim(first, targets);
    return this.#wait(SOME, "read", options);
  }

  readExact(target: Uint8Array, options: WaitOptions | undefined): Promise<Uint8Array> {
    this.#begin("read", options);
    if (this.tryReadExact(target)) return Promise.resolve(target);
    if (this.#hasEnded) return Promise.reject(unexpectedEnd(target.length, this.#queue.length));
    if (this.#error !== undefined) return Promise.reject(this.#error);
    this.#aim(target, NO_TARGETS);
    this.#pourHeld();
    return this.#wait(EXACT, "read", options);
  }

  readExactMany(targets: readonly Uint8Array[], options: WaitOptions | undefined): Promise<void> {
    this.#begin("read", options);
    const [first] = targets;
    if (first === undefined || this.tryReadExactMany(targets)) return Promise.resolve();
    if (this.#hasEnded) return Promise.reject(unexpectedEnd(bytesOf(targets), this.#queue.length));
    if (this.#error !== undefined) return Promise.reject(this.#error);
    this.#aim(first, targets);
    this.#pourHeld();
    return this.#wait(EXACT, "read", options);
  }

  segments(handler: SegmentHandler, options: WaitOptions | undefined): Promise<void> {
    this.#begin("receive segments", options);
    // A driver calls in the context of whoever needed it first.
    this.#handler = AsyncResource.bind(handler);
    const waiting: Promise<void> = this.#wait(SEGMENTS, "receive segments", options);
    if (this.#queue.length > 0) {
      const held = this.#queue.take(this.#queue.length);
      this.#taken();
      this.#handle(held);
    }
    if (this.#mode === SEGMENTS) this.#settleAtEnd();
    return waiting;
  }

  // --- how a read waits

  #begin(operation: string, options: WaitOptions | undefined): void {
    if (options !== undefined) checkWait(operation, options);
    this.assertFree(operation);
  }

  #wait<T>(mode: number, operation: string, options: WaitOptions | undefined): Promise<T> {
    if (this.#error !== undefined && this.#queue.length === 0) return Promise.reject(this.#error);
    this.#mode = mode;
    const promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (options !== undefined) this.#endLimits = armWait(options, operation, (error) => this.#giveUp(error));
    return promise;
  }

  #giveUp(error: Error): void {
    if (this.#mode === EXACT) {
      const filled = this.#targets.slice(0, this.#targetIndex);
      const last = this.#target.subarray(0, this.#filled);
      const taken = filled.length === 0 ? last : Buffer.concat([...filled, last]);
      if (taken.length > 0) this.#queue.unshift(taken);
    }
    this.#fail(error);
  }

  #finish(value: unknown): void {
    const resolve = this.#resolve;
    this.#reset();
    resolve?.(value as never);
  }

  #fail(error: unknown): void {
    const reject = this.#reject;
    this.#reset();
    reject?.(error);
  }

  #reset(): void {
    assert(this.#mode !== NOBODY, "only a read that waits can settle");
    this.#mode = NOBODY;
    this.#target = NOTHING;
    this.#targets = NO_TARGETS;
    this.#filled = 0;
    this.#handler = undefined;
    this.#resolve = undefined;
    this.#reject = undefined;
    if (this.#endLimits === undefined) return;
    this.#endLimits();
    this.#endLimits = undefined;
  }

  /** Nothing more will come: settles who waits. */
  #settleAtEnd(): void {
    if (this.#mode === NOBODY || (!this.#hasEnded && this.#error === undefined)) return;
    if (this.#error !== undefined) return this.#giveUp(this.#error);
    if (this.#mode === EXACT) return this.#giveUp(this.#cutShort());
    this.#finish(this.#mode === SOME ? 0 : undefined);
  }

  // --- where bytes go

  /** What is read next goes to `target`, or to several of which that is the first. */
  #aim(target: Uint8Array, targets: readonly Uint8Array[]): void {
    this.#target = target;
    this.#targets = targets;
    this.#targetIndex = 0;
    this.#filled = 0;
  }

  /** Goes on with the next target, if there is one. */
  #advance(): boolean {
    const next = this.#targets[this.#targetIndex + 1];
    if (next === undefined) return false;
    this.#targetIndex += 1;
    this.#target = next;
    this.#filled = 0;
    return true;
  }

  /** Puts bytes into the targets, and returns how many found room. The target is full afterwards only where it was the last one. */
  #pour(bytes: Uint8Array, offset: number, length: number): number {
    let poured = 0;
    for (;;) {
      const target = this.#target;
      const count = Math.min(length - poured, target.length - this.#filled);
      target.set(bytes.subarray(offset + poured, offset + poured + count), this.#filled);
      this.#filled += count;
      poured += count;
      if (this.#filled < target.length || !this.#advance()) return poured;
    }
  }

  /** The same of what waits, which is less than there is room for. */
  #pourHeld(): void {
    do this.#filled += this.#queue.moveTo(this.#target, this.#filled, this.#target.length - this.#filled);
    while (this.#filled === this.#target.length && this.#advance());
    if (this.#isPaused) this.#taken();
  }

  #fill(bytes: Uint8Array, offset: number, length: number): void {
    const count = this.#pour(bytes, offset, length);
    if (this.#filled < this.#target.length) return;
    this.#finish(this.#targets.length === 0 ? this.#target : undefined);
    if (count < length) this.#keep(bytes, offset + count, length - count);
  }

  #giveSome(bytes: Uint8Array, offset: number, length: number): void {
    const count = this.#pour(bytes, offset, length);
    this.#finish(count);
    if (count < length) this.#keep(bytes, offset + count, length - count);
  }

  #cutShort(): RingloomError {
    if (this.#targets.length === 0) return unexpectedEnd(this.#target.length, this.#filled);
    return unexpectedEnd(bytesOf(this.#targets), bytesOf(this.#targets.slice(0, this.#targetIndex)) + this.#filled);
  }

  #handle(segment: Uint8Array): void {
    try {
      if (this.#handler?.(segment) === false) this.#finish(undefined);
    } catch (error) {
      if (this.#mode === SEGMENTS) this.#fail(error);
    }
  }

  #keep(bytes: Uint8Array, offset: number, length: number): void {
    this.#queue.append(bytes, offset, length);
    if (this.#queue.length < this.#bytesMax || this.#isPaused) return;
    this.#isPaused = true;
    this.#owner.pauseReceiving();
  }

  #taken(): void {
    if (!this.#isPaused || this.#queue.length > this.#bytesMax >>> 1) return;
    this.#isPaused = false;
    this.#owner.resumeReceiving();
  }

  /** Throws while a read waits, and when there is nothing to read any more because the connection broke. */
  assertFree(operation: string): void {
    if (this.#mode !== NOBODY)
      throw new RingloomError("ERR_RINGLOOM_BUSY", `Cannot ${operation}: another read of this stream waits`, {
        operation,
      });
    if (this.#error !== undefined && this.#queue.length === 0) throw this.#error;
  }
}

function bytesOf(targets: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const { length } of targets) bytes += length;
  return bytes;
}

function unexpectedEnd(wanted: number, readBytes: number): RingloomError {
  return new RingloomError(
    "ERR_RINGLOOM_UNEXPECTED_END",
    `Cannot read: the peer ended after ${readBytes} of ${wanted} bytes`,
    { operation: "read", details: { wanted, readBytes } },
  );
}
