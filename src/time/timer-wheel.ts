/**
 * A hierarchical timer wheel: any number of timers, each inserted and cancelled in constant time, in a few typed arrays.
 *
 * The form is the one of the hashed and hierarchical wheels of Varghese and Lauck (1987). Eight levels of 32 buckets: a bucket of level 0 is one tick, one of level 1 is 32 ticks, and so on, 2^40 ticks in all. A timer
 * lies at the level of the highest digit (to the base of 32) in which its tick differs from the wheel's own, so it moves down at most seven times before it is due, and most are cancelled before they move at all.
 * Ticks are whole numbers, from 0; what a tick is, and when time passes, its user decides.
 *
 *     bucket, a ring through a head that is no timer:   head ⇄ timer ⇄ timer ⇄ head       one word a level says which of its buckets are not empty
 *
 * Timers of one tick expire in the order in which they were inserted: a bucket is moved down when the wheel's own tick enters it, which is before anything can be inserted directly where its timers go. Only a bucket of very many is moved
 * in several turns, and what is inserted meanwhile may pass the rest of it.
 */
import { assert } from "../assert.js";
import { GENERATION_MAX, TIMERS_MAX } from "../constants.js";
import { waitBegun, waitOver } from "../scheduler/open-waits.js";

/** What is called when a timer expires. The resolving function of a promise is one, which is why it has a parameter. */
export type TimerOwner = (value: undefined) => void;

const DIGIT_BITS = 5;
const BUCKETS = 1 << DIGIT_BITS;
const DIGIT_MASK = BUCKETS - 1;
const LEVELS = 8;
/** Bits of a tick that fit a small integer: those of the lower six levels. */
const LOW_LEVELS = 6;
const LOW_SPAN = 2 ** (DIGIT_BITS * LOW_LEVELS);

/** The head of the list of those whose time has come. */
const DUE = LEVELS * BUCKETS;
/** The first place that holds a timer: those before it are heads. */
const FIRST = DUE + 1;
/** The end of the list of free places. */
const NONE = -1;

const TIMERS_FIRST = 1024;

/** The last tick of a wheel. */
export const TICK_MAX = 2 ** (DIGIT_BITS * LEVELS) - 1;

/** What a place holds. */
const FREE = 0;
const REFERENCED = 1;
const UNREFERENCED = 2;

/** The arrays, by place. */
interface Places {
  /** In a bucket: the next one. Free: the next free place. */
  readonly next: Int32Array;
  readonly previous: Int32Array;
  readonly ticks: Float64Array;
  readonly generations: Int32Array;
  readonly states: Uint8Array;
}

/** See the top of the file. */
export class TimerWheel {
  /** Timers that have neither expired nor been cancelled. */
  size = 0;
  /** Those among them that are worth waiting for. */
  referenced = 0;
  #places = makePlaces(FIRST + TIMERS_FIRST);
  #owners: (TimerOwner | undefined)[] = makeOwners(FIRST + TIMERS_FIRST);
  #free = NONE;
  /** Places from here on were never used. */
  #untouched = FIRST;
  /** One bit for each bucket that is not empty, by level. */
  readonly #occupied = new Int32Array(LEVELS);
  /** Everything before this tick, and this tick itself, has been collected. Kept in two small integers, since V8 computes fastest with those. */
  #elapsedLow = 0;
  #elapsedHigh = 0;
  #generation = 0;
  /** The head of a bucket that the wheel's own tick has entered and that has not been emptied yet. Nothing is added to it: what would belong there goes further down. */
  #unfinished = NONE;
  readonly #placesMax: number;

  /** @param options.placesMax How many places there may be, the heads among them. */
  constructor({ placesMax = TIMERS_MAX }: { readonly placesMax?: number } = {}) {
    this.#placesMax = placesMax;
    this.#emptyHeads();
  }

  /** What the wheel takes, in bytes: its arrays, without what the owners themselves take. */
  get bytes(): number {
    const { next, previous, ticks, generations, states } = this.#places;
    const words = [next, previous, ticks, generations, states].reduce((sum, { byteLength }) => sum + byteLength, 0);
    return words + this.#owners.length * 8;
  }

