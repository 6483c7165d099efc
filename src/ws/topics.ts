/**
 * Topics of an app on one shard: who is subscribed to what, and how a published message reaches them and the other shards.
 *
 * A message is encoded once, as the frame that every subscriber gets. That frame goes to the subscribers of this shard, and in one record of the shard's log (`TopicExchange`) to all
 * others, which hand it to theirs. So what one shard publishes arrives in that order everywhere.
 */
import { Buffer } from "node:buffer";
import { RingloomError } from "../errors.js";
import { headerBytes, OPCODE_BINARY, OPCODE_TEXT, writeHeader } from "./frame.js";
import { PublishedFrame } from "./published-frame.js";
import type { PublishStatus, WebSocketMessage } from "./web-socket.js";

/** Bytes of a topic's name, in UTF-8, at most. */
export const TOPIC_BYTES_MAX = 256;
/** Bytes of a published message, at most, where no shared memory says less. */
const PUBLISH_BYTES_MAX = 1024 * 1024;
const LENGTH_BYTES = 2;
/** What may be shorter or longer in UTF-8 than in code units, by this much at most. */
const UTF8_BYTES_PER_UNIT = 3;

/** Who is subscribed. */
export interface Subscriber {
  /** Sends a whole frame. What to do when there is no room is its own affair. */
  deliver(frame: PublishedFrame): void;
  /** Messages that others have published are missing on this shard. */
  missed(): void;
}

/** The way to the topics of other shards; see `ShardBroadcasts`. */
export interface TopicExchange {
  /** Bytes of a record, at most. */
  readonly bytesMax: number;
  readonly hasListeners: boolean;
  /** False when there is no room: nobody gets the record. */
  publish(parts: readonly Uint8Array[]): boolean;
  listen(listener: { record(bytes: Uint8Array): void; missed(): void } | undefined): void;
}

/** What topics count; see `WebSocketStats`. */
export interface TopicCounts {
  published: number;
  publishesDropped: number;
  /** Published on other shards, and come here. */
  arrived: number;
  missed: number;
  subscriptionsNow: number;
}

/** The topics of one app. Those of apps that are routed into each other are one and the same. */
export class Topics {
  #space = new TopicSpace(this);

  /** From now on the topics of both are the same. */
  unite(other: Topics): void {
    const theirs = other.#space;
    if (theirs === this.#space) return;
    this.#space.take(theirs);
    for (const topics of theirs.users) {
      topics.#space = this.#space;
      this.#space.users.push(topics);
    }
  }

  get counts(): Readonly<TopicCounts> {
    return this.#space.counts;
  }

  /** The way to other shards. */
  connect(exchange: TopicExchange): void {
    this.#space.connect(exchange);
  }

  subscribe(name: string, subscriber: Subscriber): void {
    this.#space.subscribe(name, subscriber);
  }

  unsubscribe(name: string, subscriber: Subscriber): void {
    this.#space.unsubscribe(name, subscriber);
  }

  /** Sends a message to all subscribers but `except`. Throws as `App.publish` does. */
  publish(name: string, message: WebSocketMessage, except?: Subscriber): PublishStatus {
    return this.#space.publish(name, message, except);
  }

  /** Subscribers on this shard. */
  subscriberCount(name: string): number {
    checkTopic("count the subscribers", name);
    return this.#space.subscriberCount(name);
  }
}

class TopicSpace {
  readonly users: Topics[];
  readonly counts: TopicCounts = { published: 0, publishesDropped: 0, arrived: 0, missed: 0, subscriptionsNow: 0 };
  readonly #subscribers = new Map<string, Set<Subscriber>>();
  #exchange: TopicExchange | undefined;

  constructor(user: Topics) {
    this.users = [user];
  }

  connect(exchange: TopicExchange): void {
    this.#exchange = exchange;
    if (this.counts.subscriptionsNow > 0) exchange.listen(this);
  }

