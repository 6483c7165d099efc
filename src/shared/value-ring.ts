/**
 * A bounded ring of values from many threads to many: the memory of a shared channel. It knows no values, only cells: who has claimed one writes or reads the words that belong to it.
 *
 *     gathering | senders that wait | receivers that wait | line [head] line [tail] line [closing, lost …] | state of cell 0, 1, 2 …
 *
 * Modelled on Dmitry Vyukov's bounded MPMC queue (2010), with one difference: a position is claimed in the state of its cell, together with the claimer's id, and not by the head or the tail. Those only say where to look: whoever finds
 * that the cell there is claimed moves them on, so that nobody waits for the thread that claimed it.
 *
 *     state: phase | thread << 3 | round << 9
 *
 *     EMPTY(r) → WRITING(r, thread) → FULL(r) → READING(r, thread) → EMPTY(r + 1)
 *                        └──── given up, or the writer died ──────────────┘
 *     EMPTY(r) → END(r)   the ring is closed, and everything that was sent is before this
 *
 * Who writes each word:
 * - *state*: EMPTY → WRITING and FULL → READING by whoever claims it, EMPTY → END by anybody once *closing* is set, all three by compare-and-swap. The rest by the claimer; of a dead claimer by the reaper.
 * - *head*, *tail*: anybody, one further, by compare-and-swap. Never beyond a cell that is not claimed, and the tail never beyond END.
 * - *closing*: 1, by anybody. *lost*: the reaper adds what dead threads had claimed and not given to anybody.
 * - the words of a cell: plainly, by the claimer. FULL publishes them to the reader, and EMPTY that they were read to the next writer.
 *
 * **What holds.** Values are taken in the order in which their positions were claimed, so those of one sender in the order in which it sent them. At most `capacity` values are in it. A value whose sender was told that it is in is before END:
 * it is received, unless the thread that claims it dies. A thread that is stopped while it writes hides what was sent behind it until it goes on or is buried; the copying between the two steps is all it does there.
 *
 * **Rounds wrap.** A state comes again when a cell has been used 2^roundBits times. A thread that slept in front of its compare-and-swap for exactly that long would claim a position that is not the next one: with 32 cells or more those are
 * at least 2^28 values, four minutes at a million a second.
 */
import { assert } from "../assert.js";
import { announceDeath, Gathering, type GatheringShape, gatheringLength, leaveGathering } from "./gathering.js";
import { WaitingThreads, waitingLength } from "./waiting-threads.js";
import type { Words } from "./words.js";

const LINE_WORDS = 16;
const EMPTY = 0;
const WRITING = 1;
const FULL = 2;
const READING = 3;
const END = 4;
const PHASE_MASK = 7;
const THREAD_SHIFT = 3;
const THREAD_MASK = 63;
const ROUND_SHIFT = 9;
const ROUND_BITS_MAX = 32 - ROUND_SHIFT;
const CELLS_MIN = 32;

/** Nothing to receive now; no room to send now. */
export const RING_BUSY = -1;
/** Nothing will come any more; nothing is taken any more. */
export const RING_ENDED = -2;

/** How large a ring is, and where. */
export interface RingShape {
  /** Index of its first word, a multiple of 16. */
  readonly base: number;
  readonly threads: number;
  /** Values that it holds. */
  readonly capacity: number;
  /** A power of two, above the capacity; see {@link ringCells}. */
  readonly cells: number;
  /** Bits of the rounds; as many as fit unless a test wants them to wrap early. */
  readonly roundBits?: number;
}

/** Cells for a capacity: more than it, so that a slow reader of the last round is not always in the way. */
export function ringCells(capacity: number): number {
  return Math.max(CELLS_MIN, 2 ** Math.ceil(Math.log2(capacity + 1)));
}

/** Words that a ring takes. */
export function ringLength({ threads, cells }: Pick<RingShape, "threads" | "cells">): number {
  return gatheringLength(threads) + 2 * waitingLength(threads) + 3 * LINE_WORDS + toLines(cells);
}

/** Where the threads of it meet. */
export function ringGathering({ base, threads }: RingShape): GatheringShape {
  return { base, threads };
}

/** One thread's use. See the top of the file. */
export class ValueRing {
  readonly gathering: Gathering;
  readonly senders: WaitingThreads;
  readonly receivers: WaitingThreads;
  readonly #words: Words;
  readonly #self: number;
  readonly #capacity: number;
  readonly #cellBits: number;
  readonly #cellMask: number;
  readonly #roundMask: number;
  readonly #positionMask: number;
  readonly #head: number;
  readonly #tail: number;
  readonly #closing: number;
  readonly #lost: number;
  readonly #states: number;

