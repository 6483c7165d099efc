/**
 * The sending side of one thread: a lane to each shard, the tickets of messages that are not taken yet, the blocks of their values, and hot counters.
 *
 * A message is published before `send` returns; what is sent together is published together. The first word of a message is `tag | form << 16`, the second a number, or the block of a value.
 */
import type { RingloomError } from "../errors.js";
import { HotCounterSender } from "../shared/hot-counter.js";
import { SUM_MAX } from "../shared/lane.js";
import { MessageLine } from "../shared/message-line.js";
import { CLOSED, HOT_TAGS, type LaneKind, type MessageSpace } from "../shared/message-space.js";
import { Fifo } from "./fifo.js";
import { invalidArgument, messagesClosed, overloaded, receiverClosed, receiverLost } from "./message-errors.js";
import type { MessageAssignment, MessageRinger } from "./message-memory.js";
import { isInBlock, NO_BLOCK, VALUE_FORM, ValueBlocks, type ValueForm } from "./value-blocks.js";

/** The largest tag. */
export const TAG_MAX = 0xffff;
/** Bits of a tag in a message's first word; the form of the value stands above them. */
export const TAG_BITS = 16;
/** How long to wait before what a full counter had no room for is tried again, in milliseconds. */
const RETRY_MS = 1;
/** What a hot counter may hold back. */
const OWED_MAX = 2 ** 52;
/** Flushes that may wait at once. */
const FLUSHES_MAX = 1_024;

/** What one thread's sending has come to. */
export interface SendingCounts {
  sent: number;
  /** Messages whose ticket was rejected. */
  failed: number;
  /** Messages that found no room. */
  backpressured: number;
  /** Additions to hot counters. */
  hotAdded: number;
  /** Values that the compact codec does not carry. */
  cloned: number;
  /** Messages that went by a hot lane. */
  hotSent: number;
  /** Messages that were to be told by the receiver's ring. */
  direct: number;
}

interface Ticket {
  /** The number of its message in the lane. */
  readonly position: number;
  /** Messages that it stands for. */
  readonly count: number;
  readonly resolve: () => void;
  readonly reject: (error: RingloomError) => void;
}

interface LentBlock {
  readonly position: number;
  readonly unit: number;
}

/** What goes to one shard by one lane. */
export interface Outlet {
  readonly shard: number;
  readonly kind: LaneKind;
  readonly line: MessageLine;
  readonly tickets: Fifo<Ticket>;
  readonly blocks: Fifo<LentBlock>;
  readonly counters: Map<number, HotCounterSender>;
  /** Whether messages were dropped since the last flush. */
  hasDropped: boolean;
}

/**
 * How a message travels.
 * @experimental
 */
export interface SendOptions {
  /**
   * By the hot lane, which has room of its own: a flood of hot messages never takes the room of the others, nor holds them up. Order is kept among the hot ones, and among the others.
   * Default false.
   */
  readonly hot?: boolean;
  /**
   * Wakes the receiver by one message from this thread's io_uring to its own (IORING_OP_MSG_RING), at the end of this turn and without a system call of its own; by its doorbell where either has no
   * ring. For a receiver that is likely to sleep. Default false.
   */
  readonly direct?: boolean;
}

const USUAL: SendOptions = {};

/** A tag and a value. */
export type Message = readonly [tag: number, value?: unknown];

/** Several of them. */
export type Messages = Iterable<Message>;

/** Sends for one thread. */
export class MessageSending {
  readonly counts: SendingCounts = {
    sent: 0,
    failed: 0,
    backpressured: 0,
    hotAdded: 0,
    cloned: 0,
    hotSent: 0,
    direct: 0,
  };
  readonly #space: MessageSpace;
  readonly #assignment: MessageAssignment;
  readonly #ringer: MessageRinger;
  /** By shard, and behind those the hot ones. */
  readonly #outlets: (Outlet | undefined)[];
  /** The second word of the message whose first one {@link MessageSending.#wordsFor} has given. */
  #second = 0;
  /** Room for the words of messages that are sent together. */
  #gathered: Int32Array | undefined;
  #blocks: ValueBlocks | undefined;
  #isHotFlushDue = false;
  /** The last flush that waits, and what had been sent when it began. */
  #lastFlush: { readonly sent: number; readonly done: Promise<void> } | undefined;
  #flushes = 0;
  #isClosed = false;

