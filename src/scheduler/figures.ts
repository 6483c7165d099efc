/**
 * What the compute threads count, in shared memory: a line of words for each, which that thread alone writes, once a round, and everybody reads. Plain words: statistics can bear numbers
 * of two rounds, and nothing else may rely on them.
 */
import type { Words } from "../shared/words.js";
import { FIGURE_WORDS } from "./scheduler-memory.js";

/** The names of the words, in their order. */
const NAMES = [
  "executed",
  "failed",
  "stealAttempts",
  "stealSuccesses",
  "staleHints",
  "waiting",
  "queueDepth",
  "averageNanos",
] as const;

/**
 * Figures of one compute thread since it started. Counts start over at 2^32.
 * @experimental
 */
export interface ComputeFigures {
  /** Its number, from 0. */
  readonly thread: number;
  /** Tasks that it has finished. */
  readonly executed: number;
  /** Those among them that failed. */
  readonly failed: number;
  /** Looks into other threads' queues, and those that found something. */
  readonly stealAttempts: number;
  readonly stealSuccesses: number;
  /** Hints that led to no task, because another thread had it or it was given up. */
  readonly staleHints: number;
  /** Tasks that it has begun and that wait for something. */
  readonly waiting: number;
  /** Tasks in its own queue. */
  readonly queueDepth: number;
  /** The average time of a task, in nanoseconds; newer ones weigh more. */
  readonly averageNanos: number;
}

/** Writes the line of a thread. `base` is where the lines begin. */
export function writeFigures(words: Words, base: number, figures: ComputeFigures): void {
  const line = base + figures.thread * FIGURE_WORDS;
  for (let index = 0; index < NAMES.length; index++) words.write(line + index, figures[NAMES[index]!] | 0);
}

/** Reads the lines of all compute threads. */
export function readFigures(words: Words, base: number, threads: number): ComputeFigures[] {
  return Array.from({ length: threads }, (_, thread) => {
    const line = base + thread * FIGURE_WORDS;
    const entries = NAMES.map((name, index) => [name, words.read(line + index) >>> 0]);
    return { thread, ...Object.fromEntries(entries) } as ComputeFigures;
  });
}
