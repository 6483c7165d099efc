/**
 * What the threads that run tasks count, in shared memory: a line of words for each, which that thread alone writes, once a round, and everybody reads. Plain words: statistics can bear numbers
 * of two rounds, and nothing else may rely on them.
 */
import type { Words } from "../shared/words.js";
import { NOBODY, type Places } from "./places.js";
import { FIGURE_WORDS } from "./scheduler-memory.js";

/** The names of the words, in their order. */
const NAMES = [
  "executed",
  "failed",
  "fromOwnQueue",
  "fromInbox",
  "fromInjector",
  "stealAttempts",
  "stealSuccesses",
  "staleHints",
  "overflowed",
  "waiting",
  "queueDepth",
  "averageNanos",
] as const;

const AVERAGE = NAMES.indexOf("averageNanos");

/**
 * Figures of one compute thread since it started. Counts start over at 2^32.
 * @experimental
 */
export interface ComputeFigures {
  /** Its number, from 0, as placements name it. */
  readonly thread: number;
  /** There is none, because those that were started ended before they had run a task, or because the server stops. */
  readonly isDown: boolean;
  /** Tasks that it has finished. */
  readonly executed: number;
  /** Those among them that failed. */
  readonly failed: number;
  /** Where the tasks came from that it has begun to run: its own queue, which is the fast path and holds what it has spawned, taken or stolen together with others; its inbox, for tasks that were placed there; the queue of all threads. */
  readonly fromOwnQueue: number;
  readonly fromInbox: number;
  readonly fromInjector: number;
  /** Looks into other threads' queues, and those that found something. */
  readonly stealAttempts: number;
  readonly stealSuccesses: number;
  /** Hints that led to no task, because another thread had it or it was given up. */
  readonly staleHints: number;
  /** Tasks that did not fit its own queue and went to the queue of all threads. */
  readonly overflowed: number;
  /** Tasks that it has begun and that wait for something. */
  readonly waiting: number;
  /** Tasks in its own queue. */
  readonly queueDepth: number;
  /** The average time of a task, in nanoseconds; newer ones weigh more. */
  readonly averageNanos: number;
}

/** What a thread counts of itself. */
export type OwnFigures = Omit<ComputeFigures, "thread" | "isDown">;

/** Writes the line of a thread. `line` is the index of its first word. Word by word in the order of the names, because a loop over them reads each property by a name that V8 does not know. */
export function writeFigures(words: Words, line: number, figures: OwnFigures): void {
  words.write(line, figures.executed | 0);
  words.write(line + 1, figures.failed | 0);
  words.write(line + 2, figures.fromOwnQueue | 0);
  words.write(line + 3, figures.fromInbox | 0);
  words.write(line + 4, figures.fromInjector | 0);
  words.write(line + 5, figures.stealAttempts | 0);
  words.write(line + 6, figures.stealSuccesses | 0);
  words.write(line + 7, figures.staleHints | 0);
  words.write(line + 8, figures.overflowed | 0);
  words.write(line + 9, figures.waiting | 0);
  words.write(line + 10, figures.queueDepth | 0);
  words.write(line + 11, figures.averageNanos | 0);
}

/** Empties the line of a thread before its successor starts. */
export function clearFigures(words: Words, base: number, thread: number): void {
  const line = base + thread * FIGURE_WORDS;
  for (let index = 0; index < NAMES.length; index++) words.write(line + index, 0);
}

/** Reads the lines of the threads that serve the places. */
export function readFigures(words: Words, base: number, places: Places): ComputeFigures[] {
  return Array.from({ length: places.count }, (_, place) => {
    const holder = places.holderOf(place);
    const line = base + holder * FIGURE_WORDS;
    const entries = NAMES.map((name, index) => [name, holder === NOBODY ? 0 : words.read(line + index) >>> 0]);
    return { thread: place, isDown: holder === NOBODY, ...Object.fromEntries(entries) } as ComputeFigures;
  });
}

/** The longest of the average times of a task that threads have shown, in microseconds; 0 before the first one has. */
export function readAverageMicros(words: Words, base: number, places: Places): number {
  let nanos = 0;
  for (let place = 0; place < places.count; place++) {
    const holder = places.holderOf(place);
    if (holder !== NOBODY) nanos = Math.max(nanos, words.read(base + holder * FIGURE_WORDS + AVERAGE) >>> 0);
  }
  return nanos / 1_000;
}
