/**
 * The steps of the execution at hand in their order, which of them depend on each other, and where another order would have been possible.
 *
 * Two steps depend on each other if they belong to one thread, or touch one object and at least one of them changes it. Happens-before is the transitive closure; it is kept as a
 * vector clock for each step. A *race* is a pair of dependent steps of two threads with nothing in between that orders them: the other order exists too, and has to be
 * explored. Which thread to run earlier for that is decided as in source sets ("Optimal Dynamic Partial Order Reduction", Abdulla, Aronis, Jonsson and Sagonas, 2014).
 *
 * Objects are the words, and for each word its queue of sleepers, which `wait` and `notify` change.
 */
import { Journal } from "./journal.js";

/** What a step touches: one object that it looks at and up to two that it changes, -1 for none. */
export interface Footprint {
  looksAt: number;
  changes: number;
  changesToo: number;
}

/** Whether the order of two steps matters. */
export function areDependent(one: Footprint, other: Footprint): boolean {
  if (one.changes >= 0 && touches(other, one.changes)) return true;
  if (one.changesToo >= 0 && touches(other, one.changesToo)) return true;
  return one.looksAt >= 0 && (one.looksAt === other.changes || one.looksAt === other.changesToo);
}

function touches({ looksAt, changes, changesToo }: Footprint, object: number): boolean {
  return object === looksAt || object === changes || object === changesToo;
}

/** Steps, as depth + 1 (0 for none), that made another one possible. */
export interface Causes {
  /** Without it the step cannot be made: the death that calls a reaper. What comes before it is in no race with the step. */
  always: number;
  /** The step could also have been made before it, and then something else would have come of it: who woke a thread that may time out, the reaper whose turn came first. */
  thisTime: number;
}

/** A race: thread `threads`, as a mask any one of them, has to be run at `depth` too. */
export type RaceListener = (depth: number, threads: number, preferred: number) => void;

export class Trace {
  readonly #threads: number;
  readonly #onRace: RaceListener;
  /** The last steps of objects and threads as depth + 1, 0 for none. */
  readonly #last: Journal;
  readonly #lastReads: number;
  readonly #lastOfThreads: number;
  #owners = new Int8Array(64);
  #clocks: Int32Array;
  readonly #candidates: number[] = [];
  readonly #firsts: Int32Array;

  constructor(objects: number, threads: number, onRace: RaceListener) {
    this.#threads = threads;
    this.#onRace = onRace;
    this.#lastReads = objects;
    this.#lastOfThreads = objects + objects * threads;
    this.#last = new Journal(this.#lastOfThreads + threads);
    this.#clocks = new Int32Array(64 * threads);
    this.#firsts = new Int32Array(threads);
  }

  mark(): number {
    return this.#last.mark();
  }

  rewind(mark: number): void {
    this.#last.rewind(mark);
  }

  /** Whose step it was. */
  ownerAt(depth: number): number {
    return this.#owners[depth]!;
  }

