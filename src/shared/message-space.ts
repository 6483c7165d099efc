/**
 * The shared words of messages between shards: who receives for each shard, and a *line* from each sending thread to each shard.
 *
 *     [receiver of each shard] [IN_USE of each shard] [wake of each slot] [ring of each slot] [bell of each slot]
 *     then slots × shards lines: [control][counters][lane][hot lane]   then a region of values for each slot
 *
 * A *slot* is the place of one thread; each shard has several, because in a rolling restart its old thread still sends while the new one does. One thread at a time *receives* for a shard:
 *
 *     receiver   0 nobody, slot + 1, or CLOSED. A thread claims it by compare-and-swap from 0, and gives it back itself; for a dead thread the supervisor does, behind what it mends
 *     IN_USE     a bit for each lane to the shard that somebody has opened. Set by the sender before it publishes there first, never taken back: the receiver need not look at the others
 *     wake       which of its doorbells reaches the thread of a slot. Written by that thread
 *     ring       1 + the descriptor of the io_uring of the slot's thread, 0 for none. Written by that thread, and by the supervisor when it is dead
 *     WANTS      1 while the sender waits for its messages to be released. Written by the sender
 *     WANTED     the number of the first message that it waits for: who releases less need not ring. Written by the sender, before WANTS
 *     HOT        a bit for each counter of the line that may hold something. Set by the sender after it turned a counter from 0, taken by the receiver before it looks at the counters
 *     DROPPED    number behind the messages that went down with a receiver. Written by the supervisor
 *     HOT_WANTS, HOT_WANTED, HOT_DROPPED   the same of the hot lane
 *
 * - *send*: publish in the lane, load `receiver`, and ring who that is, unless its doorbell is rung already or, loaded last, the lane's head shows that it has yet to take what came before. *Become the receiver*: store `receiver`, then look into all lanes. One of the two sees the other's store, so no message waits for
 *   a receiver that has not looked. In the same way `wake` is stored before the lanes are looked at once more.
 * - *open a lane*: set its bit in IN_USE, then publish in it. A receiver that is rung for that message loads IN_USE behind the ring, so it never misses the lane.
 * - *tell by ring*: publish in the lane, load `receiver` and that one's `ring`, submit a message to it. Who gives its ring up stores 0 in `ring` and looks into its lanes once more: it finds the message, or the sender finds no ring.
 *   A descriptor that means something else by then refuses the message, or wakes a thread for nothing.
 * - *ticket*: WANTED := its number, WANTS := 1, load the lane's head. *Release*: store the head, load WANTS and WANTED, ring. One of the two sees the other's store; one that sees an older WANTED rings once too often.
 * - *close*: `receiver` := CLOSED, load WANTS of all lines, ring. A sender that waits loads `receiver` behind WANTS.
 *
 * **Death.** Of a sender: what it had published is whole and stays; its counters may hold amounts without a bit, so the supervisor sets all bits. Of a receiver: what it had not released is dropped, DROPPED stored before the head,
 * so that who sees those messages as released sees also that they were not taken; then the role is free. The amounts in its counters stay for the successor, which looks at every counter once.
 */
import { assert } from "../assert.js";
import { BELL_WORDS } from "./bell.js";
import { emptyLane, type LaneShape, laneLength } from "./lane.js";
import type { Words } from "./words.js";

const LINE_WORDS = 16;
/** Hot counters of a line: one bit each in its word HOT. */
export const HOT_TAGS = 32;
/** Lanes of a word of IN_USE. */
export const LANES_PER_WORD = 32;
/** No thread receives for a shard. */
export const NOBODY = -1;
/** The shard receives nothing any more. */
export const CLOSED = -2;

const WANTS = 0;
const HOT = 1;
const DROPPED = 2;
const HOT_WANTS = 3;
const HOT_DROPPED = 4;
const WANTED = 5;
const HOT_WANTED = 6;
const COUNTERS = LINE_WORDS;
const LANE = COUNTERS + HOT_TAGS;

/** Where the words are, and how many. */
export interface MessageShape {
  /** A multiple of 16. */
  readonly base: number;
  readonly shards: number;
  /** Threads that can send for one shard at the same time. */
  readonly slotsPerShard: number;
  /** Messages of one lane, a power of two. */
  readonly capacity: number;
  /** The same of a hot lane; 0 when there are none. */
  readonly hotCapacity: number;
  /** Words for the values of one slot. */
  readonly valueWords: number;
}

/** Which lane of a line. */
export type LaneKind = "usual" | "hot";

/** The words by which a sender asks to be rung. */
export interface WantedWords {
  readonly wants: number;
  readonly wanted: number;
}

/** A message by its number in a lane. */
export interface Wanted {
  readonly position: number;
  readonly kind?: LaneKind;
}

/** Words that a shape takes. */
export function messageLength(shape: MessageShape): number {
  const slots = shape.shards * shape.slotsPerShard;
  return valuesOffset(shape) - shape.base + slots * shape.valueWords;
}

