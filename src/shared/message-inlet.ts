/**
 * The receiving end of the line from one thread to one shard. `message-space.ts` has the words and the argument, `message-line.ts` the other end.
 */
import { LaneReceiver } from "./lane.js";
import { LANES_PER_WORD, type LaneKind, type MessageSpace, type WantedWords } from "./message-space.js";

/** Where a line comes from, and by which lane. */
export interface InletSource {
  readonly slot: number;
  readonly kind: LaneKind;
}

/** The thread that receives for the shard uses it. */
export class MessageInlet {
  /** The slot of the sender, and its shard. */
  readonly slot: number;
  readonly from: number;
  readonly lane: LaneReceiver;
  readonly #space: MessageSpace;
  readonly #wanted: WantedWords;

  constructor(space: MessageSpace, shard: number, { slot, kind }: InletSource) {
    this.#space = space;
    this.slot = slot;
    this.from = space.shardOf(slot);
    this.lane = new LaneReceiver(space.words, space.lane(slot, shard, kind));
    this.#wanted = space.wantedWords(slot, shard, kind);
  }

  /** Gives the cells of all taken messages back. True when the sender waits for one of them: then it is to be rung. */
  release(): boolean {
    this.lane.release();
    return this.#space.wantsBefore(this.#wanted, this.lane.position);
  }
}

/** The lanes to a shard that were used so far, opened as they come to be. */
export class MessageInlets {
  readonly opened: MessageInlet[] = [];
  readonly #space: MessageSpace;
  readonly #shard: number;
  /** The bits of those that are open. */
  readonly #seen: Int32Array;

  constructor(space: MessageSpace, shard: number) {
    this.#space = space;
    this.#shard = shard;
    this.#seen = new Int32Array(space.useWords);
  }

  /** Opens those that are used since the last time. True when there are any. Who finds none, and each of the others empty, may sleep: the first message of the next one rings. */
  open(): boolean {
    let isNew = false;
    for (let word = 0; word < this.#seen.length; word++) {
      const uses = this.#space.usesOf(this.#shard, word);
      if (uses === this.#seen[word]) continue;
      this.#openOf(word, uses & ~this.#seen[word]!);
      this.#seen[word] = uses;
      isNew = true;
    }
    return isNew;
  }

  #openOf(word: number, bits: number): void {
    for (let left = bits; left !== 0; left &= left - 1) {
      const number = word * LANES_PER_WORD + 31 - Math.clz32(left & -left);
      const source: InletSource = { slot: number >>> 1, kind: (number & 1) === 0 ? "usual" : "hot" };
      this.opened.push(new MessageInlet(this.#space, this.#shard, source));
    }
  }
}