  constructor(space: MessageSpace, assignment: MessageAssignment, ringer: MessageRinger) {
    this.#space = space;
    this.#assignment = assignment;
    this.#ringer = ringer;
    this.#outlets = new Array<Outlet | undefined>(2 * space.shape.shards).fill(undefined);
  }

  /** Sends one message, or throws. Returns where it went. */
  sendNoWait(to: number, tag: number, value: unknown, options: SendOptions = USUAL): Outlet {
    const outlet = this.#outletFor(to, "send", options.hot === true ? "hot" : "usual");
    const first = this.#wordsFor(tag, value);
    // Behind the value, whose getters may send messages too.
    if (outlet.line.lane.roomFor(1) === 0) {
      this.#putBack(first, this.#second);
      throw this.#isFull(outlet, 1);
    }
    this.#push(outlet, first, this.#second);
    this.#publish(outlet, 1, options);
    return outlet;
  }

  /** The same; the promise resolves when the shard has taken it. Throws what is wrong at once. */
  send(to: number, tag: number, value: unknown, options?: SendOptions): Promise<void> {
    return this.#ticket(this.sendNoWait(to, tag, value, options), 1);
  }

  /** Sends messages, all or none of them, or throws. Gives their number. */
  sendManyNoWait(to: number, messages: Messages, options: SendOptions = USUAL): number {
    return this.#sendAll(this.#outletFor(to, "send", options.hot === true ? "hot" : "usual"), messages, options);
  }

  /** The same; the promise resolves when the shard has taken all of them. Throws what is wrong at once. */
  sendMany(to: number, messages: Messages, options: SendOptions = USUAL): Promise<void> {
    const outlet = this.#outletFor(to, "send", options.hot === true ? "hot" : "usual");
    const count = this.#sendAll(outlet, messages, options);
    return count === 0 ? Promise.resolve() : this.#ticket(outlet, count);
  }