/** The words, for any thread. */
export class MessageSpace {
  readonly words: Words;
  readonly shape: MessageShape;
  readonly slots: number;
  /** Words of {@link usesOf}. */
  readonly useWords: number;

  constructor(words: Words, shape: MessageShape) {
    assert(shape.base % LINE_WORDS === 0, "messages begin on a cache line");
    assert(shape.base + messageLength(shape) <= words.length, "messages lie within the words");
    this.words = words;
    this.shape = shape;
    this.slots = shape.shards * shape.slotsPerShard;
    this.useWords = useWordsOf(shape);
  }

  shardOf(slot: number): number {
    return Math.floor(slot / this.shape.slotsPerShard);
  }

  /** The slots of a shard's threads. */
  slotsOf(shard: number): number[] {
    return Array.from({ length: this.shape.slotsPerShard }, (_, index) => shard * this.shape.slotsPerShard + index);
  }

  /** The lane from the thread of `slot` to `shard`. */
  lane(slot: number, shard: number, kind: LaneKind = "usual"): LaneShape {
    const { capacity, hotCapacity } = this.shape;
    const base = this.#line(slot, shard) + LANE;
    return kind === "usual" ? { base, capacity } : { base: base + laneSpan(capacity), capacity: hotCapacity };
  }

  /** The lane is about to be used: to be called before anything is published in it. */
  use(slot: number, shard: number, kind: LaneKind = "usual"): void {
    const number = laneNumber(slot, kind);
    const index = useOffset(this.shape) + shard * this.useWords + Math.floor(number / LANES_PER_WORD);
    const bit = 1 << (number % LANES_PER_WORD);
    if ((this.words.load(index) & bit) === 0) this.words.or(index, bit);
  }

  /** Which of {@link LANES_PER_WORD} lanes to the shard anybody has used, as bits: those with {@link laneNumber} from there on. */
  usesOf(shard: number, word: number): number {
    return this.words.load(useOffset(this.shape) + shard * this.useWords + word);
  }

  /** Whether anybody has used that lane. */
  uses(slot: number, shard: number, kind: LaneKind = "usual"): boolean {
    const number = laneNumber(slot, kind);
    return (this.usesOf(shard, Math.floor(number / LANES_PER_WORD)) & (1 << (number % LANES_PER_WORD))) !== 0;
  }

  /** Index of a hot counter. */
  counterWord(slot: number, shard: number, tag: number): number {
    return this.#line(slot, shard) + COUNTERS + tag;
  }

  /** Index of the first word of the slot's values. */
  valuesOf(slot: number): number {
    return valuesOffset(this.shape) + slot * this.shape.valueWords;
  }

  /** Index of the first word of the bell that a slot's thread hears in its event loop. */
  bellOf(slot: number): number {
    return bellsOffset(this.shape) + slot * BELL_WORDS;
  }

  // --- the role of the receiver

  /** The slot that receives for `shard`, or {@link NOBODY}, or {@link CLOSED}. */
  receiverOf(shard: number): number {
    const found = this.words.load(this.shape.base + shard);
    return found === CLOSED ? CLOSED : found - 1;
  }

  /** Makes `slot` the receiver of its shard if there is none. Then it looks into all of its lanes. */
  claim(slot: number): boolean {
    return this.words.compareExchange(this.shape.base + this.shardOf(slot), 0, slot + 1) === 0;
  }

  /** Gives the role back, for a successor. The lanes must be released. */
  retire(slot: number): void {
    this.words.compareExchange(this.shape.base + this.shardOf(slot), slot + 1, 0);
  }

  /** Receives no more, and nobody will. */
  close(slot: number): void {
    this.words.compareExchange(this.shape.base + this.shardOf(slot), slot + 1, CLOSED);
  }

  /** The same, for a shard that has no receiver. For the supervisor. */
  abandon(shard: number): void {
    this.words.compareExchange(this.shape.base + shard, 0, CLOSED);
  }

  /** Which of its doorbells reaches the thread of a slot. */
  wakeOf(slot: number): number {
    return this.words.load(wakesOffset(this.shape) + slot);
  }

  /** Behind it, the thread looks into its lanes once more. */
  setWake(slot: number, wake: number): void {
    this.words.store(wakesOffset(this.shape) + slot, wake);
  }

  /** The descriptor of the io_uring of a slot's thread; -1 for none. */
  ringOf(slot: number): number {
    return this.words.load(ringsOffset(this.shape) + slot) - 1;
  }

  /** -1 for none: behind that, the thread looks into its lanes once more. */
  setRing(slot: number, descriptor: number): void {
    this.words.store(ringsOffset(this.shape) + slot, descriptor + 1);
  }

  // --- a line

  /** Asks to be rung when the message with that number is released. Behind it, the sender looks at the lane and at the receiver. */
  setWanted(slot: number, shard: number, { position, kind = "usual" }: Wanted): void {
    const line = this.#line(slot, shard);
    this.words.store(line + (kind === "usual" ? WANTED : HOT_WANTED), position);
    this.words.store(line + (kind === "usual" ? WANTS : HOT_WANTS), 1);
  }

