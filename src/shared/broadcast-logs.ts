/**
 * Records of bytes from one thread to all others that want them: one log for each thread's slot, which that thread alone writes and every other one reads at its own pace.
 *
 *     [line of each slot: TAIL, STATE] [cursors: for each reader, one word a log] [logs: slots × capacity words]
 *
 *     log:  ……│ length, bytes… │ length, bytes… │ SKIP │        positions count words and wrap at 2^32; a record is never split, SKIP leaves the rest of the round out
 *
 *     TAIL    position behind the last record of the slot's log. Written by its thread
 *     STATE   of the slot's thread as a reader: DETACHED, ATTACHED, READING, BEHIND. Written by that thread; ATTACHED → BEHIND by any writer; DETACHED by the supervisor for a dead thread
 *     cursor  position up to which a reader has read a log. Written by the reader
 *
 * It is Disruptor's ring with one producer: the bytes are written once, whoever reads them, and a writer's room ends where the slowest attached reader stands.
 *
 * - *publish*: write the record, store TAIL, load the readers' cursors; ring those that stood at the old TAIL. *Read*: store the cursor, load TAIL. One of the two sees the other's store, so no record waits for a reader that is not rung.
 * - *attach*: STATE := ATTACHED, then for each log cursor := TAIL until TAIL stays the same. A writer that began before may have seen an old cursor: it then writes one record behind the TAIL that was loaded, which is
 *   where the new reader begins. A cursor that is more than a log behind is that of a reader which is just attaching, and is not waited for.
 * - *give up a reader* that has not moved for long (its thread is stuck in a loop): ATTACHED → BEHIND by compare-and-swap, and only then overwrite. A reader goes ATTACHED → READING by compare-and-swap before it copies a record out, and
 *   back after, so nothing is overwritten below it; it finds BEHIND the next time, and attaches anew.
 *
 * **Death.** Of a writer: what was published is whole and stays; its successor goes on at TAIL. Of a reader: the supervisor detaches it, whatever it was doing.
 *
 * **Width.** Positions are compared modulo 2^32. A thread that is attaching would have to sleep between two instructions while another publishes 16 GiB for a wrong one to look right.
 */
import { assert } from "../assert.js";
import type { Words } from "./words.js";

const LINE_WORDS = 16;
const TAIL = 0;
const STATE = 1;

const DETACHED = 0;
const ATTACHED = 1;
const READING = 2;
const BEHIND = 3;

const WORD_BYTES = 4;
/** In the place of a length: the record begins at the start of the log. */
const SKIP = -1;

/** Where the words are, and how many. */
export interface BroadcastShape {
  readonly slots: number;
  /** Words of one log, a power of two. */
  readonly capacity: number;
}

/** Words that a shape takes. */
export function broadcastLength({ slots, capacity }: BroadcastShape): number {
  return slots * (LINE_WORDS + cursorWords(slots) + capacity);
}

/** Bytes of the longest record: so a few of them fit, wherever a round ends. */
export function recordBytesMax({ capacity }: BroadcastShape): number {
  return (capacity / 4 - 1) * WORD_BYTES;
}

/** Gives a slot up as a reader, whose thread is gone. Only the supervisor calls it. */
export function detachDead(words: Words, slot: number): void {
  words.store(slot * LINE_WORDS + STATE, DETACHED);
}

/** The writing end of one slot's log. */
export class BroadcastWriter {
  /** The reader that had read least when {@link publish} last found no room. */
  slowest = -1;
  readonly #words: Words;
  readonly #bytes: Uint8Array;
  readonly #shape: BroadcastShape;
  readonly #slot: number;
  #tail: number;
  /** Room that is certain: words from the tail on that every attached reader has read. */
  #room = 0;

  /** @param bytes the memory of `words` */
  constructor(words: Words, bytes: Uint8Array, shape: BroadcastShape, slot: number) {
    this.#words = words;
    this.#bytes = bytes;
    this.#shape = shape;
    this.#slot = slot;
    this.#tail = words.load(slot * LINE_WORDS + TAIL);
  }

