/**
 * In which order a thread tries the others when it steals: the last one that had something first, then all in an order that differs from search to search.
 *
 * The walk starts anywhere and goes on by a step that is coprime to the number of threads, so that it meets each exactly once. The step lies between half of that number and all of it, and is never one less than it:
 * that would be a walk backwards, in which all thieves follow each other. It is chosen once. Private memory, no allocation while stealing.
 */
import { assert } from "../assert.js";

/** What a walk needs to know. */
export interface StealOrderOptions {
  /** The thread that steals, which is left out. */
  readonly self: number;
  readonly threads: number;
  /** A number from 0 to less than 1; `Math.random` unless a test wants the same each time. */
  readonly random?: () => number;
}

/** One thread's order. Call {@link begin}, then {@link next} until it gives -1 or something was found. */
export class StealOrder {
  readonly step: number;
  readonly #self: number;
  readonly #threads: number;
  readonly #random: () => number;
  #lastGood = -1;
  #at = 0;
  #left = 0;
  #isFirst = false;

  constructor(options: StealOrderOptions) {
    const { self, threads, random = Math.random } = options;
    assert(self >= 0 && self < threads, "a thief is one of the threads");
    this.#self = self;
    this.#threads = threads;
    this.#random = random;
    const steps = coprimeSteps(threads);
    this.step = steps[Math.trunc(random() * steps.length)]!;
  }

  /** Starts a walk. */
  begin(): void {
    this.#isFirst = this.#lastGood !== -1;
    this.#left = this.#threads;
    this.#at = Math.trunc(this.#random() * this.#threads);
  }

  /** The next thread to try, or -1 when all were tried. */
  next(): number {
    if (this.#isFirst) {
      this.#isFirst = false;
      return this.#lastGood;
    }
    while (this.#left > 0) {
      const victim = this.#at;
      this.#left--;
      this.#at = (this.#at + this.step) % this.#threads;
      if (victim !== this.#self && victim !== this.#lastGood) return victim;
    }
    return -1;
  }

  /** Stealing from `victim` has succeeded: it comes first the next time. */
  succeeded(victim: number): void {
    assert(victim >= 0 && victim < this.#threads && victim !== this.#self, "a victim is another thread");
    this.#lastGood = victim;
  }

  /** The last good victim had nothing: it loses its place. */
  failed(victim: number): void {
    if (victim === this.#lastGood) this.#lastGood = -1;
  }
}

/** The steps that a walk over `threads` threads may have. Few threads leave none in the range; then it is 1. */
export function coprimeSteps(threads: number): number[] {
  const steps: number[] = [];
  for (let step = Math.ceil(threads / 2); step < threads - 1; step++) {
    if (greatestCommonDivisor(step, threads) === 1) steps.push(step);
  }
  return steps.length === 0 ? [1] : steps;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
