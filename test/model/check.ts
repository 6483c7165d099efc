/** Checks a program: every interleaving without a death, then with the death of each mortal thread before each of its steps, and where a program asks for it with two deaths. */
import { Explorer, type ExplorerOptions, nameOfThread } from "./explorer.js";
import { describeStep } from "./operation.js";
import type { ModelProgram } from "./program.js";
import { type Death, formatSchedule, parseSchedule } from "./schedule.js";

const EXECUTIONS_MAX = 2_000_000;
const DEEP_FACTOR = 50;

/** How far to go. */
export interface CheckOptions {
  readonly isDeep?: boolean;
  /** What the search may take, in milliseconds; no end if absent. */
  readonly timeMsMax?: number;
}

/** What is known about a program after a check. */
export interface Verdict {
  /** Whether it did what it claims: no failure and explored to its end, or, for a planted bug, the failure that it must have. */
  readonly isOk: boolean;
  /** One line: `exhaustive`, `bounded: …`, `planted bug found: …`, or what is wrong. */
  readonly summary: string;
  /** Interleavings that were run to their end, no two of them equivalent. */
  readonly executions: number;
  /** Interleavings that were given up as equivalent to others. */
  readonly redundant: number;
  /** Searches with a death or two. */
  readonly deaths: number;
  readonly steps: number;
  readonly elapsedMs: number;
  readonly isExhaustive: boolean;
  /** The first failure, also one that was planted. */
  readonly failure: Failure | undefined;
}

export interface Failure {
  readonly message: string;
  /** For `--replay`. */
  readonly schedule: string;
}

/** Explores the program within its bounds, up to its first failure. */
export function checkProgram(program: ModelProgram, options: CheckOptions = {}): Verdict {
  const startedMs = performance.now();
  const tally = new Tally(program, options);
  const mortal = program.mortal ?? [];
  const stranger = mortal.find((thread) => thread >= program.threads.length);
  if (stranger !== undefined) {
    throw new RangeError(`Cannot check ${program.name}: there is no thread ${stranger}`);
  }
  const base = tally.explore([]);
  for (const [nth, thread] of mortal.entries()) {
    // A thread's steps before its death are those that it makes without one, so the first search has met every position.
    for (const first of deathsOf(base, thread)) {
      if (tally.failure !== undefined) break;
      const alone = tally.explore([first]);
      if (program.deathsMax !== 2) continue;
      // The search with the first death has met what another thread may have done by its own, whichever of the two comes earlier.
      for (const second of mortal.slice(nth + 1).flatMap((other) => deathsOf(alone, other))) {
        if (tally.failure === undefined) tally.explore([first, second]);
      }
    }
  }
  return { ...judge(program, tally), ...tally.figures, elapsedMs: performance.now() - startedMs };
}

function deathsOf(explorer: Explorer, thread: number): Death[] {
  return [...explorer.deathPositions[thread]!].flatMap((isMet, position) => {
    return isMet === 1 && position > 0 ? [{ thread, position }] : [];
  });
}

/** One execution, spelled out. */
export interface Replay {
  readonly lines: readonly string[];
  readonly failure: string | undefined;
}

/**
 * Runs one schedule and names each access.
 *
 * @throws SyntaxError for a text that is no schedule
 * @throws RangeError when the program has no such execution
 */
export function replaySchedule(program: ModelProgram, text: string): Replay {
  const { threads, deaths } = parseSchedule(text);
  const explorer = new Explorer(program, { deaths, schedule: threads });
  const { failure } = explorer.run();
  const { nameOf } = program;
  const spell = (index: number): string => (nameOf === undefined ? `${index}` : `${index} ${nameOf(index)}`);
  const lines = explorer.steps.map(({ thread, step }, at) => {
    return `${String(at + 1).padStart(4)} ${nameOfThread(program, thread).padEnd(10)} ${describeStep(step, spell)}`;
  });
  return { lines, failure };
}

/** The searches of one program, added up. */
class Tally {
  executions = 0;
  redundant = 0;
  cut = 0;
  steps = 0;
  deaths = 0;
  isFinished = true;
  failure: Failure | undefined;
  readonly #program: ModelProgram;
  readonly #executionsMax: number;
  readonly #endMs: number;

  constructor(program: ModelProgram, { isDeep = false, timeMsMax = Number.POSITIVE_INFINITY }: CheckOptions) {
    this.#program = program;
    this.#executionsMax = (program.executionsMax ?? EXECUTIONS_MAX) * (isDeep ? DEEP_FACTOR : 1);
    this.#endMs = performance.now() + timeMsMax;
  }

  get figures() {
    const { executions, redundant, steps, deaths, failure } = this;
    return { executions, redundant, steps, deaths, failure };
  }

  explore(deaths: readonly Death[]): Explorer {
    let ended = 0;
    const left = this.#executionsMax - this.executions - this.redundant - this.cut;
    const mayGoOn = (): boolean => ++ended < left && ((ended & 255) !== 0 || performance.now() < this.#endMs);
    const options: ExplorerOptions = { deaths, mayGoOn };
    const explorer = new Explorer(this.#program, options);
    const { executions, redundant, cut, steps, isFinished, failure } = explorer.run();
    this.executions += executions;
    this.redundant += redundant;
    this.cut += cut;
    this.steps += steps;
    this.deaths += deaths.length === 0 ? 0 : 1;
    this.isFinished &&= isFinished;
    if (failure !== undefined) {
      this.failure = { message: failure, schedule: formatSchedule({ threads: explorer.schedule, deaths }) };
    }
    return explorer;
  }
}

function judge(program: ModelProgram, tally: Tally): Pick<Verdict, "isOk" | "summary" | "isExhaustive"> {
  const { failure, isFinished, cut } = tally;
  const isExhaustive = isFinished && cut === 0;
  if (failure !== undefined) {
    const isOk = program.mustFail?.test(failure.message) ?? false;
    const found = program.mustFail === undefined ? "" : `planted bug ${isOk ? "" : "not "}found: `;
    return { isOk, summary: found + failure.message, isExhaustive };
  }
  if (program.mustFail !== undefined) {
    return { isOk: false, summary: "planted bug not found: nothing failed", isExhaustive };
  }
  if (isExhaustive) return { isOk: true, summary: "exhaustive", isExhaustive };
  const reason = isFinished
    ? `${cut} executions were cut after too many steps`
    : "the budget of executions or time ran out";
  const isOk = program.isBounded !== undefined;
  const summary = `${isOk ? "bounded" : "NOT exhaustive"}: ${program.isBounded ?? reason}`;
  return { isOk, summary, isExhaustive };
}
