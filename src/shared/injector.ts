/**
 * The injector: the queue that all threads share. It takes what overflows a run queue, what comes from a thread that runs no tasks, and what the reaper rescues.
 *
 *     occupancy mask: a bit for each shard that may hold something        shards: a `SlotSet` over all slots each
 *
 * A thread adds to its own shard, so that several that add do not meet on one word, and takes from all that the mask names in turn, so that none of them starves. Any thread writes any word.
 * The mask is to the shards what a summary is to the words of a set (`slot-set.ts`): set after the shard was filled, cleared before the shard is looked at once more.
 *
 * It can never be full. A hint that is added twice is there once.
 */
import { assert } from "../assert.js";
import { INJECTOR_SHARDS_MAX } from "../constants.js";
import { SlotSet, slotSetLength } from "./slot-set.js";
import type { Words } from "./words.js";

const LINE_WORDS = 16;
const ONE = new Int32Array(1);

/** Where the injector is, and how large. All its users must be given the same. */
export interface InjectorShape {
  /** Index of its first word, a multiple of 16. */
  readonly base: number;
  /** Slots from 0 to one less than this. */
  readonly capacity: number;
  /** 1 to 32. */
  readonly shards: number;
  /** As in `SlotSetShape`. */
  readonly wordShift?: number;
}

/** Words that an injector takes. */
export function injectorLength(shape: Omit<InjectorShape, "base">): number {
  return LINE_WORDS + shape.shards * slotSetLength(shape.capacity, shape.wordShift);
}

/** One thread's view of the injector. */
export class Injector {
  readonly #words: Words;
  readonly #mask: number;
  readonly #shards: readonly SlotSet[];
  readonly #own: number;
  /** The shard that is asked first the next time. */
  #turn: number;

  constructor(words: Words, shape: InjectorShape, thread: number) {
    assert(shape.shards > 0 && shape.shards <= INJECTOR_SHARDS_MAX, "the injector has 1 to 32 shards");
    assert(thread >= 0, "a thread id is not negative");
    this.#words = words;
    this.#mask = shape.base;
    this.#own = thread % shape.shards;
    this.#turn = this.#own;
    const { base, shards, ...set } = shape;
    const length = slotSetLength(set.capacity, set.wordShift);
    this.#shards = Array.from({ length: shards }, (_, n) => {
      return new SlotSet(words, { ...set, base: base + LINE_WORDS + n * length });
    });
  }

  /** Adds a hint, and is done when everybody who looks finds it. */
  insert(slot: number): void {
    this.#shards[this.#own]!.insert(slot);
    this.#announce(this.#own);
  }

  /** Adds the first `count` hints of a list. */
  insertMany(slots: Int32Array, count: number): void {
    assert(count >= 0 && count <= slots.length, "the hints are in the list");
    if (count === 0) return;
    const shard = this.#shards[this.#own]!;
    for (let n = 0; n < count; n++) shard.insert(slots[n]!);
    this.#announce(this.#own);
  }

  /** Takes one hint, or -1 if there is none. */
  take(): number {
    return this.takeMany(ONE, 1) === 0 ? -1 : ONE[0]!;
  }

  /** Takes up to `max` hints, writes them to the front of `into` and says how many: 0 only if there were none. */
  takeMany(into: Int32Array, max: number): number {
    for (;;) {
      const mask = this.#words.load(this.#mask);
      if (mask === 0) return 0;
      const ahead = (mask >>> this.#turn) << this.#turn;
      const chosen = ahead === 0 ? mask : ahead;
      const shard = 31 - Math.clz32(chosen & -chosen);
      this.#turn = shard + 1 === this.#shards.length ? 0 : shard + 1;
      const count = this.#shards[shard]!.takeMany(into, max);
      if (count === 0 || this.#shards[shard]!.isEmpty()) this.#withdraw(shard);
      // Another taker may have found the shard empty while this one had cleared its root and not raised it again.
      else this.#announce(shard);
      if (count > 0) return count;
    }
  }

  /** Whether nothing is in it. Can be wrong for a moment while somebody takes; see the header of `slot-set.ts`. */
  isEmpty(): boolean {
    return this.#words.load(this.#mask) === 0;
  }

  #announce(shard: number): void {
    const bit = 1 << shard;
    if ((this.#words.load(this.#mask) & bit) === 0) this.#words.or(this.#mask, bit);
  }

  #withdraw(shard: number): void {
    this.#words.and(this.#mask, ~(1 << shard));
    // Pairs with `#announce`: who found the bit still set had filled the shard before.
    if (!this.#shards[shard]!.isEmpty()) this.#announce(shard);
  }
}
