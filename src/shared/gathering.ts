/**
 * The threads that use one shared structure (a channel, a mutex, …): which of them are there, and how they wake each other.
 *
 *     line 0 [deaths …]   [life of thread 0, 1, 2 …]   [bell of thread 0][bell of thread 1] …
 *
 * Who writes each word:
 * - *life* of a thread: the supervisor's thread alone. A number that no two threads of a structure ever share while it is there, 0 when nobody has the id.
 * - *deaths*: added to by the supervisor's thread, behind all that it has mended after a death.
 * - *bell*: see `bell.ts`. It belongs to the thread with that id, whose event loop waits for it.
 *
 * **A name can be out of date.** Who is about to hand something to a thread reads its life before, and again behind the hand-over: if it is another one, the thread has died, and what was handed over may be taken back. The reaper clears
 * the life before it looks for what the thread has, so of the two one sees the other's store: nothing stays with the dead. Comparing lives, and not only whether there is one, covers the successor that got the same id meanwhile.
 *
 * A thread that dies between a publication and its ring leaves somebody asleep, so after each death everybody is rung, whatever the words say, and looks again.
 */
import { assert } from "../assert.js";
import { BELL_WORDS, Bell } from "./bell.js";
import type { Words } from "./words.js";

const LINE_WORDS = 16;

/** The most threads that can use one structure at once. */
export const GATHERING_THREADS_MAX = 64;

/** Where a gathering is, and how large. */
export interface GatheringShape {
  /** Index of its first word, a multiple of 16. */
  readonly base: number;
  /** Threads that may be there at once, up to {@link GATHERING_THREADS_MAX}. */
  readonly threads: number;
}

/** Words that a gathering of so many threads takes. */
export function gatheringLength(threads: number): number {
  return bellsOffset(threads) + threads * BELL_WORDS;
}

/** Index of the first word of a thread's bell. */
export function bellWord({ base, threads }: GatheringShape, thread: number): number {
  return base + bellsOffset(threads) + thread * BELL_WORDS;
}

/** Index of the word with a thread's life. */
export function lifeWord({ base }: GatheringShape, thread: number): number {
  return base + LINE_WORDS + thread;
}

/** One thread's view. */
export class Gathering {
  readonly threads: number;
  readonly self: number;
  readonly #words: Words;
  readonly #shape: GatheringShape;
  readonly #bells: readonly Bell[];

  constructor(words: Words, shape: GatheringShape, self: number) {
    assert(shape.threads > 0 && shape.threads <= GATHERING_THREADS_MAX, "a gathering has 1 to 64 threads");
    assert(self >= 0 && self < shape.threads, "a thread's id is within the gathering");
    assert(shape.base + gatheringLength(shape.threads) <= words.length, "a gathering fits its memory");
    this.threads = shape.threads;
    this.self = self;
    this.#words = words;
    this.#shape = shape;
    this.#bells = Array.from({ length: shape.threads }, (_, thread) => new Bell(words, bellWord(shape, thread)));
  }

  /** Which thread has that id now; 0 for none. */
  lifeOf(thread: number): number {
    return this.#words.load(lifeWord(this.#shape, thread));
  }

  /** How many have died and were mended after. */
  get deaths(): number {
    return this.#words.load(this.#shape.base);
  }

  /** The bell that this thread waits for. */
  get ownBell(): Bell {
    return this.#bells[this.self]!;
  }

  /** Makes a thread look again; what was published before, it finds. */
  wake(thread: number): void {
    const bell = this.#bells[thread]!;
    if (bell.ring()) bell.notify();
  }

  /** Makes all other threads look again. */
  wakeOthers(): void {
    for (let thread = 0; thread < this.threads; thread++) {
      if (thread !== this.self && this.lifeOf(thread) !== 0) this.wake(thread);
    }
  }
}

/** The supervisor's side: a thread takes part from now on. Its `life` is not 0 and was nobody's before. */
export function joinGathering(words: Words, shape: GatheringShape, { thread, life }: Member): void {
  assert(life !== 0 && words.load(lifeWord(shape, thread)) === 0, "an id is given to one thread at a time");
  words.store(lifeWord(shape, thread), life);
}

/** The supervisor's side: a thread has made its last step. What it had is looked for after this. */
export function leaveGathering(words: Words, shape: GatheringShape, thread: number): void {
  words.store(lifeWord(shape, thread), 0);
}

/** The supervisor's side: all that a dead thread had was mended. Everybody looks again: the dead may have published and not rung, or rung and not woken. */
export function announceDeath(words: Words, shape: GatheringShape): void {
  words.add(shape.base, 1);
  for (let thread = 0; thread < shape.threads; thread++) {
    if (words.load(lifeWord(shape, thread)) === 0) continue;
    const bell = new Bell(words, bellWord(shape, thread));
    bell.ring();
    bell.notify();
  }
}

/** A thread of a gathering. */
export interface Member {
  readonly thread: number;
  readonly life: number;
}

function bellsOffset(threads: number): number {
  return LINE_WORDS + Math.ceil(threads / LINE_WORDS) * LINE_WORDS;
}
