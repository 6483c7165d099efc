/**
 * The memory of a program under check, and what its threads know of each other.
 *
 * Values: atomics are sequentially consistent in JavaScript, so one array of words and an order of steps is the whole truth about them.
 *
 * Payload: plain accesses are checked with vector clocks (FastTrack, Flanagan and Freund 2009). A thread's clock counts its own steps; an atomic write
 * leaves the writer's clock at the word, and whoever reads that value takes it. That is "synchronizes with" of the JavaScript memory model: a write that nobody's read
 * takes its value from orders nothing, and a later write hides an earlier one. Two accesses of one word, one of them a write, that are not ordered so are a data race.
 *
 * Everything lives in one {@link Journal}, so that a search can go back.
 */
import { Journal } from "./journal.js";
import {
  ADD,
  ALL,
  AND,
  COMPARE_EXCHANGE,
  DIE,
  EXCHANGE,
  LOAD,
  NOT_EQUAL,
  NOTIFIED,
  NOTIFY,
  OR,
  READ,
  RING,
  SLEPT,
  START,
  STORE,
  TIMED_OUT,
  WAIT,
  WAKE,
} from "./operation.js";

/** States of a thread. A reaper is {@link UNBORN} until its thread has died. */
export const UNBORN = 0;
export const LIVE = 1;
export const DONE = 2;
export const DEAD = 3;

const CONTROL = 1;
const PAYLOAD = 2;

/** A step that a thread is about to make. */
export interface NextStep {
  readonly kind: number;
  readonly index: number;
  readonly first: number;
  readonly second: number;
}

export interface MachineOptions {
  /** Words of memory. */
  readonly length: number;
  /** The reapers included. */
  readonly threads: number;
  /** By reaper: the thread whose death it waits for. The reapers are the last threads. */
  readonly reaped: readonly number[];
  readonly hasTimeouts: boolean;
  readonly nameOf: (index: number) => string;
  readonly nameOfThread: (thread: number) => string;
}

export class Machine {
  readonly journal: Journal;
  /** The words of memory as they are now; not a copy. */
  readonly memory: Int32Array;
  readonly threads: number;
  readonly hasTimeouts: boolean;
  readonly #reaped: readonly number[];
  readonly #nameOf: (index: number) => string;
  readonly #nameOfThread: (thread: number) => string;
  /** Where each kind of word begins; memory itself begins at 0. */
  readonly #usage: number;
  readonly #releases: number;
  readonly #writers: number;
  readonly #writeEpochs: number;
  readonly #readEpochs: number;
  readonly #clocks: number;
  readonly #wakeClocks: number;
  readonly #states: number;
  readonly #sleepsOn: number;
  readonly #sleepOrders: number;
  readonly #sleepCount: number;
  readonly #woken: number;

  constructor({ length, threads, reaped, hasTimeouts, nameOf, nameOfThread }: MachineOptions) {
    this.threads = threads;
    this.#reaped = reaped;
    this.hasTimeouts = hasTimeouts;
    this.#nameOf = nameOf;
    this.#nameOfThread = nameOfThread;
    let end = length;
    const take = (words: number): number => (end += words) - words;
    this.#usage = take(length);
    this.#releases = take(length * threads);
    this.#writers = take(length);
    this.#writeEpochs = take(length);
    this.#readEpochs = take(length * threads);
    this.#clocks = take(threads * threads);
    this.#wakeClocks = take(threads * threads);
    this.#states = take(threads);
    this.#sleepsOn = take(threads);
    this.#sleepOrders = take(threads);
    this.#sleepCount = take(1);
    this.#woken = take(threads);
    this.journal = new Journal(end);
    this.memory = this.journal.words.subarray(0, length);
  }

