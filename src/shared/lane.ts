/**
 * A message lane: a bounded ring from one thread to one other, two payload words a message.
 *
 *     line 0: [tail …]   line 1: [head …]   then capacity × [first, second]
 *
 * The sender alone writes `tail` and the cells, the receiver alone writes `head`; each keeps its own copy in a private field and so loads only the other's word,
 * and that only when what it knew of it is used up. Both counters run freely and are compared by their difference within `indexBits`, so nothing depends on when they wrap:
 * at most `capacity` messages are between them, which is less than 2^indexBits, and neither word is ever the expected value of a compare-and-swap.
 *
 * - *publish*: the cells are written plainly, then `tail` is stored. It pairs with the receiver's load of `tail`.
 * - *release*: `head` is stored after the cells were copied out. It pairs with the sender's load of `head` when the lane looks full, and with the one in {@link LaneSender.hadTakenAll}.
 * - *the doorbell*: the sender stores `tail`, then loads `head`; the receiver stores `head`, then loads `tail` and sleeps only if nothing is there ({@link LaneReceiver.isIdle}).
 *   Of two such pairs, at least one load sees the other's store: the sender rings, or the receiver does not sleep.
 *
 * A thread may die at any point. Of a dead sender, what it had not flushed is lost, and what it had is whole. A new receiver begins at `head`: what the dead one had taken without releasing
 * comes once more, so who wants each message at most once releases before acting on it. A new sender begins at `tail`, and may overwrite cells that were never published.
 */
import { assert } from "../assert.js";
import type { Words } from "./words.js";

const LINE_WORDS = 16;
const TAIL = 0;
const HEAD = LINE_WORDS;
const CELLS = 2 * LINE_WORDS;
const CELL_WORDS = 2;
/** The largest sum that one message or counter word can carry. */
export const SUM_MAX = 0xffff_ffff;

/** Where a lane is, and how large. Both ends must be given the same. */
export interface LaneShape {
  /** Index of its first word, a multiple of 16 so that the two ends do not share a cache line. */
  readonly base: number;
  /** Messages that it holds, a power of two. */
  readonly capacity: number;
  /** Bits of the counters; 32 unless a test wants them to wrap early. */
  readonly indexBits?: number;
}

/** Words that a lane of `capacity` messages takes. */
export function laneLength(capacity: number): number {
  return CELLS + CELL_WORDS * capacity;
}

/** The sending end. One thread uses it. */
export class LaneSender {
  readonly #words: Words;
  readonly #base: number;
  readonly #capacity: number;
  readonly #indexMask: number;
  /** Where the next message goes. */
  #tail: number;
  /** The tail that the receiver can see. */
  #published: number;
  /** The tail that it could see before. */
  #before: number;
  /** The receiver's head when it was last looked at; the real one is the same or further. */
  #headSeen: number;

  constructor(words: Words, shape: LaneShape) {
    this.#words = words;
    this.#base = shape.base;
    this.#capacity = shape.capacity;
    this.#indexMask = indexMaskOf(words, shape);
    this.#tail = words.load(shape.base + TAIL);
    this.#published = this.#tail;
    this.#before = this.#tail;
    this.#headSeen = words.load(shape.base + HEAD);
  }