  /**
   * Resolves when all shards have taken what was sent to them so far. Rejects also when one has died since the last time, with messages that it had not taken.
   * Where nothing was sent since a flush that still waits, it is the same one.
   */
  flush(): Promise<void> {
    if (this.#isClosed) return Promise.reject(messagesClosed("flush"));
    this.#flushHot();
    const { sent } = this.counts;
    if (this.#lastFlush?.sent === sent) return this.#lastFlush.done;
    if (this.#flushes >= FLUSHES_MAX) {
      return Promise.reject(overloaded("flush", `${FLUSHES_MAX} flushes wait`, { flushesMax: FLUSHES_MAX }));
    }
    const flush = { sent, done: this.#flush() };
    const over = (): void => {
      this.#flushes -= 1;
      if (this.#lastFlush === flush) this.#lastFlush = undefined;
    };
    this.#flushes += 1;
    this.#lastFlush = flush;
    flush.done.then(over, over);
    return flush.done;
  }

  async #flush(): Promise<void> {
    const outlets = this.#outlets.filter((outlet) => outlet !== undefined);
    try {
      await Promise.all(outlets.map((outlet) => this.#ticket(outlet, 0)));
      const lost = outlets.find(({ hasDropped }) => hasDropped);
      if (lost !== undefined) throw receiverLost(lost.shard);
    } finally {
      for (const outlet of outlets) outlet.hasDropped = false;
    }
  }

  /** Adds to a hot counter of a shard. */
  addHot(to: number, tag: number, amount: number): void {
    const outlet = this.#outletFor(to, "addHot", "usual");
    checkHotTag("addHot", tag);
    if (!Number.isInteger(amount) || amount < 0 || amount > SUM_MAX) {
      throw invalidArgument("addHot", `the amount is ${amount}, no whole number from 0 to ${SUM_MAX}`, { amount });
    }
    const counter = outlet.counters.get(tag) ?? this.#openCounter(outlet, tag);
    if (counter.owed > OWED_MAX) {
      this.counts.backpressured += 1;
      throw overloaded("addHot", `shard ${to} takes too little from counter ${tag}`, { shard: to, tag });
    }
    this.counts.hotAdded += 1;
    if (counter.add(amount)) this.#turnedHot(outlet, tag);
    if (counter.owed === 0 || this.#isHotFlushDue) return;
    this.#isHotFlushDue = true;
    queueMicrotask(() => this.#flushHot());
  }

  /** Somebody has rung: settles what was taken, dropped or closed. */
  look(): void {
    for (const outlet of this.#outlets) {
      if (outlet !== undefined && outlet.tickets.length > 0) this.#settle(outlet);
    }
  }

  /** Sends no more; whoever still waits is told. */
  close(): void {
    this.#flushHot();
    this.#isClosed = true;
    for (const outlet of this.#outlets) {
      if (outlet === undefined) continue;
      this.#settle(outlet);
      this.#rejectAll(outlet, messagesClosed("send"));
    }
  }

  #outletFor(to: number, operation: string, kind: LaneKind): Outlet {
    const { shards } = this.#space.shape;
    if (!Number.isInteger(to) || to < 0 || to >= shards) {
      throw invalidArgument(operation, `there is no shard ${to} of ${shards}`, { shard: to, shards });
    }
    if (this.#isClosed) throw messagesClosed(operation);
    if (this.#space.receiverOf(to) === CLOSED) throw receiverClosed(to);
    return this.#outlets[this.#indexOf(to, kind)] ?? this.#open(to, kind);
  }

  #indexOf(shard: number, kind: LaneKind): number {
    return kind === "usual" ? shard : this.#space.shape.shards + shard;
  }

  #open(shard: number, kind: LaneKind): Outlet {
    // Before anything is published there.
    this.#space.use(this.#assignment.slot, shard, kind);
    const line = new MessageLine(this.#space, this.#assignment.slot, { shard, kind });
    const outlet: Outlet = {
      shard,
      kind,
      line,
      tickets: new Fifo(),
      blocks: new Fifo(),
      counters: new Map(),
      hasDropped: false,
    };
    this.#outlets[this.#indexOf(shard, kind)] = outlet;
    return outlet;
  }

  #openCounter(outlet: Outlet, tag: number): HotCounterSender {
    const index = this.#space.counterWord(this.#assignment.slot, outlet.shard, tag);
    const counter = new HotCounterSender(this.#space.words, index, this.#assignment.hotThreshold);
    outlet.counters.set(tag, counter);
    return counter;
  }

  /** Gives the first word of a message, and leaves its second one in {@link MessageSending.#second}. */
  #wordsFor(tag: number, value: unknown): number {
    if (!Number.isInteger(tag) || tag < 0 || tag > TAG_MAX) {
      throw invalidArgument("send", `the tag is ${tag}, no whole number from 0 to ${TAG_MAX}`, { tag });
    }
    if (typeof value === "number" && value >>> 0 === value && !Object.is(value, -0)) {
      this.#second = value | 0;
      return tag | (VALUE_FORM.number << TAG_BITS);
    }
    if (value !== undefined) return tag | (this.#putInBlock(value) << TAG_BITS);
    this.#second = 0;
    return tag | (VALUE_FORM.nothing << TAG_BITS);
  }

  /** Gives the form in which the value is in its block, which becomes the second word. */
  #putInBlock(value: unknown): ValueForm {
    this.#blocks ??= this.#openBlocks();
    const { form, bytes } = this.#blocks.encode(value);
    let unit = this.#blocks.take(bytes);
    if (unit === NO_BLOCK) {
      for (const outlet of this.#outlets) if (outlet !== undefined) this.#settle(outlet);
      unit = this.#blocks.take(bytes);
    }
    if (unit === NO_BLOCK) {
      this.counts.backpressured += 1;
      throw overloaded("send", "the memory for values is used up by messages that are not taken", {
        bytes: bytes.length,
      });
    }
    if (form === VALUE_FORM.cloned) this.counts.cloned += 1;
    this.#second = unit;
    return form;
  }

  /** Blocks that a former thread of this slot has sent are not ours to give out before they are read. */
  #openBlocks(): ValueBlocks {
    const blocks = new ValueBlocks(this.#space, this.#assignment.words, this.#assignment.slot);
    for (let shard = 0; shard < this.#space.shape.shards; shard++) {
      for (const kind of ["usual", "hot"] as const) {
        if (this.#space.uses(this.#assignment.slot, shard, kind)) this.#markTaken(blocks, shard, kind);
      }
    }
    return blocks;
  }

  #markTaken(blocks: ValueBlocks, shard: number, kind: LaneKind): void {
    const outlet = this.#outlets[this.#indexOf(shard, kind)] ?? this.#open(shard, kind);
    outlet.line.lane.visitUnreleased((position, first, unit) => {
      if (!isInBlock(first >>> TAG_BITS)) return;
      blocks.markTaken(unit);
      outlet.blocks.push({ position, unit });
    });
  }

  /** All of them or none. The words are gathered first, since what iterates, or a getter, may send messages itself. */
  #sendAll(outlet: Outlet, messages: Messages, options: SendOptions): number {
    // Those may find it taken.
    const words = this.#gathered ?? new Int32Array(2 * this.#space.shape.capacity);
    this.#gathered = undefined;
    try {
      const count = this.#gather(outlet, messages, words);
      this.#lend(outlet, words, count);
      // There is room: it was looked for.
      outlet.line.lane.pushMany(words, count);
      this.counts.sent += count;
      this.#publish(outlet, count, options);
      return count;
    } finally {
      this.#gathered = words;
    }
  }

  /** The words of messages for which there is room; how many there are. */
  #gather(outlet: Outlet, messages: Messages, words: Int32Array): number {
    const { lane } = outlet.line;
    let count = 0;
    try {
      let room = lane.roomFor(1);
      for (const message of messages) {
        // What iterates may have no end, and what does not fit is refused all the same.
        if (count >= room) room = lane.roomFor(count + 1);
        if (count >= room) throw this.#isFull(outlet, count + 1);
        words[2 * count] = this.#wordsFor(message[0], message[1]);
        words[2 * count + 1] = this.#second;
        count += 1;
      }
      if (lane.roomFor(count) < count) throw this.#isFull(outlet, count);
      return count;
    } catch (error) {
      for (let index = 0; index < count; index++) this.#putBack(words[2 * index]!, words[2 * index + 1]!);
      throw error;
    }
  }

  /** Notes the blocks of messages that are about to be pushed. */
  #lend({ line, blocks }: Outlet, words: Int32Array, count: number): void {
    for (let index = 0; index < count; index++) {
      if (!isInBlock(words[2 * index]! >>> TAG_BITS)) continue;
      blocks.push({ position: (line.lane.position + index) | 0, unit: words[2 * index + 1]! });
    }
  }

  #putBack(first: number, second: number): void {
    if (isInBlock(first >>> TAG_BITS)) this.#blocks?.putBack(second);
  }

  /** A promise for the newest message, which stands for `count` of them. */
  #ticket(outlet: Outlet, count: number): Promise<void> {
    const ticket = new Promise<void>((resolve, reject) => {
      const position = (outlet.line.lane.position - 1) | 0;
      outlet.tickets.push({ position, count, resolve, reject });
      this.#settle(outlet);
    });
    // Whoever does not wait for a ticket does not want to know; it is counted.
    ticket.catch(() => undefined);
    return ticket;
  }

  #push({ line, blocks }: Outlet, first: number, second: number): void {
    if (isInBlock(first >>> TAG_BITS)) blocks.push({ position: line.lane.position, unit: second });
    // There is room: it was looked for.
    line.lane.push(first, second);
    this.counts.sent += 1;
  }

  #publish({ line, shard, kind }: Outlet, count: number, { direct = false }: SendOptions): void {
    if (kind === "hot") this.counts.hotSent += count;
    const receiver = line.publish();
    if (!direct) {
      // In this order: between two busy threads the doorbell is rung, and the lane's other end stays in the receiver's cache.
      if (receiver >= 0 && !this.#ringer.isRung(receiver) && line.hadTakenAll()) this.#ringer.ring(receiver);
      return;
    }
    this.counts.direct += count;
    // Also when the lane was not empty: whoever was to tell the receiver of what is in front may do so later.
    const told = this.#space.receiverOf(shard);
    if (told >= 0) this.#ringer.tell(told);
  }

  #isFull({ shard, kind }: Outlet, count: number): RingloomError {
    this.counts.backpressured += count;
    const { capacity } = this.#space.shape;
    const lane = kind === "hot" ? "hot lane" : "lane";
    return overloaded("send", `the ${lane} to shard ${shard} holds ${capacity} messages, and has no room`, {
      shard,
      messagesMax: capacity,
      count,
    });
  }