  stateOf(thread: number): number {
    return this.journal.words[this.#states + thread]!;
  }

  setState(thread: number, state: number): void {
    this.journal.set(this.#states + thread, state);
  }

  /** The word that the thread sleeps on, or -1. It does until its {@link WAKE}, also when it has been notified. */
  sleepsOn(thread: number): number {
    return this.journal.words[this.#sleepsOn + thread]! - 1;
  }

  isNotified(thread: number): boolean {
    return this.journal.words[this.#woken + thread] !== 0;
  }

  /** The `stamp` of the step that has notified the thread, -1 if none has. */
  wokenBy(thread: number): number {
    return this.journal.words[this.#woken + thread]! || -1;
  }

  /** The thread whose reaper `thread` is, or -1. */
  reapedBy(thread: number): number {
    return this.#reaped[thread - (this.threads - this.#reaped.length)] ?? -1;
  }

  /** What is wrong with a step that is no payload access: a word that is payload elsewhere. */
  problemWith({ kind, index }: NextStep): string | undefined {
    return kind === START || kind === DIE || kind === WAKE ? undefined : this.#misuse(index, CONTROL);
  }

  /** What is wrong with a plain access: the same, or a data race. */
  problemWithPayload(thread: number, kind: number, index: number): string | undefined {
    const misuse = this.#misuse(index, PAYLOAD);
    if (misuse !== undefined) return misuse;
    const { words } = this.journal;
    const writer = words[this.#writers + index]! - 1;
    if (writer >= 0 && writer !== thread && words[this.#writeEpochs + index]! > this.#knows(thread, writer)) {
      return this.#race(thread, kind, index, `written by ${this.#nameOfThread(writer)}`);
    }
    if (kind === READ) return undefined;
    const reads = this.#readEpochs + index * this.threads;
    for (let reader = 0; reader < this.threads; reader++) {
      if (reader === thread || words[reads + reader]! <= this.#knows(thread, reader)) continue;
      return this.#race(thread, kind, index, `read by ${this.#nameOfThread(reader)}`);
    }
    return undefined;
  }

  /**
   * A step that is no payload access, with which nothing is wrong: its effect on memory, on sleepers and on what the thread knows. Gives its result.
   *
   * @param stamp a number above 0, to recognise the step by in {@link wokenBy}
   */
  step(stamp: number, thread: number, { kind, index, first, second }: NextStep): number {
    if (kind === START || kind === DIE || kind === WAKE) return this.#passage(thread, kind);
    const { journal } = this;
    journal.set(this.#usage + index, CONTROL);
    const before = journal.words[index]!;
    let count = 0;
    switch (kind) {
      case WAIT:
        this.#acquire(thread, this.#releases + index * this.threads);
        this.#count(thread);
        if (before !== first) return NOT_EQUAL;
        this.#sleep(thread, index);
        return SLEPT;
      case NOTIFY:
        count = this.#notify(stamp, thread, index, first);
        this.#count(thread);
        return count;
      case LOAD:
        this.#acquire(thread, this.#releases + index * this.threads);
        this.#count(thread);
        return before;
      case STORE:
        break;
      case RING:
        this.#notify(stamp, thread, index, ALL);
        this.#acquire(thread, this.#releases + index * this.threads);
        break;
      default:
        this.#acquire(thread, this.#releases + index * this.threads);
        // A compareExchange that fails has written nothing, so it publishes nothing.
        if (kind === COMPARE_EXCHANGE && before !== first) {
          this.#count(thread);
          return before;
        }
    }
    this.#release(thread, this.#releases + index * this.threads);
    this.#count(thread);
    journal.set(index, written(kind, before, first, second));
    return kind === STORE ? 0 : before;
  }

  /** A plain access, with which nothing is wrong. */
  payload(thread: number, kind: number, index: number, value: number): number {
    const { journal, threads } = this;
    const { words } = journal;
    journal.set(this.#usage + index, PAYLOAD);
    const own = words[this.#clocks + thread * threads + thread]!;
    if (kind === READ) {
      journal.set(this.#readEpochs + index * threads + thread, own);
      return words[index]!;
    }
    journal.set(this.#writers + index, thread + 1);
    journal.set(this.#writeEpochs + index, own);
    journal.set(index, value);
    return 0;
  }

  #misuse(index: number, usage: typeof CONTROL | typeof PAYLOAD): string | undefined {
    const before = this.journal.words[this.#usage + index]!;
    if (before === 0 || before === usage) return undefined;
    return `word ${this.#nameOf(index)} is touched both atomically and plainly`;
  }

  /** How many steps of `other` have happened before what `thread` does now. */
  #knows(thread: number, other: number): number {
    return this.journal.words[this.#clocks + thread * this.threads + other]!;
  }

  #race(thread: number, kind: number, index: number, other: string): string {
    const name = this.#nameOfThread(thread);
    const deed = kind === READ ? "read" : "written";
    const order = "with no order between the two";
    return `data race: word ${this.#nameOf(index)} is ${deed} by ${name} and ${other}, ${order}`;
  }

  #passage(thread: number, kind: number): number {
    const { journal, threads } = this;
    if (kind === START) {
      if (this.reapedBy(thread) >= 0) this.#beginReaping(thread);
      this.#count(thread);
      return 0;
    }
    if (kind === DIE) {
      this.#release(thread, this.#wakeClocks + thread * threads);
      this.#count(thread);
      journal.set(this.#sleepsOn + thread, 0);
      this.setState(thread, DEAD);
      const reaper = this.#reaped.indexOf(thread);
      if (reaper >= 0) this.setState(threads - this.#reaped.length + reaper, LIVE);
      return 0;
    }
    const isNotified = this.isNotified(thread);
    if (isNotified) this.#acquire(thread, this.#wakeClocks + thread * threads);
    this.#count(thread);
    journal.set(this.#sleepsOn + thread, 0);
    journal.set(this.#woken + thread, 0);
    return isNotified ? NOTIFIED : TIMED_OUT;
  }

  /** What the dead thread did and knew happens before its reaper, and so does what a reaper before this one did: one thread is all of them. */
  #beginReaping(thread: number): void {
    const { threads } = this;
    this.#acquire(thread, this.#wakeClocks + this.reapedBy(thread) * threads);
    for (let other = threads - this.#reaped.length; other < threads; other++) {
      if (this.stateOf(other) === DONE) this.#acquire(thread, this.#clocks + other * threads);
    }
  }

  #sleep(thread: number, index: number): void {
    const { journal } = this;
    const order = journal.words[this.#sleepCount]! + 1;
    journal.set(this.#sleepCount, order);
    journal.set(this.#sleepOrders + thread, order);
    journal.set(this.#sleepsOn + thread, index + 1);
  }

  /** Wakes who has slept longest first, as `Atomics.notify` does. */
  #notify(stamp: number, thread: number, index: number, countMax: number): number {
    let count = 0;
    while (countMax === ALL || count < countMax) {
      const sleeper = this.firstSleeper(index);
      if (sleeper < 0) break;
      this.journal.set(this.#woken + sleeper, stamp);
      this.#release(thread, this.#wakeClocks + sleeper * this.threads);
      count++;
    }
    return count;
  }

  /** Who has slept longest on the word, of those that were not notified yet; -1 if nobody. */
  firstSleeper(index: number): number {
    const { words } = this.journal;
    let first = -1;
    for (let thread = 0; thread < this.threads; thread++) {
      if (words[this.#sleepsOn + thread] !== index + 1 || words[this.#woken + thread] !== 0) continue;
      if (first < 0 || words[this.#sleepOrders + thread]! < words[this.#sleepOrders + first]!) first = thread;
    }
    return first;
  }

  /** The thread learns what is in the clock at `at`. */
  #acquire(thread: number, at: number): void {
    const { journal, threads } = this;
    const { words } = journal;
    const own = this.#clocks + thread * threads;
    for (let other = 0; other < threads; other++) {
      const known = words[at + other]!;
      if (known > words[own + other]!) journal.set(own + other, known);
    }
  }

  /**
   * Leaves what the thread knows at `at`. Called before the step is counted: payload written after the step carries the step's number, which must not
   * be part of what is left here.
   */
  #release(thread: number, at: number): void {
    const { journal, threads } = this;
    const { words } = journal;
    const own = this.#clocks + thread * threads;
    for (let other = 0; other < threads; other++) journal.set(at + other, words[own + other]!);
  }

  #count(thread: number): void {
    const at = this.#clocks + thread * this.threads + thread;
    this.journal.set(at, this.journal.words[at]! + 1);
  }
}

/** What a step that writes leaves in the word. */
function written(kind: number, before: number, first: number, second: number): number {
  switch (kind) {
    case RING:
      return (before + 1) | 0;
    case ADD:
      return (before + first) | 0;
    case OR:
      return before | first;
    case AND:
      return before & first;
    case EXCHANGE:
    case STORE:
      return first;
    default:
      return second;
  }
}
