/** The shared memory of messages between shards, and what each thread is told about it. */
import { BROADCAST_LOG_BYTES_MAX, BROADCAST_LOG_BYTES_MIN, MESSAGE_BYTES_MAX, MESSAGES_MAX } from "../constants.js";
import type { Doorbell, Driver } from "../driver/contract.js";
import { bellOf, ringDoorbell } from "../driver/doorbell.js";
import type { Bell } from "../shared/bell.js";
import { type BroadcastShape, broadcastLength } from "../shared/broadcast-logs.js";
import { type MessageShape, MessageSpace, messageLength } from "../shared/message-space.js";
import { SharedWords } from "../shared/words.js";
import type { BroadcastShare } from "./broadcasts.js";

/** Threads of one shard that can send at the same time: one that ends, its successor, and that one's when it dies meanwhile. */
const SLOTS_PER_SHARD = 3;
/** What all lanes together may take of the address space, in bytes. The kernel backs what is used. */
const LANES_BYTES_MAX = 512 * 1024 * 1024;

/** Words of the smallest block for a value. */
export const VALUE_UNIT_WORDS = 16;
/** Units of a chunk: the largest block. */
export const VALUE_CHUNK_UNITS = MESSAGE_BYTES_MAX / (VALUE_UNIT_WORDS * Int32Array.BYTES_PER_ELEMENT);
const CHUNK_WORDS = VALUE_CHUNK_UNITS * VALUE_UNIT_WORDS;
const CHUNKS = 16;
/** With many shards each has less. */
const CHUNKS_OF_MANY = 4;
const MANY_SHARDS = 32;

/** The part of the memory that the logs of published messages may take. */
const BROADCAST_SHARE = 1 / 4;

/** Which doorbell reaches a thread: that of its event loop, that of its own driver, or, from here on, one of the scheduler's. */
export const WAKE = { loop: 0, driver: 1, scheduler: 2 } as const;

/** What every shard has of the messages. Plain data, to be posted. */
export interface MessageShare {
  readonly words: SharedArrayBuffer;
  readonly shape: MessageShape;
  /** By slot, for drivers that have none of the scheduler's. */
  readonly doorbells: readonly Doorbell[];
  readonly schedulerDoorbells: readonly Doorbell[];
  readonly hotThreshold: number;
  /** The logs of published messages, by the same slots. */
  readonly broadcast: BroadcastShare;
}

/** The share, and which place this thread has in it. */
export interface MessageAssignment extends MessageShare {
  readonly slot: number;
}

/** How large the messages of a server may be. */
export interface MessageSize {
  readonly shards: number;
  /** Messages of each lane; they hold less where that would take too much. */
  readonly messagesMax: number;
  /** What lanes and values together may take; each thread has room for one of the largest values all the same. Default: as much as they can use. */
  readonly bytesMax?: number | undefined;
}

/** Bytes of the messages' memory. The kernel backs what was used. */
export function messageBytes(size: MessageSize): number {
  return (messageLength(shapeOf(size)) + broadcastLength(broadcastShapeOf(size))) * Int32Array.BYTES_PER_ELEMENT;
}

/** Makes the memory of published messages. */
export function createBroadcast(size: MessageSize): BroadcastShare {
  const shape = broadcastShapeOf(size);
  return { words: new SharedArrayBuffer(broadcastLength(shape) * Int32Array.BYTES_PER_ELEMENT), shape };
}

function broadcastShapeOf({ shards, bytesMax = Number.POSITIVE_INFINITY }: MessageSize): BroadcastShape {
  const slots = shards * SLOTS_PER_SHARD;
  const share = (bytesMax * BROADCAST_SHARE) / slots;
  let logBytes = BROADCAST_LOG_BYTES_MAX;
  while (logBytes > BROADCAST_LOG_BYTES_MIN && logBytes > share) logBytes /= 2;
  return { slots, capacity: logBytes / Int32Array.BYTES_PER_ELEMENT };
}

/** Makes the memory. */
export function createMessageWords(size: MessageSize): {
  readonly words: SharedArrayBuffer;
  readonly shape: MessageShape;
} {
  const shape = shapeOf(size);
  return { words: new SharedArrayBuffer(messageLength(shape) * Int32Array.BYTES_PER_ELEMENT), shape };
}

