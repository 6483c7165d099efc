/**
 * Who gets what has to be for one thread: tasks in turn, and those whose arguments go by port. Private memory of one spawning thread; what it looks at besides are guesses, since threads come and go.
 */
import type { Segment } from "../shared/segment.js";
import type { Words } from "../shared/words.js";
import type { Placement } from "./placement.js";
import { NOBODY, type Places } from "./places.js";
import type { Ringer } from "./ringer.js";

/** What a choice is made from. */
export interface ReceiverParts {
  readonly segment: Segment;
  readonly words: Words;
  /** Index of the word with the life of thread 0. */
  readonly lives: number;
  readonly places: Places;
  readonly ringer: Ringer;
  /** The first thread for tasks that block, and how many there may be. */
  readonly firstBlocking: number;
  readonly blocking: number;
}

/** One spawning thread's choices. */
export class Receivers {
  readonly #parts: ReceiverParts;
  readonly #first: number;
  /** By own slot: 1 + the thread that has the arguments of its task. */
  readonly #threads: Uint8Array;
  /** By thread for tasks that block: own tasks in flight whose arguments it has. */
  readonly #loads: Int32Array;
  #lastPlace: number;
  #nextBlocking = 0;

  constructor(parts: ReceiverParts) {
    const { segment, places, blocking } = parts;
    this.#parts = parts;
    this.#first = segment.table.firstOf(segment.self);
    this.#threads = new Uint8Array(segment.table.slotsPerThread);
    this.#loads = new Int32Array(blocking);
    this.#lastPlace = segment.self % places.count;
  }

  /** The next place in turn that somebody serves. */
  nextPlace(): number {
    const { places } = this.#parts;
    let place = this.#lastPlace;
    for (let left = places.count; left > 0; left--) {
      place = (place + 1) % places.count;
      if (places.holderOf(place) !== NOBODY) break;
    }
    this.#lastPlace = place;
    return place;
  }

  /** The place that a value is sent to whose task anybody might run: the preferred one if its thread lives, else one whose thread sleeps, else the next in turn whose thread lives. */
  placeFor(placement: Placement | undefined): number {
    const preferred = placement?.kind === "stealable" ? placement.preferred : undefined;
    if (preferred !== undefined && this.#isAlive(preferred)) return preferred;
    const { places, segment } = this.#parts;
    let chosen = -1;
    for (let offset = 1; offset <= places.count; offset++) {
      const place = (this.#lastPlace + offset) % places.count;
      if (!this.#isAlive(place)) continue;
      if (chosen === -1) chosen = place;
      if (!segment.parkers.isParked(places.holderOf(place))) continue;
      chosen = place;
      break;
    }
    // None has started yet.
    if (chosen === -1) return this.nextPlace();
    this.#lastPlace = chosen;
    return chosen;
  }

  /**
   * The thread that the arguments of a task which blocks are sent to: the one that has the fewest of them, in turn. One that is busy counts as if it had one more. Not the first one, because every thread takes what is pinned to
   * that, unless there is no other.
   */
  blockingThread(): number {
    const { firstBlocking, blocking, ringer } = this.#parts;
    const count = blocking - 1;
    let chosen = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let offset = 0; offset < count; offset++) {
      const n = 1 + ((this.#nextBlocking + offset) % count);
      const load = this.#loads[n]! + (this.#isBusy(firstBlocking + n) ? 1 : 0);
      if (load >= least) continue;
      least = load;
      chosen = n;
    }
    if (chosen === -1) return firstBlocking;
    this.#nextBlocking = chosen % count;
    ringer.keepBlocking(firstBlocking + chosen);
    return firstBlocking + chosen;
  }

  /** A thread has the arguments of a task. */
  sent(slot: number, thread: number): void {
    this.#threads[slot - this.#first] = thread + 1;
    this.#count(thread, 1);
  }

  /** The thread that has, or had, the arguments of a task, or -1. */
  threadOf(slot: number): number {
    return this.#threads[slot - this.#first]! - 1;
  }

  /** A task has ended. */
  ended(slot: number): void {
    const thread = this.threadOf(slot);
    if (thread === -1) return;
    this.#threads[slot - this.#first] = 0;
    this.#count(thread, -1);
  }

  #count(thread: number, change: number): void {
    const n = thread - this.#parts.firstBlocking;
    if (n >= 0 && n < this.#loads.length) this.#loads[n]! += change;
  }

  #isAlive(place: number): boolean {
    const { places, words, lives } = this.#parts;
    const thread = places.holderOf(place);
    return thread !== NOBODY && words.load(lives + thread) !== 0;
  }

  #isBusy(thread: number): boolean {
    const { words, lives, segment } = this.#parts;
    return words.load(lives + thread) !== 0 && !segment.parkers.isParked(thread);
  }
}
