/**
 * The sending side of one thread: a lane to each shard, the tickets of messages that are not taken yet, the blocks of their values, and hot counters.
 *
 * A message is published before `send` returns; what is sent together is published together. The first word of a message is `tag | form << 16`, the second a number, or the block of a value.
 */
import type { RingloomError } from "../errors.js";
import { HotCounterSender } from "../shared/hot-counter.js";
import { LaneSender, SUM_MAX } from "../shared/lane.js";
import { CLOSED, HOT_TAGS, type MessageSpace } from "../shared/message-space.js";
import { Fifo } from "./fifo.js";
import { invalidArgument, messagesClosed, overloaded, receiverClosed, receiverLost } from "./message-errors.js";
import type { MessageAssignment, MessageRinger } from "./message-memory.js";
import { NO_BLOCK, VALUE_FORM, ValueBlocks } from "./value-blocks.js";

/** The largest tag. */
export const TAG_MAX = 0xffff;
/** Bits of a tag in a message's first word; the form of the value stands above them. */
export const TAG_BITS = 16;
/** How long to wait before what a full counter had no room for is tried again, in milliseconds. */
const RETRY_MS = 1;
/** What a hot counter may hold back. */
const OWED_MAX = 2 ** 52;

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

/** A message that is ready to be pushed. */
interface Cell {
  readonly first: number;
  readonly second: number;
  readonly isBlock: boolean;
}

/** The sending end of the line to one shard. */
interface Line {
  readonly shard: number;
  readonly lane: LaneSender;
  readonly tickets: Fifo<Ticket>;
  readonly blocks: Fifo<LentBlock>;
  readonly counters: Map<number, HotCounterSender>;
  /** The last `DROPPED` whose messages are all settled. */
  droppedSeen: number;
}

/** Sends for one thread. */
export class MessageSending {
  readonly counts: SendingCounts = { sent: 0, failed: 0, backpressured: 0, hotAdded: 0, cloned: 0 };
  readonly #space: MessageSpace;
  readonly #assignment: MessageAssignment;
  readonly #ringer: MessageRinger;
  readonly #lines: (Line | undefined)[];
  #blocks: ValueBlocks | undefined;
  #isHotFlushDue = false;
  #isClosed = false;

  constructor(space: MessageSpace, assignment: MessageAssignment, ringer: MessageRinger) {
    this.#space = space;
    this.#assignment = assignment;
    this.#ringer = ringer;
    this.#lines = new Array<Line | undefined>(space.shape.shards).fill(undefined);
  }

  /** Sends one message, or throws. */
  send(to: number, tag: number, value: unknown): void {
    const line = this.#lineFor(to, "send");
    if (line.lane.room === 0) throw this.#isFull(line, 1);
    this.#push(line, this.#cellFor(tag, value));
    this.#publish(line);
  }