  /** Takes over what another one has, for good. */
  take(other: TopicSpace): void {
    const exchange = other.#exchange;
    other.#exchange = undefined;
    for (const [name, subscribers] of other.#subscribers) for (const one of subscribers) this.subscribe(name, one);
    for (const [key, value] of Object.entries(other.counts)) {
      if (key !== "subscriptionsNow") this.counts[key as keyof TopicCounts] += value;
    }
    if (exchange !== undefined) this.connect(exchange);
  }

  subscribe(name: string, subscriber: Subscriber): void {
    let subscribers = this.#subscribers.get(name);
    if (subscribers === undefined) {
      subscribers = new Set();
      this.#subscribers.set(name, subscribers);
    }
    const before = subscribers.size;
    subscribers.add(subscriber);
    if (subscribers.size === before) return;
    this.counts.subscriptionsNow += 1;
    // A shard without subscribers hears nothing, so that what others publish costs it nothing.
    if (this.counts.subscriptionsNow === 1) this.#exchange?.listen(this);
  }

  unsubscribe(name: string, subscriber: Subscriber): void {
    const subscribers = this.#subscribers.get(name);
    if (subscribers?.delete(subscriber) !== true) return;
    if (subscribers.size === 0) this.#subscribers.delete(name);
    this.counts.subscriptionsNow -= 1;
    if (this.counts.subscriptionsNow === 0) this.#exchange?.listen(undefined);
  }

  subscriberCount(name: string): number {
    return this.#subscribers.get(name)?.size ?? 0;
  }

  publish(name: string, message: WebSocketMessage, except: Subscriber | undefined): PublishStatus {
    checkTopic("publish", name);
    const frame = encodeFrame(message);
    this.#checkSize(name, frame.length);
    if (this.#exchange?.hasListeners === true && !this.#exchange.publish(recordOf(name, frame))) {
      this.counts.publishesDropped += 1;
      return "dropped";
    }
    this.counts.published += 1;
    this.#fanOut(name, frame, except);
    return "sent";
  }

  /** The same bound with and without other shards, and whether they listen or not: a program must not find it in production. */
  #checkSize(name: string, frameBytes: number): void {
    const exchangeMax = this.#exchange?.bytesMax ?? Number.POSITIVE_INFINITY;
    const bytesMax = Math.min(PUBLISH_BYTES_MAX, exchangeMax) - LENGTH_BYTES - TOPIC_BYTES_MAX;
    if (frameBytes <= bytesMax) return;
    throw new RingloomError(
      "ERR_RINGLOOM_TOO_LARGE",
      `Cannot publish to ${JSON.stringify(name)}: the message has ${frameBytes} bytes with its header, and ${bytesMax} are allowed`,
      { operation: "publish", details: { topic: name, bytes: frameBytes, bytesMax } },
    );
  }

  #fanOut(name: string, bytes: Uint8Array, except: Subscriber | undefined): void {
    const subscribers = this.#subscribers.get(name);
    if (subscribers === undefined) return;
    const frame = new PublishedFrame(bytes);
    try {
      for (const one of subscribers) if (one !== except) one.deliver(frame);
    } finally {
      // Its blocks of the write pool are lost otherwise.
      frame.release();
    }
  }

  /** Another shard has published. */
  record(bytes: Uint8Array): void {
    this.counts.arrived += 1;
    const record = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const nameEnd = LENGTH_BYTES + record.readUInt16LE(0);
    this.#fanOut(record.utf8Slice(LENGTH_BYTES, nameEnd), record.subarray(nameEnd), undefined);
  }

  /** This shard was busy for so long that what others have published went by. */
  missed(): void {
    this.counts.missed += 1;
    const everybody = new Set<Subscriber>();
    for (const subscribers of this.#subscribers.values()) for (const one of subscribers) everybody.add(one);
    for (const one of everybody) one.missed();
  }
}

/** Throws TypeError for a name that no topic can have: the empty string, over 256 bytes, and halves of surrogate pairs, which would be another name on another shard. */
export function checkTopic(operation: string, name: unknown): asserts name is string {
  if (typeof name !== "string" || name === "")
    throw new TypeError(`Cannot ${operation}: a topic is a string that is not empty`);
  if (name.length * UTF8_BYTES_PER_UNIT > TOPIC_BYTES_MAX && Buffer.byteLength(name) > TOPIC_BYTES_MAX)
    throw new TypeError(`Cannot ${operation}: the name of a topic has ${TOPIC_BYTES_MAX} bytes at most`);
  if (HALF_A_PAIR.test(name)) throw new TypeError(`Cannot ${operation}: the name of a topic has half a surrogate pair`);
}

const HALF_A_PAIR = /\p{Surrogate}/u;

/** The frame of a message, as a server sends it. Throws TypeError for what is no message. */
function encodeFrame(message: WebSocketMessage): Buffer {
  if (typeof message !== "string" && !(message instanceof Uint8Array))
    throw new TypeError("Cannot publish: a message is a string or a Uint8Array");
  const isText = typeof message === "string";
  const length = isText ? Buffer.byteLength(message) : message.length;
  const header = headerBytes(length);
  const frame = Buffer.allocUnsafe(header + length);
  writeHeader(frame, 0, isText ? OPCODE_TEXT : OPCODE_BINARY, length);
  if (isText) frame.write(message, header);
  else frame.set(message, header);
  return frame;
}

/** What other shards get: how long the name is, the name, and the frame. */
function recordOf(name: string, frame: Uint8Array): readonly Uint8Array[] {
  const head = Buffer.allocUnsafe(LENGTH_BYTES + Buffer.byteLength(name));
  head.writeUInt16LE(head.length - LENGTH_BYTES, 0);
  head.write(name, LENGTH_BYTES);
  return [head, frame];
}