  /**
   * Appends a step and reports its races.
   *
   * @param depth how many steps come before it
   * @param causes what must come first although it shares no object with this one
   */
  append(depth: number, thread: number, footprint: Footprint, causes: Causes): void {
    if (depth >= this.#owners.length) this.#grow();
    const threads = this.#threads;
    const clocks = this.#clocks;
    const at = depth * threads;
    const previous = this.#last.words[this.#lastOfThreads + thread]!;
    if (previous === 0) clocks.fill(0, at, at + threads);
    else clocks.copyWithin(at, (previous - 1) * threads, previous * threads);
    this.#owners[depth] = thread;
    if (causes.always > 0) this.#join(at, (causes.always - 1) * threads);
    this.#collect(depth, thread, footprint);
    for (const candidate of this.#candidates) this.#join(at, candidate * threads);
    if (causes.thisTime > 0) this.#join(at, (causes.thisTime - 1) * threads);
    clocks[at + thread]!++;
    if (this.#candidates.length > 0) this.#reportRaces(depth, thread);
    this.#remember(depth, thread, footprint);
  }

  /** Depth + 1 of the thread's last step, 0 if it has made none. */
  lastOf(thread: number): number {
    return this.#last.words[this.#lastOfThreads + thread]!;
  }

  /** The latest steps of other threads that this one depends on and that are not ordered before it by what its thread did earlier. */
  #collect(depth: number, thread: number, { looksAt, changes, changesToo }: Footprint): void {
    this.#candidates.length = 0;
    if (looksAt >= 0) this.#consider(depth, thread, this.#last.words[looksAt]!);
    if (changes >= 0) this.#collectAll(depth, thread, changes);
    if (changesToo >= 0) this.#collectAll(depth, thread, changesToo);
  }

  #collectAll(depth: number, thread: number, object: number): void {
    const { words } = this.#last;
    this.#consider(depth, thread, words[object]!);
    const reads = this.#lastReads + object * this.#threads;
    for (let other = 0; other < this.#threads; other++) this.#consider(depth, thread, words[reads + other]!);
  }

  #consider(depth: number, thread: number, lastStep: number): void {
    if (lastStep === 0) return;
    const candidate = lastStep - 1;
    const owner = this.#owners[candidate]!;
    if (owner === thread || this.#isBefore(candidate, depth)) return;
    this.#candidates.push(candidate);
  }

  /** Whether the step at depth `early` happens before the one at `late`, as far as that one's clock is known. */
  #isBefore(early: number, late: number): boolean {
    const owner = this.#owners[early]!;
    return this.#clocks[early * this.#threads + owner]! <= this.#clocks[late * this.#threads + owner]!;
  }

  #join(into: number, from: number): void {
    const clocks = this.#clocks;
    for (let other = 0; other < this.#threads; other++) {
      if (clocks[from + other]! > clocks[into + other]!) clocks[into + other] = clocks[from + other]!;
    }
  }

  #reportRaces(depth: number, thread: number): void {
    for (const candidate of this.#candidates) {
      // Ordered by way of another one: not next to each other in any order of the steps, so the other order follows from reversing that one.
      if (this.#candidates.some((other) => other !== candidate && this.#isBefore(candidate, other))) continue;
      this.#reportRace(candidate, depth, thread);
    }
  }

  /** The steps behind `early` that do not depend on it could all come before it, this one too; reports the threads that such an order can begin with. */
  #reportRace(early: number, depth: number, thread: number): void {
    const threads = this.#threads;
    const clocks = this.#clocks;
    const firsts = this.#firsts.fill(-1);
    let initials = 0;
    for (let at = early + 1; at <= depth; at++) {
      const owner = this.#owners[at]!;
      if (firsts[owner] !== -1 || (at !== depth && this.#isBefore(early, at))) continue;
      let isInitial = true;
      for (let other = 0; other < threads; other++) {
        const first = firsts[other]!;
        if (first !== -1 && clocks[first * threads + other]! <= clocks[at * threads + other]!) isInitial = false;
      }
      firsts[owner] = at;
      if (isInitial) initials |= 1 << owner;
    }
    this.#onRace(early, initials, thread);
  }

  #remember(depth: number, thread: number, { looksAt, changes, changesToo }: Footprint): void {
    if (looksAt >= 0) this.#last.set(this.#lastReads + looksAt * this.#threads + thread, depth + 1);
    if (changes >= 0) this.#rememberChange(depth, changes);
    if (changesToo >= 0) this.#rememberChange(depth, changesToo);
    this.#last.set(this.#lastOfThreads + thread, depth + 1);
  }

  #rememberChange(depth: number, object: number): void {
    this.#last.set(object, depth + 1);
    const reads = this.#lastReads + object * this.#threads;
    for (let other = 0; other < this.#threads; other++) this.#last.set(reads + other, 0);
  }

  #grow(): void {
    const owners = new Int8Array(2 * this.#owners.length);
    owners.set(this.#owners);
    this.#owners = owners;
    const clocks = new Int32Array(2 * this.#clocks.length);
    clocks.set(this.#clocks);
    this.#clocks = clocks;
  }
}
