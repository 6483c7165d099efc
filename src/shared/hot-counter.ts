/**
 * A hot counter: amounts that one thread adds and one other takes, as a sum instead of a message each. One word of shared memory.
 *
 * The word is what was published and not yet taken. The sender alone adds to it, the receiver alone takes it, by an exchange with 0, so between two of the sender's own steps it can only become 0
 * and an addition that fitted when it was loaded fits when it is made. Totals are larger than the word: the sender keeps the rest and publishes it in chunks of at most 2^32 - 1, and the
 * receiver adds the chunks up in a bigint. Nothing is counted twice or lost while both live; a sender that dies loses what it had not published, a receiver that dies what it had taken.
 *
 * The receiver is woken by the change from 0 to something. An addition that finds 0 is published at once, whatever the threshold, so the first update never waits for more to come. Only while the receiver has something
 * to take anyway does the sender collect up to the threshold, and {@link HotCounterSender.flush}, at the end of each of its turns, publishes what is left.
 */
import { assert } from "../assert.js";
import { SUM_MAX } from "./lane.js";
import type { Words } from "./words.js";

/** The adding end. One thread uses it. */
export class HotCounterSender {
  readonly #words: Words;
  readonly #index: number;
  readonly #threshold: number;
  /** Added, and not yet in the word. Below 2^53, which the assertion in {@link add} holds. */
  #owed = 0;

  /** @param threshold Amount that is collected before it is published while the receiver still has something to take. */
  constructor(words: Words, index: number, threshold = 1) {
    assert(index >= 0 && index < words.length, "a counter lies within the words");
    assert(threshold >= 1 && threshold <= SUM_MAX, "a threshold is an unsigned word of at least 1");
    this.#words = words;
    this.#index = index;
    this.#threshold = threshold;
  }

  /** What was added and the receiver cannot see yet. */
  get owed(): number {
    return this.#owed;
  }

  /** Adds a whole number from 0 to 2^32 - 1. True when the receiver must be woken. */
  add(amount: number): boolean {
    assert(amount >= 0 && amount <= SUM_MAX && Number.isInteger(amount), "a counter adds unsigned words");
    assert(this.#owed <= Number.MAX_SAFE_INTEGER - amount, "what a counter owes is a safe integer");
    this.#owed += amount;
    if (this.#owed === 0) return false;
    const found = this.#words.load(this.#index);
    return found === 0 || this.#owed >= this.#threshold ? this.#publish(found >>> 0) : false;
  }

  /** Publishes what is owed, as far as the word has room for it. True when the receiver must be woken. */
  flush(): boolean {
    return this.#owed > 0 && this.#publish(this.#words.load(this.#index) >>> 0);
  }

  #publish(found: number): boolean {
    const chunk = Math.min(this.#owed, SUM_MAX - found);
    if (chunk === 0) return false;
    this.#owed -= chunk;
    return this.#words.add(this.#index, chunk | 0) === 0;
  }
}

/** The taking end. One thread uses it. */
export class HotCounterReceiver {
  readonly #words: Words;
  readonly #index: number;
  #total = 0n;

  constructor(words: Words, index: number) {
    assert(index >= 0 && index < words.length, "a counter lies within the words");
    this.#words = words;
    this.#index = index;
  }

  /** All that was ever taken. */
  get total(): bigint {
    return this.#total;
  }

  /** Takes what was published, 0 to 2^32 - 1. The thread may sleep only after a 0; when a sender still owes something, its next flush finds the word empty and wakes. */
  take(): number {
    const taken = this.#words.exchange(this.#index, 0) >>> 0;
    if (taken > 0) this.#total += BigInt(taken);
    return taken;
  }
}
