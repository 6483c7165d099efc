/** Records from one shard's thread to all others that listen, over the logs of `src/shared/broadcast-logs.ts`: what published messages travel by. */
import { BROADCAST_STALL_MS, BROADCASTS_PER_TURN_MAX } from "../constants.js";
import { BroadcastReader, type BroadcastShape, BroadcastWriter, recordBytesMax } from "../shared/broadcast-logs.js";
import { SharedWords } from "../shared/words.js";

/** The shared memory of all logs. Plain data, to be posted. */
export interface BroadcastShare {
  readonly words: SharedArrayBuffer;
  readonly shape: BroadcastShape;
}

/** Who gets the records of other threads. */
export interface BroadcastListener {
  /** The bytes are lent for the duration of the call. */
  record(bytes: Uint8Array): void;
  /** This thread was busy for so long that others have gone on without it: records are missing here. */
  missed(): void;
}

/** What {@link ShardBroadcasts} needs of its thread. */
export interface BroadcastSeat {
  readonly slot: number;
  /** Makes the thread of a slot look. */
  readonly ring: (slot: number) => void;
  readonly now: () => number;
}

/** One thread's log, and its view of the others'. */
export class ShardBroadcasts {
  /** Bytes of a record, at most. */
  readonly bytesMax: number;
  readonly #writer: BroadcastWriter;
  readonly #reader: BroadcastReader;
  readonly #seat: BroadcastSeat;
  #listener: BroadcastListener | undefined;
  #isContinuing = false;
  /** The reader that left no room the last time, where it stood, and since when. */
  #stalled = { reader: -1, cursor: 0, sinceMs: 0 };

  constructor({ words, shape }: BroadcastShare, seat: BroadcastSeat) {
    const shared = new SharedWords(words);
    const bytes = new Uint8Array(words);
    this.bytesMax = recordBytesMax(shape);
    this.#writer = new BroadcastWriter(shared, bytes, shape, seat.slot);
    this.#reader = new BroadcastReader(shared, bytes, shape, seat.slot);
    this.#seat = seat;
  }

  /** Whether another thread listens. */
  get hasListeners(): boolean {
    return this.#writer.hasReaders;
  }

  /**
   * Gives one record, `parts` one after the other, to every thread that listens. False when one of them has left no room: nobody gets it. A thread that has not read for
   * {@link BROADCAST_STALL_MS} is waited for no longer.
   */
  publish(parts: readonly Uint8Array[]): boolean {
    if (this.#writer.publish(parts, this.#seat.ring)) return true;
    return this.#givesUp(this.#writer.slowest) && this.#writer.publish(parts, this.#seat.ring);
  }

  /** From now on records of other threads go to `listener`; undefined is to nobody. */
  listen(listener: BroadcastListener | undefined): void {
    this.#listener = listener;
    if (listener === undefined) this.#reader.detach();
    else if (!this.#reader.isAttached) this.#reader.attach();
  }

  /** Somebody has rung: hands out what there is, a bounded number, the rest in the next turn. What a listener throws is thrown, and costs it that record alone. */
  look(): void {
    if (this.#isContinuing) return;
    try {
      this.#handOut();
    } catch (error) {
      // Nobody rings for what was there when somebody did.
      this.#continueLater();
      throw error;
    }
  }

  #handOut(): void {
    for (let count = 0; this.#listener !== undefined; count++) {
      if (count === BROADCASTS_PER_TURN_MAX) return this.#continueLater();
      const record = this.#reader.next();
      if (record === undefined) return;
      if (record === "missed") this.#listener.missed();
      else this.#listener.record(record);
    }
  }

  #continueLater(): void {
    this.#isContinuing = true;
    setImmediate(() => {
      this.#isContinuing = false;
      this.look();
    });
  }

  #givesUp(reader: number): boolean {
    const cursor = this.#writer.cursorOf(reader);
    const nowMs = this.#seat.now();
    if (reader !== this.#stalled.reader || cursor !== this.#stalled.cursor) {
      this.#stalled = { reader, cursor, sinceMs: nowMs };
      return false;
    }
    return nowMs - this.#stalled.sinceMs >= BROADCAST_STALL_MS && this.#writer.giveUp(reader);
  }
}