  constructor(words: Words, shape: RingShape, self: number) {
    const { base, threads, capacity, cells } = shape;
    assert(cells > 0 && (cells & (cells - 1)) === 0, "the cells are a power of two");
    assert(capacity > 0 && capacity < cells, "a ring has more cells than values");
    assert(base + ringLength(shape) <= words.length, "a ring fits its memory");
    this.#words = words;
    this.#self = self;
    this.#capacity = capacity;
    this.#cellBits = 31 - Math.clz32(cells);
    this.#cellMask = cells - 1;
    const roundBits = Math.min(shape.roundBits ?? ROUND_BITS_MAX, ROUND_BITS_MAX, 32 - this.#cellBits);
    assert(roundBits >= 2, "a round is told from the one before and the one after");
    this.#roundMask = (1 << roundBits) - 1;
    const positionBits = this.#cellBits + roundBits;
    this.#positionMask = positionBits === 32 ? -1 : (1 << positionBits) - 1;
    this.gathering = new Gathering(words, ringGathering(shape), self);
    const senders = base + gatheringLength(threads);
    const receivers = senders + waitingLength(threads);
    this.senders = new WaitingThreads(words, { base: senders, threads });
    this.receivers = new WaitingThreads(words, { base: receivers, threads });
    this.#head = receivers + waitingLength(threads);
    this.#tail = this.#head + LINE_WORDS;
    this.#closing = this.#tail + LINE_WORDS;
    this.#lost = this.#closing + 1;
    this.#states = this.#closing + LINE_WORDS;
  }

  // --- sending

  /** Claims the next cell for a value of this thread; {@link publish} or {@link giveUp} follows without delay. {@link RING_BUSY} when it is full, {@link RING_ENDED} when it is closed. */
  claim(): number {
    const words = this.#words;
    for (;;) {
      const position = words.load(this.#tail);
      const state = this.#stateOf(position);
      const found = words.load(state);
      const ahead = this.#roundsAhead(found, position);
      // A reader of the last round has not finished.
      if (ahead < 0) return RING_BUSY;
      const phase = found & PHASE_MASK;
      if (ahead === 0 && phase === END) return RING_ENDED;
      if (ahead > 0 || phase !== EMPTY) {
        this.#moveOn(this.#tail, position);
        continue;
      }
      if (words.load(this.#closing) !== 0) {
        words.compareExchange(state, found, found | END);
        continue;
      }
      const head = words.load(this.#head);
      const count = this.#distance(head, position);
      if (count >= this.#capacity) {
        // More than ever fit: somebody has claimed the position since.
        if (count > this.#cellMask || this.#helpHead(head)) continue;
        return RING_BUSY;
      }
      if (words.compareExchange(state, found, found | WRITING | (this.#self << THREAD_SHIFT)) !== found) continue;
      this.#moveOn(this.#tail, position);
      return position & this.#cellMask;
    }
  }

  /** The cell that this thread has claimed and written is a value now, and the thread that has waited longest for one is woken. */
  publish(cell: number): void {
    const state = this.#states + cell;
    const found = this.#words.load(state);
    assert((found & PHASE_MASK) === WRITING, "a cell is published by who claimed it");
    this.#words.store(state, (found & ~(WRITING | (THREAD_MASK << THREAD_SHIFT))) | FULL);
    this.wakeReceiver();
  }

  /** The cell that this thread has claimed is no value after all. */
  giveUp(cell: number): void {
    const state = this.#states + cell;
    assert((this.#words.load(state) & PHASE_MASK) === WRITING, "a cell is given up by who claimed it");
    this.#empty(state);
    // It may have hidden what was sent behind it.
    this.wakeReceiver();
  }

  // --- receiving

  /** Claims the oldest value for this thread; {@link release} follows when it was read. {@link RING_BUSY} when there is none, {@link RING_ENDED} when none will come. */
  take(): number {
    const words = this.#words;
    for (;;) {
      const position = words.load(this.#head);
      const state = this.#stateOf(position);
      const found = words.load(state);
      const ahead = this.#roundsAhead(found, position);
      if (ahead < 0) return RING_BUSY;
      const phase = found & PHASE_MASK;
      if (ahead > 0 || phase === READING) {
        this.#moveOn(this.#head, position);
        continue;
      }
      if (phase === END) return RING_ENDED;
      if (phase === WRITING) return RING_BUSY;
      if (phase === EMPTY) {
        if (words.load(this.#closing) === 0) return RING_BUSY;
        words.compareExchange(state, found, found | END);
        continue;
      }
      const claimed = (found & ~PHASE_MASK) | READING | (this.#self << THREAD_SHIFT);
      if (words.compareExchange(state, found, claimed) !== found) continue;
      this.#moveOn(this.#head, position);
      return position & this.#cellMask;
    }
  }

  /** The value was read: its cell is free, and the thread that has waited longest for room is woken. */
  release(cell: number): void {
    const state = this.#states + cell;
    assert((this.#words.load(state) & PHASE_MASK) === READING, "a cell is released by who took it");
    this.#empty(state);
  }

  // --- closing, waking, figures

  /** Nothing is taken in any more from here on; what is in it can be received. False if it was closed before. */
  close(): boolean {
    const wasOpen = this.#words.exchange(this.#closing, 1) === 0;
    this.gathering.wakeOthers();
    return wasOpen;
  }

  get isClosing(): boolean {
    return this.#words.load(this.#closing) !== 0;
  }

  /** Values that threads had taken when they died. It wraps at 2^32. */
  get lostCount(): number {
    return this.#words.load(this.#lost) >>> 0;
  }

  /** Values in it, at about this moment. */
  get count(): number {
    const head = this.#words.load(this.#head);
    return Math.min(this.#distance(head, this.#words.load(this.#tail)), this.#capacity);
  }

  /** Wakes the thread that has waited longest to receive: there may be something. */
  wakeReceiver(): void {
    const thread = this.receivers.claimFirst();
    if (thread !== -1) this.gathering.wake(thread);
  }

  /** Wakes the thread that has waited longest to send: there may be room. */
  wakeSender(): void {
    const thread = this.senders.claimFirst();
    if (thread !== -1) this.gathering.wake(thread);
  }

  /** The reaper's: empties the cells that the dead thread, whose id this view has, had claimed. */
  reap(): void {
    this.senders.leave(this.#self);
    this.receivers.leave(this.#self);
    for (let cell = 0; cell <= this.#cellMask; cell++) {
      const found = this.#words.load(this.#states + cell);
      const phase = found & PHASE_MASK;
      if ((phase !== WRITING && phase !== READING) || ((found >>> THREAD_SHIFT) & THREAD_MASK) !== this.#self) continue;
      if (phase === READING) this.#words.add(this.#lost, 1);
      this.#words.store(this.#states + cell, this.#emptied(found));
    }
  }

  #empty(state: number): void {
    this.#words.store(state, this.#emptied(this.#words.load(state)));
    // Nobody else tells those who wait that the end can be seen now.
    if (this.#words.load(this.#closing) !== 0) this.gathering.wakeOthers();
    this.wakeSender();
  }

  #emptied(found: number): number {
    return (((found >>> ROUND_SHIFT) + 1) & this.#roundMask) << ROUND_SHIFT;
  }

  #stateOf(position: number): number {
    return this.#states + (position & this.#cellMask);
  }

  #moveOn(counter: number, position: number): void {
    this.#words.compareExchange(counter, position, ((position + 1) & this.#positionMask) | 0);
  }

  /** Moves the head behind a cell that was taken. True if it has moved, by whomever, since it was `head`. */
  #helpHead(head: number): boolean {
    const found = this.#words.load(this.#stateOf(head));
    const ahead = this.#roundsAhead(found, head);
    if (ahead < 0) return this.#words.load(this.#head) !== head;
    const phase = found & PHASE_MASK;
    if (ahead === 0 && phase !== READING) return this.#words.load(this.#head) !== head;
    this.#moveOn(this.#head, head);
    return true;
  }

  /** 0 when a state is of the position's round, 1 of a later one, -1 of the one before. */
  #roundsAhead(state: number, position: number): number {
    const round = (position >>> this.#cellBits) & this.#roundMask;
    const distance = ((state >>> ROUND_SHIFT) - round) & this.#roundMask;
    if (distance === 0) return 0;
    return distance === this.#roundMask ? -1 : 1;
  }

  /** Positions from `from` to `to`. */
  #distance(from: number, to: number): number {
    return ((to - from) & this.#positionMask) >>> 0;
  }
}

/** What the supervisor does when a thread is gone. No step of this may come before the thread's last one. */
export function buryRingThread(words: Words, shape: RingShape, thread: number): void {
  const gathering = ringGathering(shape);
  leaveGathering(words, gathering, thread);
  new ValueRing(words, shape, thread).reap();
  announceDeath(words, gathering);
}

function toLines(words: number): number {
  return Math.ceil(words / LINE_WORDS) * LINE_WORDS;
}
