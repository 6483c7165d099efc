/**
 * The receiving side of one thread: it takes messages out of the lanes only while somebody wants them, a handler or a caller of `nextEvent`. Otherwise they stay where they are, and in the end their senders are refused.
 *
 * Each message is released before it is acted on, so none is acted on twice, whoever dies.
 */
import { AsyncResource } from "node:async_hooks";
import { MESSAGES_PER_TURN_MAX } from "../constants.js";
import { reportError } from "../driver/report-error.js";
import type { RingloomError } from "../errors.js";
import { type MessageInlet, MessageInlets } from "../shared/message-inlet.js";
import type { MessageSpace } from "../shared/message-space.js";
import { Fifo } from "./fifo.js";
import { invalidArgument, messagesClosed, overloaded, waitAborted } from "./message-errors.js";
import type { MessageRinger } from "./message-memory.js";
import { TAG_BITS, TAG_MAX } from "./sending.js";
import type { ValueReader } from "./value-blocks.js";

/**
 * A message from a shard.
 * @experimental
 */
export interface ShardMessage<Value = unknown> {
  /** The number of the shard that has sent it. */
  readonly from: number;
  /** 0 to 65,535: what the sender has called it. */
  readonly tag: number;
  readonly value: Value;
}

/** Somebody who waits for one thing. */
interface Waiter<Item> {
  readonly resolve: (item: Item) => void;
  readonly reject: (error: RingloomError) => void;
}

/** Waits for a signal too; see {@link waitIn}. */
export interface WaitOptions {
  readonly operation: string;
  readonly signal: AbortSignal | undefined;
}

type Handler = (message: ShardMessage) => unknown;

/** Messages in a row from one lane: to look at all the others for each costs more than the message. */
const BURST_MAX = 16;
/** Callers of `nextEvent`, or of one `nextHotCount`, that may wait at once. */
const WAITERS_MAX = 10_000;

/** Receives for one thread. */
export class MessageReceiving {
  received = 0;
  readonly #space: MessageSpace;
  readonly #slot: number;
  readonly #ringer: MessageRinger;
  readonly #reader: ValueReader;
  readonly #waiting = new Fifo<Waiter<ShardMessage>>();
  /** None while another thread has the role. */
  #inlets: MessageInlets | undefined;
  /** The lane that is looked at, and how many messages in a row came from it. */
  #at = 0;
  #inBurst = 0;
  #handler: Handler | undefined;
  /** Messages that callers of `nextEvent` have found there since the event loop last turned. */
  #inARow = 0;
  #isContinuing = false;
  #isClosed = false;

  constructor(space: MessageSpace, slot: number, parts: { ringer: MessageRinger; reader: ValueReader }) {
    this.#space = space;
    this.#slot = slot;
    this.#ringer = parts.ringer;
    this.#reader = parts.reader;
  }

  /** This thread has the role from now on: a lane begins where its last receiver has left it. */
  begin(): void {
    this.#inlets = new MessageInlets(this.#space, this.#space.shardOf(this.#slot));
    this.deliver();
  }

  /** This thread takes nothing any more. Whoever waits is told. */
  end(): void {
    this.#isClosed = true;
    this.#inlets = undefined;
    for (let waiter = this.#waiting.shift(); waiter !== undefined; waiter = this.#waiting.shift()) {
      waiter.reject(messagesClosed("nextEvent"));
    }
  }

