/**
 * How often each of many keys may do something, counted together by all threads: the generic cell rate algorithm (GCRA; ATM Forum TM 4.1, section 4.4.2), one word a key.
 *
 *     [seed]   set 0: [tag][time] [tag][time] [tag][time] [tag][time]   set 1: …
 *
 * A key belongs to one set, by its hash. *Time* is when its whole allowance is back, in ticks of 1/32 of the interval between two permits, modulo 2^32. A key may be ahead of now by its burst at most; what would be further ahead is refused.
 *
 * Who writes each word: any thread, by compare-exchange alone.
 * - *time* moves forward by what was taken. Whoever loses the race looks again, so nothing is taken twice.
 * - *tag* goes from free, or from a key whose allowance is whole again, to another key. Its time is in the past then, which is the state of a new key: nothing has to be set with it, and a thread may die between any two steps.
 *
 * **What is approximate.** A key that takes just as its slot changes hands charges its successor. A slot that was never used is exact; where all have been, two threads that meet a new key at the same time may each give it a slot, so that it has
 * twice its burst, once. Two keys with the same 31 bits of tag in one set are one key; the seed keeps others from making such. A key that comes back after 2^31 ticks, which is 67 million intervals, may find its slot as it left it.
 */
import { assert } from "../assert.js";
import { type GatheringShape, gatheringLength } from "./gathering.js";
import type { Words } from "./words.js";

const SET_SLOTS = 4;
const SLOT_WORDS = 2;
const LINE_WORDS = 16;
/** Ticks between two permits. */
export const PERMIT_TICKS = 32;
/** So that a whole burst is far less than half of what a word counts. */
export const BURST_MAX = 1 << 24;

/** Where a table is, and for how many keys at once. */
export interface RateShape {
  /** Index of its first word, a multiple of 16. */
  readonly base: number;
  readonly threads: number;
  /** A power of two of at least 4. */
  readonly keys: number;
  /** Permits that a key which was idle can take at once. */
  readonly burst: number;
  /** Between two permits. The words do not depend on it, but all threads must mean the same. */
  readonly intervalMs: number;
}

/** What came of a request for permits. */
export interface RateVerdict {
  readonly isAllowed: boolean;
  /** Permits that could be taken right now. */
  readonly remaining: number;
  /** Ticks until what was asked for could be taken; 0 when it was. */
  readonly waitTicks: number;
  /** Ticks until the whole burst is back. */
  readonly resetTicks: number;
  /** False when all slots of its set belong to keys that are in use: then nothing was counted. */
  readonly isCounted: boolean;
}

/** Words that a table takes. */
export function ratesLength({ threads, keys }: RateShape): number {
  return seedOffset(threads) + LINE_WORDS + keys * SLOT_WORDS;
}

/** The threads of a table. They never wait for each other. */
export function ratesGathering({ base, threads }: RateShape): GatheringShape {
  return { base, threads };
}

function seedOffset(threads: number): number {
  return Math.ceil(gatheringLength(threads) / LINE_WORDS) * LINE_WORDS;
}

/** One thread's view. */
export class RateTable {
  readonly #words: Words;
  readonly #seed: number;
  readonly #slots: number;
  readonly #setMask: number;
  readonly #burst: number;
  readonly #burstTicks: number;
  readonly #clock: () => number;

  /** @param clock The ticks so far, the same on all threads and never behind what another one has read before; any integer. */
  constructor(words: Words, shape: RateShape, clock: () => number) {
    const { burst } = shape;
    assert(
      shape.keys >= SET_SLOTS && (shape.keys & (shape.keys - 1)) === 0,
      "the keys of a rate table are a power of two",
    );
    assert(burst >= 1 && burst <= BURST_MAX, "a burst is within its bounds");
    this.#words = words;
    this.#seed = shape.base + seedOffset(shape.threads);
    this.#slots = this.#seed + LINE_WORDS;
    this.#setMask = shape.keys / SET_SLOTS - 1;
    this.#burst = burst;
    this.#burstTicks = burst * PERMIT_TICKS;
    this.#clock = clock;
  }

  /** The number that goes into the hash of every key: `proposed`, unless another thread was first. */
  seed(proposed: number): number {
    const found = this.#words.compareExchange(this.#seed, 0, proposed);
    return found === 0 ? proposed : found;
  }

  /** Takes `permits` of the key with these two hashes, or none. No more than a burst: they could never be had. */
  take(setHash: number, tagHash: number, permits: number): RateVerdict {
    assert(permits <= this.#burst, "no more permits are asked for than there ever are");
    const slot = this.#find(setHash, tagHash | 1);
    const wanted = permits * PERMIT_TICKS;
    if (slot < 0) return verdict(true, 0, { burst: this.#burstTicks, isCounted: false });
    for (;;) {
      const time = this.#words.load(slot + 1);
      // After the load, so that it is not before what the writer of the word has read.
      const now = this.#clock() | 0;
      const ahead = this.#ahead(time, now);
      if (ahead + wanted > this.#burstTicks) return verdict(false, ahead, { burst: this.#burstTicks, wanted });
      const next = (now + ahead + wanted) | 0;
      if (this.#words.compareExchange(slot + 1, time, next) === time)
        return verdict(true, ahead + wanted, { burst: this.#burstTicks });
    }
  }

  /** The slot of a key, made for it when there is none; -1 when there is no room. */
  #find(setHash: number, tag: number): number {
    const first = this.#slots + (setHash & this.#setMask) * SET_SLOTS * SLOT_WORDS;
    for (;;) {
      let free = -1;
      let freeTag = 0;
      for (let slot = first; slot < first + SET_SLOTS * SLOT_WORDS; slot += SLOT_WORDS) {
        const found = this.#words.load(slot);
        if (found === tag) return slot;
        // The first slot that nobody has had, else the first whose key is idle.
        if (free >= 0 && (freeTag === 0 || found !== 0)) continue;
        if (found !== 0 && this.#ahead(this.#words.load(slot + 1), this.#clock() | 0) > 0) continue;
        free = slot;
        freeTag = found;
      }
      if (free < 0) return -1;
      // Whoever was first may have been after the same key.
      if (this.#words.compareExchange(free, freeTag, tag) === freeTag) return free;
    }
  }

  /** How far a key is ahead of now. What nobody could be ahead is a time so long past that the word has come round. */
  #ahead(time: number, now: number): number {
    const ahead = (time - now) | 0;
    return ahead <= 0 || ahead > this.#burstTicks ? 0 : ahead;
  }
}

function verdict(
  isAllowed: boolean,
  ahead: number,
  { burst, wanted = 0, isCounted = true }: { burst: number; wanted?: number; isCounted?: boolean },
): RateVerdict {
  const remaining = Math.floor((burst - ahead) / PERMIT_TICKS);
  return { isAllowed, remaining, waitTicks: isAllowed ? 0 : ahead + wanted - burst, resetTicks: ahead, isCounted };
}
