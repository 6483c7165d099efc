/** What the model checker runs: a few threads over a few words of shared memory, and what must hold. */
import type { Words } from "../../src/shared/words.js";

/** A thread of a program: ordinary synchronous code. It is run from its start many times, so it must be a function of what it reads from `words` alone. */
export type ModelThread = (words: Words) => void;

/** A program over one structure, or over a protocol across several. */
export interface ModelProgram {
  readonly name: string;
  /** How many words it needs, all 0 at first. */
  readonly length: number;
  /** Prepares the words, before any thread starts; not interleaved. */
  readonly setup?: (words: Words) => void;
  readonly threads: readonly ModelThread[];
  /** Runs after all threads have ended, not interleaved: throws when something was lost, doubled or invented. `killed` are the indexes of threads that died. */
  readonly finish: (words: Words, killed: readonly number[]) => void;
  /** Threads that may be killed before any of their steps, by index. None if absent. */
  readonly mortal?: readonly number[];
  /** How many of them die in one execution at most. 1 if absent; with 2 there is a search for each pair of steps, so it is for small programs. */
  readonly deathsMax?: 1 | 2;
  /** What runs after a thread was killed, as a further thread that interleaves with the rest: the reaper. After two deaths it runs twice, in either order, one run behind the other. */
  readonly reaper?: (words: Words, killed: number) => void;
  /** For a planted bug: the checker must find a failure whose message matches. */
  readonly mustFail?: RegExp;
  /** Only with `--deep`. */
  readonly isDeep?: boolean;
  /** What a word is, for the printed schedules: `head`, `value of slot 2`. Numbers alone if absent. */
  readonly nameOf?: (index: number) => string;
  /** The most steps that one thread makes in an execution, payload included: what a loop that never ends is cut at. 300 if absent. */
  readonly stepsMax?: number;
  /** The most executions, those of all deaths together. 2,000,000 if absent, 50 times that with `--deep`. */
  readonly executionsMax?: number;
  /** A `wait` with a timeout may also time out. If absent it never does, so that a timeout cannot hide a lost wake-up. */
  readonly hasTimeouts?: boolean;
  /** Why this program cannot be explored to its end. Without it, a program that is not is a failure. */
  readonly isBounded?: string;
}