  /**
   * Publishes one record, whose bytes are `parts` one after the other, and calls `ring` with the slot of each reader that may be asleep. False when there is no room: nothing was published.
   */
  publish(parts: readonly Uint8Array[], ring: (slot: number) => void): boolean {
    const { capacity } = this.#shape;
    let byteLength = 0;
    for (const part of parts) byteLength += part.length;
    assert(byteLength <= recordBytesMax(this.#shape), "a record is a quarter of its log at most");
    const length = 1 + Math.ceil(byteLength / WORD_BYTES);
    const at = this.#tail & (capacity - 1);
    const skipped = at + length > capacity ? capacity - at : 0;
    if (skipped + length > this.#room && !this.#look(skipped + length)) return false;
    const log = logStart(this.#shape, this.#slot);
    if (skipped > 0) this.#words.write(log + at, SKIP);
    const start = log + (skipped > 0 ? 0 : at);
    this.#words.write(start, byteLength);
    let position = (start + 1) * WORD_BYTES;
    for (const part of parts) {
      this.#bytes.set(part, position);
      position += part.length;
    }
    const before = this.#tail;
    this.#tail = (before + skipped + length) | 0;
    this.#room -= skipped + length;
    // Pairs with the load of TAIL in `BroadcastReader.next` and `attach`.
    this.#words.store(this.#slot * LINE_WORDS + TAIL, this.#tail);
    this.#ringReaders(before, ring);
    return true;
  }

  /** Whether anybody else wants records. */
  get hasReaders(): boolean {
    const { slots } = this.#shape;
    for (let reader = 0; reader < slots; reader++) {
      if (reader !== this.#slot && this.#stateOf(reader) !== DETACHED) return true;
    }
    return false;
  }

  /** How far a reader has read the log. */
  cursorOf(reader: number): number {
    return this.#words.load(cursorWord(this.#shape, reader, this.#slot));
  }

  /** Waits for that reader no longer: it is told that it has missed something. False when it reads, or is gone. */
  giveUp(reader: number): boolean {
    this.#room = 0;
    return this.#words.compareExchange(reader * LINE_WORDS + STATE, ATTACHED, BEHIND) === ATTACHED;
  }

  #stateOf(slot: number): number {
    return this.#words.load(slot * LINE_WORDS + STATE);
  }

  /** Finds out how much room there is. False when it is not enough. */
  #look(wanted: number): boolean {
    const { slots, capacity } = this.#shape;
    let lagMax = 0;
    for (let reader = 0; reader < slots; reader++) {
      const state = reader === this.#slot ? DETACHED : this.#stateOf(reader);
      if (state !== ATTACHED && state !== READING) continue;
      const lag = (this.#tail - this.cursorOf(reader)) >>> 0;
      if (lag <= lagMax || lag > capacity) continue;
      lagMax = lag;
      this.slowest = reader;
    }
    this.#room = capacity - lagMax;
    return wanted <= this.#room;
  }

  #ringReaders(before: number, ring: (slot: number) => void): void {
    const { slots } = this.#shape;
    for (let reader = 0; reader < slots; reader++) {
      if (reader === this.#slot || this.#stateOf(reader) === DETACHED) continue;
      if (this.cursorOf(reader) === before) ring(reader);
    }
  }
}

/** The reading end of one slot, for the logs of all others. */
export class BroadcastReader {
  readonly #words: Words;
  readonly #bytes: Uint8Array;
  readonly #shape: BroadcastShape;
  readonly #slot: number;
  /** Position in each log. */
  readonly #cursors: Int32Array;
  #log = 0;
  #isAttached = false;
  #scratch = new Uint8Array(0);

  /** @param bytes the memory of `words` */
  constructor(words: Words, bytes: Uint8Array, shape: BroadcastShape, slot: number) {
    this.#words = words;
    this.#bytes = bytes;
    this.#shape = shape;
    this.#slot = slot;
    this.#cursors = new Int32Array(shape.slots);
  }

  get isAttached(): boolean {
    return this.#isAttached;
  }

  /** From now on every record of the other slots is for this reader, until {@link detach}. */
  attach(): void {
    this.#isAttached = true;
    this.#words.store(this.#slot * LINE_WORDS + STATE, ATTACHED);
    for (let log = 0; log < this.#shape.slots; log++) {
      for (let tail = this.#tailOf(log); ; ) {
        this.#words.store(cursorWord(this.#shape, this.#slot, log), tail);
        const now = this.#tailOf(log);
        if (now === tail) break;
        tail = now;
      }
      this.#cursors[log] = this.#words.load(cursorWord(this.#shape, this.#slot, log));
    }
  }

  detach(): void {
    this.#isAttached = false;
    this.#words.store(this.#slot * LINE_WORDS + STATE, DETACHED);
  }

  /**
   * The next record, copied out of its log: the bytes are the reader's until the next call. Undefined when all logs were seen empty, so that the next record of each rings;
   * `"missed"` when a writer has given this reader up, which is then attached anew.
   */
  next(): Uint8Array | "missed" | undefined {
    if (!this.#isAttached) return undefined;
    const { slots } = this.#shape;
    for (let left = slots; left > 0; left--) {
      const log = this.#log;
      this.#log = log + 1 === slots ? 0 : log + 1;
      if (log === this.#slot || this.#tailOf(log) === this.#cursors[log]) continue;
      const stateWord = this.#slot * LINE_WORDS + STATE;
      if (this.#words.compareExchange(stateWord, ATTACHED, READING) !== ATTACHED) {
        this.attach();
        return "missed";
      }
      const record = this.#copy(log);
      this.#words.store(cursorWord(this.#shape, this.#slot, log), this.#cursors[log]!);
      this.#words.store(stateWord, ATTACHED);
      return record;
    }
    return undefined;
  }

  #tailOf(log: number): number {
    return this.#words.load(log * LINE_WORDS + TAIL);
  }

  /** Takes one record out of a log that has one. */
  #copy(log: number): Uint8Array {
    const { capacity } = this.#shape;
    const start = logStart(this.#shape, log);
    let cursor = this.#cursors[log]!;
    let byteLength = this.#words.read(start + (cursor & (capacity - 1)));
    if (byteLength === SKIP) {
      cursor += capacity - (cursor & (capacity - 1));
      byteLength = this.#words.read(start);
    }
    const word = start + (cursor & (capacity - 1)) + 1;
    if (this.#scratch.length < byteLength) this.#scratch = new Uint8Array(Math.max(4_096, byteLength));
    this.#scratch.set(this.#bytes.subarray(word * WORD_BYTES, word * WORD_BYTES + byteLength));
    this.#cursors[log] = (cursor + 1 + Math.ceil(byteLength / WORD_BYTES)) | 0;
    return this.#scratch.subarray(0, byteLength);
  }
}

function cursorWords(slots: number): number {
  return Math.ceil(slots / LINE_WORDS) * LINE_WORDS;
}

function cursorWord({ slots }: BroadcastShape, reader: number, log: number): number {
  return slots * LINE_WORDS + reader * cursorWords(slots) + log;
}

function logStart({ slots, capacity }: BroadcastShape, slot: number): number {
  return slots * (LINE_WORDS + cursorWords(slots)) + slot * capacity;
}
