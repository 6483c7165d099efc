/**
 * A barrier for threads: it opens when as many have arrived as it has cells, and then begins again. One cell for each party:
 *
 *     gathering | line [state] | cell 0, 1, 2 …        cell: thread + 1 | generation << 8, or 0 | generation << 8 while it is free
 *
 *     FILLING(g) → OPEN(g)                                        all cells of the generation were taken
 *     FILLING(g) → BROKEN(g), by a death or by who gave up         it will never be full
 *     OPEN(g), BROKEN(g) → FILLING(g + 1)                         all parties of the generation have left
 *
 * Who writes each word:
 * - *cell*, from free to taken: whoever arrives, by compare-and-swap, which writes its id. From taken to free in the next generation: the same thread when it leaves, which is only once the generation has ended; of a dead thread the reaper.
 *   From free to free in the next generation, when the generation was broken: anybody, by compare-and-swap.
 * - *state*: anybody, by compare-and-swap. It decides between open and broken: nobody can find a generation open that another one found broken.
 *
 * A party leaves when it has seen how its generation ended, and the next generation begins when all have left. So nobody has to remember how older ones ended, and a party that comes early waits. Cells carry their generation, so that a thread
 * that was about to arrive in the last one does not take a cell of this one; generations wrap at 2^genBits (16 million), which is the bound for such a thread's sleep.
 *
 * **Death.** A party that dies breaks its generation for the others, unless it was open already. Its cells are emptied by the reaper, so that the next generation is not held up. One that dies between taking the last cell and opening breaks it
 * too.
 */
import { assert } from "../assert.js";
import { announceDeath, Gathering, type GatheringShape, gatheringLength, leaveGathering } from "./gathering.js";
import type { Words } from "./words.js";

const LINE_WORDS = 16;
const FILLING = 0;
const OPEN = 1;
const BROKEN_BY_DEATH = 2;
const BROKEN_BY_GIVING_UP = 3;
const PHASE_BITS = 2;
const PHASE_MASK = 3;
const HOLDER_BITS = 8;
const HOLDER_MASK = 0xff;
const GENERATION_BITS_MAX = 24;

/** The last generation has not been left by all: arrive again when rung. */
export const BARRIER_BUSY = -1;

/** How a generation stands. */
export type BarrierPhase = "filling" | "open" | "broken-by-death" | "broken-by-giving-up";

const PHASES: readonly BarrierPhase[] = ["filling", "open", "broken-by-death", "broken-by-giving-up"];

/** How large a barrier is, and where. */
export interface BarrierShape {
  /** Index of its first word, a multiple of 16. */
  readonly base: number;
  readonly threads: number;
  readonly parties: number;
  /** Bits of the generations; 24 unless a test wants them to wrap early. */
  readonly generationBits?: number;
}

/** Words that a barrier takes. */
export function barrierLength({ threads, parties }: Pick<BarrierShape, "threads" | "parties">): number {
  return gatheringLength(threads) + LINE_WORDS + parties;
}

/** Where the threads of it meet. */
export function barrierGathering({ base, threads }: BarrierShape): GatheringShape {
  return { base, threads };
}

/** One thread's use. See the top of the file. */
export class BarrierCells {
  readonly gathering: Gathering;
  readonly #words: Words;
  readonly #self: number;
  readonly #parties: number;
  readonly #generationMask: number;
  readonly #state: number;
  readonly #cells: number;

  constructor(words: Words, shape: BarrierShape, self: number) {
    const { base, threads, parties, generationBits = GENERATION_BITS_MAX } = shape;
    assert(parties > 0, "a barrier has parties");
    assert(generationBits > 0 && generationBits <= GENERATION_BITS_MAX, "a generation fits its bits");
    assert(base + barrierLength(shape) <= words.length, "a barrier fits its memory");
    this.#words = words;
    this.#self = self;
    this.#parties = parties;
    this.#generationMask = 2 ** generationBits - 1;
    this.gathering = new Gathering(words, barrierGathering(shape), self);
    this.#state = base + gatheringLength(threads);
    this.#cells = this.#state + LINE_WORDS;
  }

