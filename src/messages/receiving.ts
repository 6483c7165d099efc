/**
 * The receiving side of one thread: it takes messages out of the lanes only while somebody wants them, a handler or a caller of `nextEvent`. Otherwise they stay where they are, and in the end their senders are refused.
 *
 * Each message is released before it is acted on, so none is acted on twice, whoever dies.
 */
import { AsyncResource } from "node:async_hooks";
import { MESSAGES_PER_TURN_MAX } from "../constants.js";
import { reportError } from "../driver/report-error.js";
import type { RingloomError } from "../errors.js";
import { LaneReceiver } from "../shared/lane.js";
import type { LaneKind, MessageSpace, Wanted } from "../shared/message-space.js";
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
  /** By slot of the sender, and behind those the hot ones as soon as there are any; none while another thread has the role. */
  #lanes: LaneReceiver[] = [];
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
    this.#lanes = this.#openLanes("usual");
    this.deliver();
  }

  #openLanes(kind: LaneKind): LaneReceiver[] {
    const shard = this.#space.shardOf(this.#slot);
    return Array.from(
      { length: this.#space.slots },
      (_, sender) => new LaneReceiver(this.#space.words, this.#space.lane(sender, shard, kind)),
    );
  }

  /** This thread takes nothing any more. Whoever waits is told. */
  end(): void {
    this.#isClosed = true;
    this.#lanes = [];
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
  nextEvent(signal: AbortSignal | undefined): Promise<ShardMessage> {
    if (this.#handler !== undefined) return Promise.reject(handlerIsSet("nextEvent"));
    if (this.#isClosed) return Promise.reject(messagesClosed("nextEvent"));
    const message = this.#mayTakeAtOnce(signal) ? this.#take() : undefined;
    if (message !== undefined && ++this.#inARow === MESSAGES_PER_TURN_MAX) this.#continueLater();
    return message === undefined ? waitIn(this.#waiting, { operation: "nextEvent", signal }) : Promise.resolve(message);
  }

  /** See `shard.tryNextEvent`. */
  tryNextEvent(): ShardMessage | undefined {
    if (this.#handler !== undefined) throw handlerIsSet("tryNextEvent");
    if (this.#isClosed) throw messagesClosed("tryNextEvent");
    return this.#waiting.length === 0 ? this.#take() : undefined;
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

  /** The next message of the lanes in turn, a few of each. Undefined says that all were seen empty, so that the next message of each rings. */
  #take(): ShardMessage | undefined {
    // One more than there are: the first is seen at its end too, if it was left because it had given enough.
    for (let left = this.#lanes.length + 1; left > 0; left--) {
      const lane = this.#lanes[this.#at];
      while (lane !== undefined && this.#inBurst < BURST_MAX && lane.next()) {
        this.#inBurst += 1;
        const message = this.#release(lane, this.#at);
        if (message !== undefined) return message;
        left = this.#lanes.length + 1;
      }
      if (this.#turn()) left = this.#lanes.length + 1;
    }
    return undefined;
  }

  /** Goes on to the next lane. True when there are more lanes than before. */
  #turn(): boolean {
    this.#inBurst = 0;
    this.#at += 1;
    if (this.#at < this.#lanes.length) return false;
    this.#at = 0;
    const isOpen = this.#lanes.length !== this.#space.slots;
    if (isOpen || !this.#space.usesHot(this.#space.shardOf(this.#slot))) return false;
    this.#lanes.push(...this.#openLanes("hot"));
    return true;
  }

  /** Gives back the cell of the message that was taken from a lane; undefined when that cannot be read. */
  #release(lane: LaneReceiver, index: number): ShardMessage | undefined {
    const { slots } = this.#space;
    const kind = index < slots ? "usual" : "hot";
    const sender = index < slots ? index : index - slots;
    const message = this.#read(sender, lane);
    lane.release();
    const taken: Wanted = { position: lane.position, kind };
    if (this.#space.wantsBefore(sender, this.#space.shardOf(this.#slot), taken)) this.#ringer.ring(sender);
    if (message !== undefined) this.received += 1;
    return message;
  }

  #read(sender: number, { first, second }: LaneReceiver): ShardMessage | undefined {
    try {
      const value = this.#reader.read(sender, first >>> TAG_BITS, second);
      return { from: this.#space.shardOf(sender), tag: first & TAG_MAX, value };
    } catch (error) {
      reportError(error);
      return undefined;
    }
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

function handlerIsSet(operation: string): RingloomError {
  return invalidArgument(
    operation,
    "a handler takes the messages of this shard, or somebody waits for the next one",
    {},
  );
}
