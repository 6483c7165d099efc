/**
 * The sending end of the line from one thread to one shard: its lane, and what has become of the messages in it. `message-space.ts` has the words and the argument.
 */
import { LaneSender } from "./lane.js";
import { CLOSED, type LaneKind, type MessageSpace } from "./message-space.js";

/** What has become of a message: the receiver has taken it, died before it is known to have, or has stopped to receive; or it is not known yet. */
export type MessageFate = "waiting" | "taken" | "dropped" | "closed";

/** Where a line leads, and by which lane. */
export interface LineEnd {
  readonly shard: number;
  readonly kind?: LaneKind;
}

/** One thread uses it. */
export class MessageLine {
  readonly shard: number;
  readonly lane: LaneSender;
  readonly #space: MessageSpace;
  readonly #slot: number;
  readonly #kind: LaneKind;
  /** The word DROPPED, when all in front of it was last known to be released. */
  #droppedSeen: number;
  #dropped: number;
  #isClosed = false;
  #wanted: number | undefined;

  constructor(space: MessageSpace, slot: number, { shard, kind = "usual" }: LineEnd) {
    this.#space = space;
    this.#slot = slot;
    this.#kind = kind;
    this.shard = shard;
    this.lane = new LaneSender(space.words, space.lane(slot, shard, kind));
    this.#droppedSeen = space.droppedOf(slot, shard, kind);
    this.#dropped = this.#droppedSeen;
  }

  /** Lets the receiver see what was pushed, and gives the slot of its thread; below 0 for none, who has nothing to be told. The thread must be rung if it {@link hadTakenAll}, unless its doorbell is rung already. */
  publish(): number {
    // Behind the lane's tail: who becomes the receiver later looks at the lane later.
    return this.lane.publish() ? this.#space.receiverOf(this.shard) : -1;
  }

  /** Whether all was taken that was published before the last time. */
  hadTakenAll(): boolean {
    return this.lane.hadTakenAll();
  }

  /** The number of the message whose release this end has asked to hear of. */
  get wanted(): number | undefined {
    return this.#wanted;
  }

  /** Asks to be rung when the message with that number is taken, or no more. To be followed by {@link look}. */
  setWanted(position: number | undefined): void {
    if (this.#wanted === position) return;
    this.#wanted = position;
    if (position === undefined) this.#space.setUnwanted(this.#slot, this.shard, this.#kind);
    else this.#space.setWanted(this.#slot, this.shard, { position, kind: this.#kind });
  }

  /** Looks what has become of the messages, for {@link fateOf}. */
  look(): void {
    // What an earlier look has settled is over, and a number in front of it may come again when the counters have wrapped.
    if (this.lane.hasTaken((this.#dropped - 1) | 0)) this.#droppedSeen = this.#dropped;
    this.lane.look();
    // In this order: who sees dropped messages as released sees that they were dropped.
    this.#dropped = this.#space.droppedOf(this.#slot, this.shard, this.#kind);
    this.#isClosed = this.#space.receiverOf(this.shard) === CLOSED;
  }

  /** Whether the last look was the first to see that messages were dropped. */
  get hasDropped(): boolean {
    return this.#dropped !== this.#droppedSeen;
  }

  /** What had become of the message with that number at the last look. */
  fateOf(position: number): MessageFate {
    if (!this.lane.hasTaken(position)) return this.#isClosed ? "closed" : "waiting";
    return this.hasDropped && this.lane.isBefore(position, this.#dropped) ? "dropped" : "taken";
  }
}