  /** Messages that were pushed and not yet flushed. */
  get unflushedCount(): number {
    return (this.#tail - this.#published) & this.#indexMask;
  }

  /** The number of the next message, for {@link hasTaken}. Numbers wrap with the counters. */
  get position(): number {
    return this.#tail;
  }

  /** Messages for which there is certainly room. Looks at the receiver's head only when what was known of it leaves less than `wanted`: to fetch that word from the other core costs more than all else of a send. */
  roomFor(wanted: number): number {
    if (this.#room < wanted) this.look();
    return this.#room;
  }

  /** Looks how far the receiver has released. Pairs with {@link LaneReceiver.release}. */
  look(): void {
    this.#headSeen = this.#words.load(this.#base + HEAD);
  }

  /** Whether the receiver had released the message of that number at the last look. Not for one that is older than the counters are wide. */
  hasTaken(position: number): boolean {
    return this.isBefore(position, this.#headSeen);
  }

  /** Whether a message's number is before `end`, of two that are not above {@link position}. */
  isBefore(position: number, end: number): boolean {
    return this.#distance(position) > this.#distance(end);
  }

  /** Visits what was published and not released, oldest first: what a sender that died before has left in the lane. */
  visitUnreleased(visit: (position: number, first: number, second: number) => void): void {
    this.look();
    for (let position = this.#headSeen; position !== this.#published; position = (position + 1) & this.#indexMask) {
      const cell = this.#cellOf(position);
      visit(position, this.#words.read(cell), this.#words.read(cell + 1));
    }
  }

  /** Adds a message of two 32-bit words, which the receiver sees after the next {@link flush}. False when the lane is full: then nothing was added. */
  push(first: number, second: number): boolean {
    if (((this.#tail - this.#headSeen) & this.#indexMask) >= this.#capacity) {
      this.#headSeen = this.#words.load(this.#base + HEAD);
      if (((this.#tail - this.#headSeen) & this.#indexMask) >= this.#capacity) return false;
    }
    const cell = this.#cellOf(this.#tail);
    this.#words.write(cell, first);
    this.#words.write(cell + 1, second);
    this.#tail = (this.#tail + 1) & this.#indexMask;
    return true;
  }

  /** The same for the first `count` messages of an array of words, all of them or none. */
  pushMany(words: Int32Array, count: number): boolean {
    if (this.roomFor(count) < count) return false;
    let tail = this.#tail;
    for (let index = 0; index < 2 * count; index += 2) {
      const cell = this.#cellOf(tail);
      this.#words.write(cell, words[index]!);
      this.#words.write(cell + 1, words[index + 1]!);
      tail = (tail + 1) & this.#indexMask;
    }
    this.#tail = tail;
    return true;
  }

  /**
   * Like {@link push}, but adds `amount` to the newest message when that one is not yet flushed and has the same first word: one message then carries the sum of both.
   * A sum that would exceed 2^32 - 1 is left, and a message of its own made. `amount` is 0 to 2^32 - 1.
   */
  pushSum(first: number, amount: number): boolean {
    assert(amount >= 0 && amount <= SUM_MAX, "a summed message carries an unsigned word");
    if (this.#tail !== this.#published) {
      const newest = this.#cellOf(this.#tail - 1);
      if (this.#words.read(newest) === (first | 0)) {
        const sum = (this.#words.read(newest + 1) >>> 0) + amount;
        if (sum <= SUM_MAX) {
          this.#words.write(newest + 1, sum | 0);
          return true;
        }
      }
    }
    return this.push(first | 0, amount | 0);
  }

  /** Lets the receiver see all that was pushed. True when it had taken everything before: then it may be asleep, and its doorbell must be rung. */
  flush(): boolean {
    return this.publish() && this.hadTakenAll();
  }

  /** The first half of {@link flush}. False when nothing was pushed. */
  publish(): boolean {
    if (this.#tail === this.#published) return false;
    this.#before = this.#published;
    this.#published = this.#tail;
    this.#words.store(this.#base + TAIL, this.#tail);
    return true;
  }

  /** The other half, which who knows that the receiver will look again may leave out: it fetches the receiver's word from the other core, and makes that one fetch it back when it releases. */
  hadTakenAll(): boolean {
    this.look();
    return this.#headSeen === this.#before;
  }

  get #room(): number {
    return this.#capacity - ((this.#tail - this.#headSeen) & this.#indexMask);
  }

  /** Messages from that number to the next one, as an unsigned number. */
  #distance(position: number): number {
    return ((this.#tail - position) & this.#indexMask) >>> 0;
  }

  #cellOf(index: number): number {
    return this.#base + CELLS + CELL_WORDS * (index & (this.#capacity - 1));
  }
}

/** The receiving end. One thread uses it. */
export class LaneReceiver {
  /** The words of the message that {@link next} took. */
  first = 0;
  second = 0;

  readonly #words: Words;
  readonly #base: number;
  readonly #capacityMask: number;
  readonly #indexMask: number;
  /** The next message to take. */
  #head: number;
  /** The head that the sender can see. */
  #released: number;
  /** The sender's tail when it was last looked at. */
  #tailSeen: number;

  constructor(words: Words, shape: LaneShape) {
    this.#words = words;
    this.#base = shape.base;
    this.#capacityMask = shape.capacity - 1;
    this.#indexMask = indexMaskOf(words, shape);
    this.#head = words.load(shape.base + HEAD);
    this.#released = this.#head;
    this.#tailSeen = this.#head;
  }

  /** The number of the next message. Numbers wrap with the counters. */
  get position(): number {
    return this.#head;
  }

  /** Takes the oldest message into {@link first} and {@link second}; false when there is none. Its cell is the sender's again after {@link release}. */
  next(): boolean {
    if (this.#head === this.#tailSeen) {
      this.#tailSeen = this.#words.load(this.#base + TAIL);
      if (this.#head === this.#tailSeen) return false;
    }
    const cell = this.#base + CELLS + CELL_WORDS * (this.#head & this.#capacityMask);
    this.first = this.#words.read(cell);
    this.second = this.#words.read(cell + 1);
    this.#head = (this.#head + 1) & this.#indexMask;
    return true;
  }

  /** Gives the cells of all taken messages back to the sender. */
  release(): void {
    if (this.#head === this.#released) return;
    this.#released = this.#head;
    this.#words.store(this.#base + HEAD, this.#head);
  }

  /** Releases, and says whether nothing is left. Only after a true answer may the thread sleep: the sender's next {@link LaneSender.flush} then rings. */
  isIdle(): boolean {
    this.release();
    this.#tailSeen = this.#words.load(this.#base + TAIL);
    return this.#head === this.#tailSeen;
  }
}

/**
 * Empties a lane whose receiver is dead and has no successor yet; what is published meanwhile may stay, for the successor. `drop` is told the number behind the last message
 * that is dropped, before the sender can see those as released.
 */
export function emptyLane(words: Words, { base }: LaneShape, drop: (end: number) => void): void {
  const tail = words.load(base + TAIL);
  if (words.load(base + HEAD) === tail) return;
  drop(tail);
  words.store(base + HEAD, tail);
}

function indexMaskOf(words: Words, { base, capacity, indexBits = 32 }: LaneShape): number {
  assert(capacity > 0 && (capacity & (capacity - 1)) === 0, "the capacity of a lane is a power of two");
  assert(indexBits >= 1 && indexBits <= 32, "a lane's counters have 1 to 32 bits");
  assert(capacity < 2 ** indexBits && capacity <= 1 << 30, "a lane's counters tell a full lane from an empty one");
  assert(base >= 0 && base + laneLength(capacity) <= words.length, "a lane lies within the words");
  return indexBits === 32 ? -1 : (1 << indexBits) - 1;
}