  /** Gives messages to whoever wants them: a bounded number, the rest in the next turn. */
  deliver(): void {
    if (this.#isContinuing) return;
    this.#inARow = 0;
    for (let count = 0; this.#isWanted; count++) {
      if (count === MESSAGES_PER_TURN_MAX) return this.#continueLater();
      const message = this.#take();
      if (message === undefined) return;
      this.#hand(message);
    }
  }

  /** The same without a bound for one turn: the thread is about to end, and there is no next one. */
  deliverRest(): void {
    const { slots, shape } = this.#space;
    for (let left = slots * (shape.capacity + shape.hotCapacity); left > 0 && this.#isWanted; left--) {
      const message = this.#take();
      if (message === undefined) return;
      this.#hand(message);
    }
  }

  /** See `shard.nextEvent`. */
  nextEvent(signal: AbortSignal | undefined, operation = "nextEvent"): Promise<ShardMessage> {
    if (this.#handler !== undefined) return Promise.reject(handlerIsSet(operation));
    if (this.#isClosed) return Promise.reject(messagesClosed(operation));
    const message = this.#mayTakeAtOnce(signal) ? this.#take() : undefined;
    if (message === undefined) return waitIn(this.#waiting, { operation, signal });
    this.#count(1);
    return Promise.resolve(message);
  }

  /** See `shard.tryNextEvent`. */
  tryNextEvent(): ShardMessage | undefined {
    if (this.#handler !== undefined) throw handlerIsSet("tryNextEvent");
    if (this.#isClosed) throw messagesClosed("tryNextEvent");
    return this.#waiting.length === 0 ? this.#take() : undefined;
  }

  /** See `shard.nextEvents`. */
  async nextEvents(signal: AbortSignal | undefined, max: number): Promise<ShardMessage[]> {
    checkMax("nextEvents", max);
    const batch: ShardMessage[] = [];
    if (this.#handler === undefined && !this.#isClosed && this.#mayTakeAtOnce(signal)) this.#takeMany(batch, max);
    if (batch.length === 0) {
      batch.push(await this.nextEvent(signal, "nextEvents"));
      // What came with it, unless somebody else is to have that.
      if (this.#waiting.length === 0 && this.#handler === undefined) this.#takeMany(batch, max);
    }
    this.#count(batch.length);
    return batch;
  }

  /** See `shard.tryNextEvents`. */
  tryNextEvents(max: number): ShardMessage[] {
    checkMax("tryNextEvents", max);
    if (this.#handler !== undefined) throw handlerIsSet("tryNextEvents");
    if (this.#isClosed) throw messagesClosed("tryNextEvents");
    const batch: ShardMessage[] = [];
    if (this.#waiting.length === 0) this.#takeMany(batch, max);
    return batch;
  }

  /** See `shard.onMessage`. */
  setHandler(handler: Handler): () => void {
    if (this.#handler !== undefined || this.#waiting.length > 0) throw handlerIsSet("onMessage");
    this.#handler = handler;
    // Not inside of this call: the caller has yet to return.
    this.#continueLater();
    return () => {
      if (this.#handler === handler) this.#handler = undefined;
    };
  }

  /** Who waits already comes first, a signal that has aborted takes no message, and a loop over messages that never ends leaves the event loop its turn. */
  #mayTakeAtOnce(signal: AbortSignal | undefined): boolean {
    return this.#waiting.length === 0 && signal?.aborted !== true && !this.#isContinuing;
  }

  get #isWanted(): boolean {
    return this.#handler !== undefined || this.#waiting.length > 0;
  }

  #continueLater(): void {
    if (this.#isContinuing) return;
    this.#isContinuing = true;
    setImmediate(() => {
      this.#isContinuing = false;
      this.deliver();
    });
  }

  #hand(message: ShardMessage): void {
    const waiter = this.#waiting.shift();
    if (waiter !== undefined) return waiter.resolve(message);
    const handler = this.#handler;
    if (handler === undefined) return;
    try {
      // What a handler enters (`AsyncLocalStorage.enterWith`) is not seen by the next one.
      new AsyncResource("RINGLOOM_MESSAGE").runInAsyncScope(() => handler(message));
    } catch (error) {
      reportError(error);
    }
  }

  /** A loop over messages that never ends leaves the event loop its turn. */
  #count(messages: number): void {
    this.#inARow += messages;
    if (this.#inARow >= MESSAGES_PER_TURN_MAX) this.#continueLater();
  }

  /** The next message of the lanes in turn, a few of each. Undefined says that all were seen empty, so that the next message of each rings. */
  #take(): ShardMessage | undefined {
    for (let inlet = this.#nextInlet(); inlet !== undefined; inlet = this.#nextInlet()) {
      const message = this.#read(inlet);
      this.#release(inlet);
      if (message !== undefined) return message;
    }
    return undefined;
  }

  /** The same for as many as there are, until the batch has `max`. The cells of each burst are given back together. */
  #takeMany(batch: ShardMessage[], max: number): void {
    while (batch.length < max) {
      const inlet = this.#nextInlet();
      if (inlet === undefined) return;
      let left = Math.min(BURST_MAX - this.#inBurst, max - batch.length - 1);
      this.#inBurst += left;
      do {
        const message = this.#read(inlet);
        if (message !== undefined) batch.push(message);
      } while (left-- > 0 && inlet.lane.next());
      this.#release(inlet);
    }
  }

  /** Looks for the next message, and says in which lane it is. Undefined when all were seen empty. */
  #nextInlet(): MessageInlet | undefined {
    const inlets = this.#inlets;
    if (inlets === undefined) return undefined;
    const { opened } = inlets;
    let left = opened.length;
    do {
      const inlet = opened[this.#at];
      if (inlet !== undefined && this.#hasNext(inlet)) return inlet;
      // One that was left because it had given enough is looked at once more.
      if (this.#inBurst < BURST_MAX) left -= 1;
      this.#inBurst = 0;
      this.#at += 1;
      if (this.#at < opened.length) continue;
      this.#at = 0;
      if (inlets.open()) left = opened.length;
    } while (left > 0);
    return undefined;
  }

  #hasNext({ lane }: MessageInlet): boolean {
    if (this.#inBurst === BURST_MAX || !lane.next()) return false;
    this.#inBurst += 1;
    return true;
  }

  /** The message that was taken, or undefined when it cannot be read. */
  #read({ slot, from, lane: { first, second } }: MessageInlet): ShardMessage | undefined {
    try {
      const value = this.#reader.read(slot, first >>> TAG_BITS, second);
      this.received += 1;
      return { from, tag: first & TAG_MAX, value };
    } catch (error) {
      reportError(error);
      return undefined;
    }
  }

  #release(inlet: MessageInlet): void {
    if (inlet.release()) this.#ringer.ring(inlet.slot);
  }
}

/** Waits in a queue, until it is served or the signal aborts. */
export function waitIn<Item>(queue: Fifo<Waiter<Item>>, { operation, signal }: WaitOptions): Promise<Item> {
  return new Promise<Item>((resolve, reject) => {
    if (signal?.aborted === true) return reject(waitAborted(operation, signal.reason));
    if (queue.length >= WAITERS_MAX) {
      return reject(overloaded(operation, `${WAITERS_MAX} callers wait`, { waitersMax: WAITERS_MAX }));
    }
    const onAbort = (): void => {
      queue.remove(waiter);
      reject(waitAborted(operation, signal?.reason));
    };
    const waiter: Waiter<Item> = {
      resolve(item) {
        signal?.removeEventListener("abort", onAbort);
        resolve(item);
      },
      reject(error) {
        signal?.removeEventListener("abort", onAbort);
        reject(error);
      },
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    queue.push(waiter);
  });
}

function checkMax(operation: string, max: number): void {
  if (Number.isInteger(max) && max >= 1) return;
  throw invalidArgument(operation, `max is ${max}, no whole number from 1`, { max });
}

function handlerIsSet(operation: string): RingloomError {
  return invalidArgument(
    operation,
    "a handler takes the messages of this shard, or somebody waits for the next one",
    {},
  );
}