  /** Settles the tickets whose messages have met their fate. */
  #settle(outlet: Outlet): void {
    const { line, tickets, shard } = outlet;
    for (;;) {
      this.#collect(outlet);
      for (let ticket = tickets.first; ticket !== undefined; ticket = tickets.first) {
        const fate = line.fateOf(ticket.position);
        if (fate === "waiting") break;
        tickets.shift();
        if (fate === "taken") ticket.resolve();
        else this.#reject(ticket, fate === "dropped" ? receiverLost(shard) : receiverClosed(shard));
      }
      const next = tickets.first?.position;
      if (next === undefined || next === line.wanted) return line.setWanted(next);
      // Whoever releases that one from now on rings; so the lane is looked at once more.
      line.setWanted(next);
    }
  }

  /** Looks what was taken, and takes back the blocks of values that were read. */
  #collect(outlet: Outlet): void {
    const { line, blocks } = outlet;
    line.look();
    outlet.hasDropped ||= line.hasDropped;
    for (let block = blocks.first; block !== undefined; block = blocks.first) {
      if (!line.lane.hasTaken(block.position)) return;
      blocks.shift();
      this.#blocks?.putBack(block.unit);
    }
  }

  #rejectAll({ tickets }: Outlet, error: RingloomError): void {
    for (let ticket = tickets.shift(); ticket !== undefined; ticket = tickets.shift()) {
      this.#reject(ticket, error);
    }
  }

  #reject(ticket: Ticket, error: RingloomError): void {
    this.counts.failed += ticket.count;
    ticket.reject(error);
  }

  #flushHot(): void {
    this.#isHotFlushDue = false;
    let isOwed = false;
    for (const outlet of this.#outlets) {
      if (outlet === undefined) continue;
      for (const [tag, counter] of outlet.counters) {
        if (counter.flush()) this.#turnedHot(outlet, tag);
        isOwed ||= counter.owed > 0;
      }
    }
    if (!isOwed || this.#isClosed) return;
    this.#isHotFlushDue = true;
    setTimeout(() => this.#flushHot(), RETRY_MS).unref();
  }

  /** The counter's bit comes behind its amount, and the ring behind both. */
  #turnedHot({ shard }: Outlet, tag: number): void {
    this.#space.markHot(this.#assignment.slot, shard, tag);
    const receiver = this.#space.receiverOf(shard);
    if (receiver >= 0) this.#ringer.ring(receiver);
  }
}

/** @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` for a tag that has no counter. */
export function checkHotTag(operation: string, tag: number): void {
  if (Number.isInteger(tag) && tag >= 0 && tag < HOT_TAGS) return;
  throw invalidArgument(operation, `the hot tag is ${tag}, no whole number from 0 to ${HOT_TAGS - 1}`, { tag });
}