  /** Asks no more. */
  setUnwanted(slot: number, shard: number, kind: LaneKind = "usual"): void {
    this.words.store(this.#line(slot, shard) + (kind === "usual" ? WANTS : HOT_WANTS), 0);
  }

  /** Whether the sender waits for anything. */
  wants(slot: number, shard: number, kind: LaneKind = "usual"): boolean {
    return this.words.load(this.#line(slot, shard) + (kind === "usual" ? WANTS : HOT_WANTS)) !== 0;
  }

  /** Where the sender says so, for {@link wantsBefore}. */
  wantedWords(slot: number, shard: number, kind: LaneKind): WantedWords {
    const line = this.#line(slot, shard);
    return kind === "usual"
      ? { wants: line + WANTS, wanted: line + WANTED }
      : { wants: line + HOT_WANTS, wanted: line + HOT_WANTED };
  }

  /** Whether it waits for a message in front of `position`: all of those were released just now. */
  wantsBefore({ wants, wanted }: WantedWords, position: number): boolean {
    return this.words.load(wants) !== 0 && ((position - this.words.load(wanted)) | 0) > 0;
  }

  /** The number behind the messages that were dropped last. */
  droppedOf(slot: number, shard: number, kind: LaneKind = "usual"): number {
    return this.words.load(this.#line(slot, shard) + (kind === "usual" ? DROPPED : HOT_DROPPED));
  }

  /** A counter was turned from 0. */
  markHot(slot: number, shard: number, tag: number): void {
    this.words.or(this.#line(slot, shard) + HOT, 1 << tag);
  }

  /** The counters that may hold something, as bits. They are to be taken now. */
  takeHot(slot: number, shard: number): number {
    const index = this.#line(slot, shard) + HOT;
    return this.words.load(index) === 0 ? 0 : this.words.exchange(index, 0);
  }

  // --- the supervisor

  /** Mends what the dead thread of a slot has left. Then everybody is woken, and the slot is free. */
  bury(slot: number): void {
    const { shards, hotCapacity } = this.shape;
    const own = this.shardOf(slot);
    if (this.receiverOf(own) === slot) {
      for (let sender = 0; sender < this.slots; sender++) this.#drop(sender, own);
      this.retire(slot);
    }
    this.setRing(slot, -1);
    for (let shard = 0; shard < shards; shard++) {
      this.setUnwanted(slot, shard);
      if (hotCapacity > 0) this.setUnwanted(slot, shard, "hot");
      this.words.store(this.#line(slot, shard) + HOT, -1);
    }
  }

  /** What the dead receiver of `shard` has not taken from a sender. */
  #drop(sender: number, shard: number): void {
    const line = this.#line(sender, shard);
    emptyLane(this.words, this.lane(sender, shard), (end) => this.words.store(line + DROPPED, end));
    if (this.shape.hotCapacity === 0) return;
    emptyLane(this.words, this.lane(sender, shard, "hot"), (end) => this.words.store(line + HOT_DROPPED, end));
  }

  #line(slot: number, shard: number): number {
    assert(
      slot >= 0 && slot < this.slots && shard >= 0 && shard < this.shape.shards,
      "a line joins a slot and a shard",
    );
    return linesOffset(this.shape) + (slot * this.shape.shards + shard) * lineLength(this.shape);
  }
}

/** The number of a lane among those to one shard: two for each slot, the usual one first. */
export function laneNumber(slot: number, kind: LaneKind): number {
  return 2 * slot + (kind === "usual" ? 0 : 1);
}

function useWordsOf({ shards, slotsPerShard }: MessageShape): number {
  return Math.ceil((2 * shards * slotsPerShard) / LANES_PER_WORD);
}

function useOffset({ base, shards }: MessageShape): number {
  return base + wholeLines(shards);
}

function wakesOffset(shape: MessageShape): number {
  return useOffset(shape) + wholeLines(shape.shards * useWordsOf(shape));
}

function ringsOffset(shape: MessageShape): number {
  return wakesOffset(shape) + wholeLines(shape.shards * shape.slotsPerShard);
}

function bellsOffset(shape: MessageShape): number {
  return ringsOffset(shape) + wholeLines(shape.shards * shape.slotsPerShard);
}

function linesOffset(shape: MessageShape): number {
  return bellsOffset(shape) + shape.shards * shape.slotsPerShard * BELL_WORDS;
}

function lineLength({ capacity, hotCapacity }: MessageShape): number {
  return LANE + laneSpan(capacity) + (hotCapacity === 0 ? 0 : laneSpan(hotCapacity));
}

function laneSpan(capacity: number): number {
  return wholeLines(laneLength(capacity));
}

function valuesOffset(shape: MessageShape): number {
  return linesOffset(shape) + shape.shards * shape.slotsPerShard * shape.shards * lineLength(shape);
}

function wholeLines(words: number): number {
  return Math.ceil(words / LINE_WORDS) * LINE_WORDS;
}