  /** Takes a cell of the generation that fills, and gives its number; opens the barrier when it was the last. {@link BARRIER_BUSY} while the last generation is being left. */
  arrive(): number {
    for (;;) {
      const state = this.#words.load(this.#state);
      if ((state & PHASE_MASK) !== FILLING) return BARRIER_BUSY;
      const generation = state >>> PHASE_BITS;
      const free = generation << HOLDER_BITS;
      for (let cell = 0; cell < this.#parties; cell++) {
        if (this.#words.load(this.#cells + cell) !== free) continue;
        if (this.#words.compareExchange(this.#cells + cell, free, free | (this.#self + 1)) !== free) continue;
        this.#openIfFull(state);
        return cell;
      }
      // Full, and whoever took the last cell has not opened it yet; or it is a later generation already.
      this.#openIfFull(state);
    }
  }

  /** How the generation stands in which this thread has cells. It cannot pass before they were left. */
  get phase(): BarrierPhase {
    return PHASES[this.#words.load(this.#state) & PHASE_MASK]!;
  }

  /** Parties that have arrived, at about this moment. */
  get arrivedCount(): number {
    let count = 0;
    for (let cell = 0; cell < this.#parties; cell++) {
      if ((this.#words.load(this.#cells + cell) & HOLDER_MASK) !== 0) count += 1;
    }
    return count;
  }

  /** Leaves the cells of this thread, whose generation has ended; the last one to leave begins the next generation. */
  leave(): void {
    const state = this.#words.load(this.#state);
    assert((state & PHASE_MASK) !== FILLING, "a party leaves a generation that has ended");
    this.#leaveIn(state);
  }

  /** Breaks the generation in which this thread has arrived, unless it is open: one of its parties waits no longer. False if it had ended before. */
  giveUp(): boolean {
    return this.#end(this.#words.load(this.#state), BROKEN_BY_GIVING_UP);
  }

  /** The reaper's: breaks the generation in which the dead thread, whose id this view has, waited, and leaves its cells. */
  reap(): void {
    if (!this.#hasCells()) return this.#begin(this.#words.load(this.#state));
    this.#end(this.#words.load(this.#state), BROKEN_BY_DEATH);
    this.#leaveIn(this.#words.load(this.#state));
  }

  #leaveIn(state: number): void {
    const next = this.#freeIn((state >>> PHASE_BITS) + 1);
    for (let cell = 0; cell < this.#parties; cell++) {
      if ((this.#words.load(this.#cells + cell) & HOLDER_MASK) !== this.#self + 1) continue;
      this.#words.store(this.#cells + cell, next);
    }
    this.#begin(state);
  }

  /** Begins the next generation if all have left the one that has ended. */
  #begin(state: number): void {
    if ((state & PHASE_MASK) === FILLING) return;
    const generation = state >>> PHASE_BITS;
    const [free, next] = [this.#freeIn(generation), this.#freeIn(generation + 1)];
    for (let cell = 0; cell < this.#parties; cell++) {
      const found = this.#words.load(this.#cells + cell);
      if (found === next) continue;
      // Never taken, in a generation that was broken.
      if (found !== free || this.#words.compareExchange(this.#cells + cell, free, next) !== free) return;
    }
    const filling = (((generation + 1) & this.#generationMask) << PHASE_BITS) | FILLING;
    if (this.#words.compareExchange(this.#state, state, filling) === state) this.gathering.wakeOthers();
  }

  #openIfFull(state: number): void {
    const generation = state >>> PHASE_BITS;
    for (let cell = 0; cell < this.#parties; cell++) {
      const found = this.#words.load(this.#cells + cell);
      if ((found & HOLDER_MASK) === 0 || found >>> HOLDER_BITS !== generation) return;
    }
    this.#end(state, OPEN);
  }

  #end(state: number, phase: number): boolean {
    if ((state & PHASE_MASK) !== FILLING) return false;
    if (this.#words.compareExchange(this.#state, state, state | phase) !== state) return false;
    this.gathering.wakeOthers();
    return true;
  }

  #hasCells(): boolean {
    for (let cell = 0; cell < this.#parties; cell++) {
      if ((this.#words.load(this.#cells + cell) & HOLDER_MASK) === this.#self + 1) return true;
    }
    return false;
  }

  #freeIn(generation: number): number {
    return ((generation & this.#generationMask) << HOLDER_BITS) | 0;
  }
}

/** What the supervisor does when a thread is gone. No step of this may come before the thread's last one. */
export function buryBarrierThread(words: Words, shape: BarrierShape, thread: number): void {
  const gathering = barrierGathering(shape);
  leaveGathering(words, gathering, thread);
  new BarrierCells(words, shape, thread).reap();
  announceDeath(words, gathering);
}