function shapeOf({ shards, messagesMax, bytesMax = Number.POSITIVE_INFINITY }: MessageSize): MessageShape {
  const shapeFor = (capacity: number, valueWords: number): MessageShape => ({
    base: 0,
    shards,
    slotsPerShard: SLOTS_PER_SHARD,
    capacity,
    hotCapacity: capacity,
    valueWords,
  });
  let capacity = Math.min(messagesMax, MESSAGES_MAX);
  while (capacity > 2 && messageLength(shapeFor(capacity, 0)) * Int32Array.BYTES_PER_ELEMENT > LANES_BYTES_MAX) {
    capacity /= 2;
  }
  let chunks = shards > MANY_SHARDS ? CHUNKS_OF_MANY : CHUNKS;
  let shape = shapeFor(capacity, chunks * CHUNK_WORDS);
  while (chunks > 1 && messageLength(shape) * Int32Array.BYTES_PER_ELEMENT > bytesMax * (1 - BROADCAST_SHARE)) {
    chunks -= 1;
    shape = shapeFor(capacity, chunks * CHUNK_WORDS);
  }
  return shape;
}

/** What reaches a thread. */
interface Target {
  /** The word that said so. */
  readonly wake: number;
  readonly doorbell: Doorbell;
  readonly bell: Bell;
}

/** A driver that reaches other threads through their rings. */
export type RingTeller = Required<Pick<Driver, "tellRing" | "ringDescriptor">>;

/** Rings the threads of all slots. */
export class MessageRinger {
  /** Rings so far. */
  rings = 0;
  /** Messages to other threads' rings so far. */
  ringMessages = 0;
  /** This thread's driver, while it has one that can. */
  teller: RingTeller | undefined;
  readonly #space: MessageSpace;
  readonly #share: MessageShare;
  readonly #loopBells: readonly Doorbell[];
  /** By slot: what reached its thread the last time. */
  readonly #targets: (Target | undefined)[];
  /** Slots whose thread was ever told by its ring. */
  readonly #told = new Set<number>();

  constructor(space: MessageSpace, share: MessageShare) {
    this.#space = space;
    this.#share = share;
    this.#loopBells = Array.from({ length: space.slots }, (_, slot) => loopBellOf(space, share.words, slot));
    this.#targets = new Array<Target | undefined>(space.slots).fill(undefined);
  }

  /** Makes the thread of a slot look. */
  ring(slot: number): void {
    this.rings += 1;
    const { doorbell, bell } = this.#targetOf(slot);
    if (!bell.isRung) ringDoorbell(doorbell);
  }

  /** Whether somebody has rung the thread of a slot and it has not looked since: it will, and finds what was published before this call. */
  isRung(slot: number): boolean {
    return this.#targetOf(slot).bell.isRung;
  }

  /** Makes the thread of a slot look, through its ring where both threads have one: that leaves at the end of this turn and costs no system call of its own. */
  tell(slot: number): void {
    const ring = this.teller === undefined ? -1 : this.#space.ringOf(slot);
    const isTold = ring >= 0 && ring !== this.teller?.ringDescriptor && this.teller?.tellRing(ring, slot) === true;
    if (!isTold) return this.ring(slot);
    this.ringMessages += 1;
    this.#told.add(slot);
  }

  /** This thread's driver has ended, perhaps before its last messages to other rings had left: those threads are rung. */
  endTelling(): void {
    this.teller = undefined;
    for (const slot of this.#told) this.ring(slot);
    this.#told.clear();
  }

  /** The doorbell that reaches the thread of a slot now. */
  doorbellOf(slot: number): Doorbell {
    return this.#targetOf(slot).doorbell;
  }

  #targetOf(slot: number): Target {
    const wake = this.#space.wakeOf(slot);
    const known = this.#targets[slot];
    if (known?.wake === wake) return known;
    const doorbell = this.#doorbellFor(slot, wake);
    const target: Target = { wake, doorbell, bell: bellOf(doorbell) };
    this.#targets[slot] = target;
    return target;
  }

  #doorbellFor(slot: number, wake: number): Doorbell {
    const { doorbells, schedulerDoorbells } = this.#share;
    const found =
      wake === WAKE.loop
        ? undefined
        : wake === WAKE.driver
          ? doorbells[slot]
          : schedulerDoorbells[wake - WAKE.scheduler];
    return found ?? this.#loopBells[slot]!;
  }
}

/** The doorbell that the thread of a slot hears in its event loop. */
export function loopBellOf(space: MessageSpace, words: SharedArrayBuffer, slot: number): Doorbell {
  return { kind: "atomics", buffer: words, byteOffset: space.bellOf(slot) * Int32Array.BYTES_PER_ELEMENT };
}

/** Opens the memory on one thread. */
export function viewMessages({ words, shape }: MessageShare): MessageSpace {
  return new MessageSpace(new SharedWords(words), shape);
}
