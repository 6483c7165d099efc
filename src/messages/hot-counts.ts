/** The receiving side of hot counters: sums over all senders, 64 bits wide and more, taken by whoever asks. */
import { HotCounterReceiver } from "../shared/hot-counter.js";
import { HOT_TAGS, type MessageSpace } from "../shared/message-space.js";
import { Fifo } from "./fifo.js";
import { messagesClosed } from "./message-errors.js";
import { waitIn } from "./receiving.js";

interface Waiter {
  readonly resolve: (sum: bigint) => void;
  readonly reject: (error: Error) => void;
}

/** Sums for one thread. */
export class HotCounts {
  /** Chunks that were taken. */
  taken = 0;
  readonly #space: MessageSpace;
  readonly #slot: number;
  readonly #sums: bigint[] = new Array<bigint>(HOT_TAGS).fill(0n);
  readonly #waiting: Fifo<Waiter>[] = Array.from({ length: HOT_TAGS }, () => new Fifo());
  readonly #counters = new Map<number, HotCounterReceiver>();
  #isReceiver = false;
  #isClosed = false;

  constructor(space: MessageSpace, slot: number) {
    this.#space = space;
    this.#slot = slot;
  }

  /** This thread has the role from now on. A dead one may have taken the bits and not the amounts, so each counter is looked at. */
  begin(): void {
    this.#isReceiver = true;
    for (let sender = 0; sender < this.#space.slots; sender++) this.#take(sender, -1);
  }

  /** This thread takes nothing any more. Whoever waits is told; gives what nobody has asked for, by tag. */
  end(): readonly bigint[] {
    this.look();
    this.#isReceiver = false;
    this.#isClosed = true;
    for (const queue of this.#waiting) {
      for (let waiter = queue.shift(); waiter !== undefined; waiter = queue.shift()) {
        waiter.reject(messagesClosed("nextHotCount"));
      }
    }
    return this.#sums;
  }

  /** Takes what is there, and gives it to who waits. */
  look(): void {
    if (!this.#isReceiver) return;
    const shard = this.#space.shardOf(this.#slot);
    for (let sender = 0; sender < this.#space.slots; sender++) {
      const bits = this.#space.takeHot(sender, shard);
      if (bits !== 0) this.#take(sender, bits);
    }
  }

  /** See `shard.tryTakeHotCount`. */
  tryTake(tag: number): bigint | undefined {
    this.look();
    const sum = this.#sums[tag]!;
    if (sum === 0n) return undefined;
    this.#sums[tag] = 0n;
    return sum;
  }

  /** See `shard.nextHotCount`. */
  next(tag: number, signal: AbortSignal | undefined): Promise<bigint> {
    if (this.#isClosed) return Promise.reject(messagesClosed("nextHotCount"));
    const queue = this.#waiting[tag]!;
    const sum = queue.length === 0 && signal?.aborted !== true ? this.tryTake(tag) : undefined;
    return sum === undefined ? waitIn(queue, { operation: "nextHotCount", signal }) : Promise.resolve(sum);
  }

  #take(sender: number, bits: number): void {
    for (let left = bits; left !== 0; left &= left - 1) {
      const tag = 31 - Math.clz32(left & -left);
      const index = this.#space.counterWord(sender, this.#space.shardOf(this.#slot), tag);
      // Most are 0 when all are looked at, and a load gives a page of memory no contents of its own.
      if (this.#space.words.load(index) === 0) continue;
      const amount = this.#counterAt(index).take();
      this.taken += 1;
      this.#sums[tag] = this.#sums[tag]! + BigInt(amount);
    }
    for (let left = bits; left !== 0; left &= left - 1) this.#serve(31 - Math.clz32(left & -left));
  }

  #serve(tag: number): void {
    const sum = this.#sums[tag]!;
    if (sum === 0n) return;
    const waiter = this.#waiting[tag]!.shift();
    if (waiter === undefined) return;
    this.#sums[tag] = 0n;
    waiter.resolve(sum);
  }

  #counterAt(index: number): HotCounterReceiver {
    let counter = this.#counters.get(index);
    if (counter === undefined) {
      counter = new HotCounterReceiver(this.#space.words, index);
      this.#counters.set(index, counter);
    }
    return counter;
  }
}
