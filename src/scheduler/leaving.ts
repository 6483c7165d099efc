/**
 * How a thread ends of its own accord and loses nothing that is on its way to it. Arguments that go by port are for one thread in one of its lives (its *epoch*), so who sends them has to know whether the thread will still be there
 * when its hint is.
 *
 *     state of thread t     STAYS, LEAVING, or LEFT with the next epoch     t; who keeps it: LEAVING → STAYS; the supervisor when it buries t
 *     keep of thread s      t + 1 while s sends something to t, EVERY       s alone; the supervisor when it buries s
 *                           while it sends to two of them, or 0
 *
 * - LEAVE: state := LEAVING, look at all keeps and for work, state LEAVING → LEFT by compare-and-swap; or state := STAYS if there was something.
 * - SEND: keep := t, state LEAVING → STAYS by compare-and-swap; post, publish the task, add its hint; keep := 0.
 *
 * Each side stores its own word before it looks at the other's. So a sender who found STAYS, or made it so, is seen by the thread while it sends, and its hint behind that: the thread does not leave before it has looked at the hint. A
 * sender who finds LEFT means the next thread of that id, whose epoch is in the same word; the hub keeps the port for it.
 *
 * The supervisor says LEFT of each thread that it buries before the reaper looks at the tasks, and STAYS behind the new epoch. So who has published a task looks again, and either sees that its thread has ended, or is seen by the reaper.
 */
import { assert } from "../assert.js";
import type { Words } from "../shared/words.js";

const STAYS = 0;
const LEAVING = 1;
const LEFT = 2;
const EPOCH_SHIFT = 2;
const NO_THREAD = 0;
const EVERY = -1;

/** Where the words are: one for each thread in each of the three. */
export interface LeavingShape {
  readonly threads: number;
  readonly states: number;
  readonly keeps: number;
  readonly epochs: number;
}

/** One thread's view. */
export class Leaving {
  readonly #words: Words;
  readonly #shape: LeavingShape;
  readonly #self: number;
  /** What the own keep is. */
  #kept = NO_THREAD;

  constructor(words: Words, shape: LeavingShape, self: number) {
    this.#words = words;
    this.#shape = shape;
    this.#self = self;
  }

  /** This thread ends if nobody is sending to it and `hasWork` says that nothing is there. After true it must run nothing more. */
  tryLeave(hasWork: () => boolean): boolean {
    const { states, epochs } = this.#shape;
    const state = states + this.#self;
    this.#words.store(state, LEAVING);
    // Work last: who is no longer seen to send has added its hint.
    if (this.#isKept() || hasWork()) {
      this.#words.store(state, STAYS);
      return false;
    }
    const next = this.#words.load(epochs + this.#self) + 1;
    return this.#words.compareExchange(state, LEAVING, leftFor(next)) === LEAVING;
  }

  /** Calls `send` with the epoch that `thread` has until then, or will begin with; it does not leave meanwhile. */
  whileKept<Result>(thread: number, send: (epoch: number) => Result): Result {
    // A getter of what is sent may send something itself. One word names one thread or all of them, so the outer one is kept throughout.
    const before = this.#kept;
    this.#keep(before === NO_THREAD || before === thread + 1 ? thread + 1 : EVERY);
    try {
      return send(this.#epochFor(thread));
    } finally {
      this.#keep(before);
    }
  }

  /** Whether the thread that has, or had, this epoch runs what was published before this call. */
  isThere(thread: number, epoch: number): boolean {
    const { states, epochs } = this.#shape;
    const state = this.#words.load(states + thread);
    if ((state & LEFT) !== 0) return state >>> EPOCH_SHIFT === epoch;
    return this.#words.load(epochs + thread) === epoch;
  }

  /** Whether a thread has ended, or is about to, and its successor is not there. */
  hasLeft(thread: number): boolean {
    return (this.#words.load(this.#shape.states + thread) & LEFT) !== 0;
  }

  /** The supervisor is about to bury a thread: to be called before the reaper looks. */
  buryBegin(thread: number): void {
    const { states, keeps, epochs } = this.#shape;
    this.#words.store(states + thread, leftFor(this.#words.load(epochs + thread) + 1));
    this.#words.store(keeps + thread, NO_THREAD);
  }

  /** The epoch of a thread that was buried has ended. */
  buryEnd(thread: number): void {
    this.#words.store(this.#shape.states + thread, STAYS);
  }

  #epochFor(thread: number): number {
    const { states, epochs } = this.#shape;
    const state = this.#words.compareExchange(states + thread, LEAVING, STAYS);
    return (state & LEFT) === 0 ? this.#words.load(epochs + thread) : state >>> EPOCH_SHIFT;
  }

  #keep(name: number): void {
    this.#kept = name;
    this.#words.store(this.#shape.keeps + this.#self, name);
  }

  #isKept(): boolean {
    const { threads, keeps } = this.#shape;
    for (let thread = 0; thread < threads; thread++) {
      const kept = this.#words.load(keeps + thread);
      if (kept === this.#self + 1 || kept === EVERY) return true;
    }
    return false;
  }
}

function leftFor(epoch: number): number {
  assert(epoch >= 0 && epoch < 1 << (31 - EPOCH_SHIFT), "a process starts fewer than 2^29 threads");
  return LEFT | (epoch << EPOCH_SHIFT);
}
