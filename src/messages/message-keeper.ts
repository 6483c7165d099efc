/** The supervisor's side of the messages between shards: makes their memory, gives each thread a place, and mends what a dead one has left. */
import { assert } from "../assert.js";
import type { Doorbell, DriverName } from "../driver/contract.js";
import { closeDoorbell, createDoorbells, forceDoorbell } from "../driver/doorbell.js";
import { detachDead } from "../shared/broadcast-logs.js";
import type { MessageSpace } from "../shared/message-space.js";
import { SharedWords } from "../shared/words.js";
import {
  createBroadcast,
  createMessageWords,
  type MessageAssignment,
  MessageRinger,
  type MessageShare,
  viewMessages,
} from "./message-memory.js";

/** What the messages of a server are like. */
export interface MessageKeeperOptions {
  readonly shards: number;
  readonly driver: DriverName;
  /** Messages of each lane. */
  readonly messagesMax: number;
  /** See `MemoryBudget.messageBytes`. */
  readonly bytesMax?: number;
  readonly hotThreshold: number;
  /** Those that the shards' drivers may answer to. */
  readonly schedulerDoorbells: readonly Doorbell[];
}

/** The messages of one server. The supervisor's thread alone uses it. */
export class MessageKeeper {
  readonly #share: MessageShare;
  readonly #space: MessageSpace;
  readonly #ringer: MessageRinger;
  readonly #broadcastWords: SharedWords;
  readonly #taken = new Set<number>();
  readonly #vacant: number[];
  #isClosed = false;

  constructor(options: MessageKeeperOptions) {
    const { shards, driver, messagesMax, bytesMax, hotThreshold, schedulerDoorbells } = options;
    const { words, shape } = createMessageWords({ shards, messagesMax, bytesMax });
    const slots = shards * shape.slotsPerShard;
    const doorbells = createDoorbells(slots, () => driver);
    const broadcast = createBroadcast({ shards, messagesMax, bytesMax });
    this.#share = { words, shape, doorbells, schedulerDoorbells, hotThreshold, broadcast };
    this.#broadcastWords = new SharedWords(broadcast.words);
    this.#space = viewMessages(this.#share);
    this.#ringer = new MessageRinger(this.#space, this.#share);
    this.#vacant = Array.from({ length: slots }, (_, slot) => slot);
  }

  /** A place for a thread that will serve as `shard`; undefined while too many of its threads are ending. */
  admit(shard: number): MessageAssignment | undefined {
    const index = this.#vacant.findIndex((slot) => this.#space.shardOf(slot) === shard);
    if (index === -1) return undefined;
    const [slot] = this.#vacant.splice(index, 1);
    assert(slot !== undefined, "a vacant slot was found");
    this.#taken.add(slot);
    return { ...this.#share, slot };
  }

  /** The thread of a slot is gone. What it had not taken is dropped, and whoever sent that is told. `isReplaced` says whether another thread will serve as the shard. */
  leave(slot: number, isReplaced: boolean): void {
    assert(this.#taken.delete(slot), "only a thread with a place leaves");
    this.#space.bury(slot);
    detachDead(this.#broadcastWords, slot);
    if (!isReplaced) this.#space.abandon(this.#space.shardOf(slot));
    // Also for rings that the dead thread had begun.
    this.#wakeAll();
    // First in the row: the successor goes on behind what this one has sent, in the same lanes.
    this.#vacant.unshift(slot);
  }

  /** Nobody will serve as the shard any more. */
  abandon(shard: number): void {
    this.#space.abandon(shard);
    this.#wakeAll();
  }

  /** All threads are gone. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const doorbell of this.#share.doorbells) closeDoorbell(doorbell);
  }

  #wakeAll(): void {
    for (const slot of this.#taken) forceDoorbell(this.#ringer.doorbellOf(slot));
  }
}