  /**
   * Adds a timer and returns its place, which with {@link generation} is its handle. One whose tick has been collected already expires at the next {@link takeDue}.
   * Returns -1 when there are as many timers as there may be.
   */
  insert(tick: number, owner: TimerOwner, isReferenced: boolean): number {
    assert(tick >= 0 && tick <= TICK_MAX, "a tick is one of the wheel's");
    const place = this.#take();
    if (place === NONE) return NONE;
    const { ticks, generations, states } = this.#places;
    this.#generation = this.#generation === GENERATION_MAX ? 1 : this.#generation + 1;
    ticks[place] = tick;
    generations[place] = this.#generation;
    states[place] = isReferenced ? REFERENCED : UNREFERENCED;
    this.#owners[place] = owner;
    waitBegun("timer", owner);
    this.size += 1;
    if (isReferenced) this.referenced += 1;
    this.#link(place, tick);
    return place;
  }

  /** Tells this use of a place from those before and after it. */
  generation(place: number): number {
    return this.#places.generations[place] ?? 0;
  }

  /** Takes a timer out. Returns false when it has expired or was cancelled, whoever has its place now. */
  cancel(place: number, generation: number): boolean {
    const { generations, states } = this.#places;
    if (place < FIRST || states[place] === FREE || generations[place] !== generation) return false;
    this.#unlink(place);
    this.#release(place);
    return true;
  }

  /** A tick at or before the first one at which something is due; Infinity when there is nothing. At a tick that turns out too early, {@link collect} is called all the same. */
  nextTick(): number {
    if (this.#places.next[DUE] !== DUE || this.#unfinished !== NONE) return this.#elapsed();
    const level = this.#lowestLevel();
    return level === LEVELS ? Number.POSITIVE_INFINITY : this.#bucketTick(level, this.#firstBucket(level));
  }

  /**
   * Moves the wheel on to `tick`: whatever is due by then can be taken with {@link takeDue}. After about `movesMax` timers that had to move down it stops where it is: {@link nextTick} then is not after `tick`, and another call goes on.
   */
  collect(tick: number, movesMax = Number.POSITIVE_INFINITY): void {
    const limit = Math.min(tick, TICK_MAX);
    let moves = movesMax - this.#goOn(movesMax);
    while (this.#unfinished === NONE) {
      const level = this.#lowestLevel();
      if (level === LEVELS) break;
      const bucket = this.#firstBucket(level);
      const start = this.#bucketTick(level, bucket);
      if (start > limit) break;
      this.#setElapsed(start);
      if (level === 0) {
        this.#expire(bucket);
      } else {
        this.#unfinished = level * BUCKETS + bucket;
        moves -= this.#goOn(moves);
      }
    }
    if (this.#unfinished === NONE && limit > this.#elapsed()) this.#setElapsed(limit);
  }

  /** Takes the next of those that are due, in the order of their ticks. Undefined when there is none. */
  takeDue(): TimerOwner | undefined {
    const place = this.#places.next[DUE];
    if (place === undefined || place === DUE) return undefined;
    const owner = this.#owners[place];
    assert(owner !== undefined, "a timer that is due has an owner");
    this.#unlink(place);
    this.#release(place);
    return owner;
  }

  // --- places

  #take(): number {
    const place = this.#free;
    if (place !== NONE) {
      this.#free = this.#places.next[place] ?? NONE;
      return place;
    }
    if (this.#untouched === this.#places.next.length && !this.#grow()) return NONE;
    return this.#untouched++;
  }

  #release(place: number): void {
    const { next, states } = this.#places;
    assert(states[place] !== FREE, "a place is released once");
    if (states[place] === REFERENCED) this.referenced -= 1;
    states[place] = FREE;
    const owner = this.#owners[place];
    if (owner !== undefined) waitOver(owner);
    this.#owners[place] = undefined;
    next[place] = this.#free;
    this.#free = place;
    this.size -= 1;
    if (this.size === 0 && next.length > FIRST + TIMERS_FIRST) this.#shrink();
  }

  #grow(): boolean {
    const old = this.#places;
    const length = Math.min(old.next.length * 2, this.#placesMax);
    if (length === old.next.length) return false;
    this.#places = makePlaces(length);
    this.#places.next.set(old.next);
    this.#places.previous.set(old.previous);
    this.#places.ticks.set(old.ticks);
    this.#places.generations.set(old.generations);
    this.#places.states.set(old.states);
    this.#owners = this.#owners.concat(makeOwners(length - this.#owners.length));
    return true;
  }

  /** A crowd of timers that is gone leaves no memory behind. Generations go on, so the handles of that crowd stay stale. */
  #shrink(): void {
    this.#places = makePlaces(FIRST + TIMERS_FIRST);
    this.#owners = makeOwners(FIRST + TIMERS_FIRST);
    this.#free = NONE;
    this.#untouched = FIRST;
    this.#unfinished = NONE;
    this.#emptyHeads();
  }

  // --- buckets