  /** Sends all or throws; gives the number of messages. */
  sendMany(to: number, messages: Iterable<readonly [tag: number, value?: unknown]>): number {
    const line = this.#lineFor(to, "send");
    const cells: Cell[] = [];
    try {
      for (const [tag, value = 0] of messages) cells.push(this.#cellFor(tag, value));
      if (line.lane.room < cells.length) throw this.#isFull(line, cells.length);
    } catch (error) {
      for (const { isBlock, second } of cells) if (isBlock) this.#blocks?.putBack(second);
      throw error;
    }
    for (const cell of cells) this.#push(line, cell);
    this.#publish(line);
    return cells.length;
  }

  /** Resolves when the shard has taken what was sent to it so far, of which `count` messages are the caller's. */
  taken(to: number, count: number): Promise<void> {
    const line = this.#lineFor(to, "send");
    const ticket = new Promise<void>((resolve, reject) => {
      const position = (line.lane.position - 1) | 0;
      line.tickets.push({ position, count, resolve, reject });
      // Before the lane is looked at: whoever releases from now on rings.
      if (line.tickets.length === 1) this.#space.setWants(this.#assignment.slot, to, true);
      this.#settle(line);
    });
    // Whoever does not wait for a ticket does not want to know; it is counted.
    ticket.catch(() => undefined);
    return ticket;
  }

  /** Resolves when all shards have taken what was sent to them so far. */
  async flush(): Promise<void> {
    if (this.#isClosed) throw messagesClosed("flush");
    this.#flushHot();
    const lines = this.#lines.filter((line) => line !== undefined);
    await Promise.all(lines.map((line) => this.taken(line.shard, 0)));
  }

  /** Adds to a hot counter of a shard. */
  addHot(to: number, tag: number, amount: number): void {
    const line = this.#lineFor(to, "addHot");
    checkHotTag("addHot", tag);
    if (!Number.isInteger(amount) || amount < 0 || amount > SUM_MAX) {
      throw invalidArgument("addHot", `the amount is ${amount}, no whole number from 0 to ${SUM_MAX}`, { amount });
    }
    const counter = line.counters.get(tag) ?? this.#openCounter(line, tag);
    if (counter.owed > OWED_MAX) {
      this.counts.backpressured += 1;
      throw overloaded("addHot", `shard ${to} takes too little from counter ${tag}`, { shard: to, tag });
    }
    this.counts.hotAdded += 1;
    if (counter.add(amount)) this.#turnedHot(line, tag);
    if (counter.owed === 0 || this.#isHotFlushDue) return;
    this.#isHotFlushDue = true;
    queueMicrotask(() => this.#flushHot());
  }

  /** Somebody has rung: settles what was taken, dropped or closed. */
  look(): void {
    for (const line of this.#lines) if (line !== undefined && line.tickets.length > 0) this.#settle(line);
  }

  /** Sends no more; whoever still waits is told. */
  close(): void {
    this.#flushHot();
    this.#isClosed = true;
    for (const line of this.#lines) {
      if (line === undefined) continue;
      this.#settle(line);
      this.#rejectAll(line, messagesClosed("send"));
    }
  }

  #lineFor(to: number, operation: string): Line {
    const { shards } = this.#space.shape;
    if (!Number.isInteger(to) || to < 0 || to >= shards) {
      throw invalidArgument(operation, `there is no shard ${to} of ${shards}`, { shard: to, shards });
    }
    if (this.#isClosed) throw messagesClosed(operation);
    if (this.#space.receiverOf(to) === CLOSED) throw receiverClosed(to);
    return this.#lines[to] ?? this.#open(to);
  }

  #open(shard: number): Line {
    const { slot } = this.#assignment;
    const line: Line = {
      shard,
      lane: new LaneSender(this.#space.words, this.#space.lane(slot, shard)),
      tickets: new Fifo(),
      blocks: new Fifo(),
      counters: new Map(),
      droppedSeen: this.#space.droppedOf(slot, shard),
    };
    this.#lines[shard] = line;
    return line;
  }

  #openCounter(line: Line, tag: number): HotCounterSender {
    const index = this.#space.counterWord(this.#assignment.slot, line.shard, tag);
    const counter = new HotCounterSender(this.#space.words, index, this.#assignment.hotThreshold);
    line.counters.set(tag, counter);
    return counter;
  }

  #cellFor(tag: number, value: unknown): Cell {
    if (!Number.isInteger(tag) || tag < 0 || tag > TAG_MAX) {
      throw invalidArgument("send", `the tag is ${tag}, no whole number from 0 to ${TAG_MAX}`, { tag });
    }
    if (typeof value === "number" && value >>> 0 === value && !Object.is(value, -0)) {
      return { first: tag, second: value | 0, isBlock: false };
    }
    this.#blocks ??= this.#openBlocks();
    const { form, bytes } = this.#blocks.encode(value);
    let unit = this.#blocks.take(bytes);
    if (unit === NO_BLOCK) {
      for (const line of this.#lines) if (line !== undefined) this.#collect(line);
      unit = this.#blocks.take(bytes);
    }
    if (unit === NO_BLOCK) {
      this.counts.backpressured += 1;
      throw overloaded("send", "the memory for values is used up by messages that are not taken", {
        bytes: bytes.length,
      });
    }
    if (form === VALUE_FORM.cloned) this.counts.cloned += 1;
    return { first: tag | (form << TAG_BITS), second: unit, isBlock: true };
  }

  /** Blocks that a former thread of this slot has sent are not ours to give out before they are read. */
  #openBlocks(): ValueBlocks {
    const blocks = new ValueBlocks(this.#space, this.#assignment.words, this.#assignment.slot);
    for (let shard = 0; shard < this.#space.shape.shards; shard++) {
      const line = this.#lines[shard] ?? this.#open(shard);
      line.lane.visitUnreleased((position, first, unit) => {
        if (first >>> TAG_BITS === VALUE_FORM.number) return;
        blocks.markTaken(unit);
        line.blocks.push({ position, unit });
      });
    }
    return blocks;
  }

  #push(line: Line, { first, second, isBlock }: Cell): void {
    if (isBlock) line.blocks.push({ position: line.lane.position, unit: second });
    // There is room: it was looked for.
    line.lane.push(first, second);
    this.counts.sent += 1;
  }

  #publish(line: Line): void {
    if (!line.lane.flush()) return;
    const receiver = this.#space.receiverOf(line.shard);
    if (receiver >= 0) this.#ringer.ring(receiver);
  }

  #isFull(line: Line, count: number): RingloomError {
    this.counts.backpressured += count;
    const { capacity } = this.#space.shape;
    return overloaded("send", `the lane to shard ${line.shard} holds ${capacity} messages, and has no room`, {
      shard: line.shard,
      messagesMax: capacity,
      count,
    });
  }

  /** Settles the tickets of what the receiver has released. */
  #settle(line: Line): void {
    const { slot } = this.#assignment;
    this.#collect(line);
    // Behind the look at the lane's head: who sees dropped messages as released sees this too.
    const dropped = this.#space.droppedOf(slot, line.shard);
    const isNew = dropped !== line.droppedSeen;
    for (let ticket = line.tickets.first; ticket !== undefined; ticket = line.tickets.first) {
      if (!line.lane.hasTaken(ticket.position)) break;
      line.tickets.shift();
      if (isNew && line.lane.isBefore(ticket.position, dropped)) this.#reject(ticket, receiverLost(line.shard));
      else ticket.resolve();
    }
    if (isNew && line.lane.hasTaken((dropped - 1) | 0)) line.droppedSeen = dropped;
    if (line.tickets.length > 0 && this.#space.receiverOf(line.shard) === CLOSED) {
      this.#rejectAll(line, receiverClosed(line.shard));
    }
    if (line.tickets.length === 0) this.#space.setWants(slot, line.shard, false);
  }

  /** Takes back the blocks of values that were read. */
  #collect(line: Line): void {
    line.lane.look();
    for (let block = line.blocks.first; block !== undefined; block = line.blocks.first) {
      if (!line.lane.hasTaken(block.position)) return;
      line.blocks.shift();
      this.#blocks?.putBack(block.unit);
    }
  }

  #rejectAll(line: Line, error: RingloomError): void {
    for (let ticket = line.tickets.shift(); ticket !== undefined; ticket = line.tickets.shift()) {
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
    for (const line of this.#lines) {
      if (line === undefined) continue;
      for (const [tag, counter] of line.counters) {
        if (counter.flush()) this.#turnedHot(line, tag);
        isOwed ||= counter.owed > 0;
      }
    }
    if (!isOwed || this.#isClosed) return;
    this.#isHotFlushDue = true;
    setTimeout(() => this.#flushHot(), RETRY_MS).unref();
  }

  /** The counter's bit comes behind its amount, and the ring behind both. */
  #turnedHot({ shard }: Line, tag: number): void {
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