  #emptyHeads(): void {
    const { next, previous } = this.#places;
    for (let head = 0; head < FIRST; head++) {
      next[head] = head;
      previous[head] = head;
    }
  }

  #link(place: number, tick: number): void {
    const high = Math.floor(tick / LOW_SPAN);
    const low = tick - high * LOW_SPAN;
    let level: number;
    let digit: number;
    if (high > this.#elapsedHigh) {
      const digits = Math.trunc((31 - Math.clz32(high ^ this.#elapsedHigh)) / DIGIT_BITS);
      level = LOW_LEVELS + digits;
      digit = (high >>> (digits * DIGIT_BITS)) & DIGIT_MASK;
    } else if (high === this.#elapsedHigh && low > this.#elapsedLow) {
      level = Math.trunc((31 - Math.clz32(low ^ this.#elapsedLow)) / DIGIT_BITS);
      digit = (low >>> (level * DIGIT_BITS)) & DIGIT_MASK;
    } else {
      this.#append(DUE, place);
      return;
    }
    this.#append(level * BUCKETS + digit, place);
    this.#occupied[level] = (this.#occupied[level] ?? 0) | (1 << digit);
  }

  #append(head: number, place: number): void {
    const { next, previous } = this.#places;
    const last = previous[head] ?? head;
    next[last] = place;
    previous[place] = last;
    next[place] = head;
    previous[head] = place;
  }

  #unlink(place: number): void {
    const { next, previous } = this.#places;
    const before = previous[place] ?? DUE;
    const after = next[place] ?? DUE;
    next[before] = after;
    previous[after] = before;
    // Only the head of a list has itself on both sides.
    if (before === after && after < DUE) this.#markEmpty(after >>> DIGIT_BITS, after & DIGIT_MASK);
  }

  #markEmpty(level: number, bucket: number): void {
    this.#occupied[level] = (this.#occupied[level] ?? 0) & ~(1 << bucket);
  }

  /** The tick of this bucket of level 0 has come: all that is in it is due. */
  #expire(bucket: number): void {
    const { next, previous } = this.#places;
    const first = next[bucket] ?? bucket;
    const last = previous[bucket] ?? bucket;
    assert(first !== bucket, "a bucket that is marked as occupied is");
    next[bucket] = bucket;
    previous[bucket] = bucket;
    this.#markEmpty(0, bucket);
    const end = previous[DUE] ?? DUE;
    next[end] = first;
    previous[first] = end;
    next[last] = DUE;
    previous[DUE] = last;
  }

  /** The wheel's own tick has entered a bucket of a higher level: what is in it belongs further down, or is due. Moves `movesMax` timers at most, and returns how many. */
  #goOn(movesMax: number): number {
    const head = this.#unfinished;
    if (head === NONE) return 0;
    const { next, ticks } = this.#places;
    for (let moves = 0; moves < movesMax; moves++) {
      const place = next[head] ?? head;
      if (place === head) {
        this.#unfinished = NONE;
        return moves;
      }
      this.#unlink(place);
      this.#link(place, ticks[place] ?? 0);
    }
    return movesMax;
  }

  // --- ticks

  #elapsed(): number {
    return this.#elapsedHigh * LOW_SPAN + this.#elapsedLow;
  }

  #setElapsed(tick: number): void {
    this.#elapsedHigh = Math.floor(tick / LOW_SPAN);
    this.#elapsedLow = tick - this.#elapsedHigh * LOW_SPAN;
  }

  /** The lowest level with a bucket that is not empty, which has what comes first; `LEVELS` when all are empty. */
  #lowestLevel(): number {
    let level = 0;
    while (level < LEVELS && this.#occupied[level] === 0) level += 1;
    return level;
  }

  /** All occupied buckets of a level lie after the wheel's own tick, so the lowest bit is the next one. */
  #firstBucket(level: number): number {
    const bits = this.#occupied[level] ?? 0;
    return 31 - Math.clz32(bits & -bits);
  }

  /** The first tick of a bucket. */
  #bucketTick(level: number, bucket: number): number {
    const span = 2 ** (DIGIT_BITS * level);
    const above = span * BUCKETS;
    return Math.floor(this.#elapsed() / above) * above + bucket * span;
  }
}

function makePlaces(length: number): Places {
  return {
    next: new Int32Array(length),
    previous: new Int32Array(length),
    ticks: new Float64Array(length),
    generations: new Int32Array(length),
    states: new Uint8Array(length),
  };
}

function makeOwners(length: number): undefined[] {
  return new Array(length).fill(undefined);
}
