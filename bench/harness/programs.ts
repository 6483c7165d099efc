/** What the suites of programs share (`tasks`, `messages`): a subject is a program that runs one case by itself and prints one line of JSON. */
import { bothCores, pinned, root } from "./machine.js";
import { rotate, select } from "./options.js";
import { run } from "./processes.js";
import { progress } from "./progress.js";
import { availableSubjects, type Context, QUICK_SECONDS_MAX, type Requirements } from "./suite.js";

const ROUNDS_DEFAULT = 5;
const SECONDS_DEFAULT = 1;
const WARMUP_SECONDS = 0.7;
const WARMUP_SECONDS_QUICK = 0.25;
/** What starting and ending one program takes, roughly. */
const START_SECONDS = 0.3;
/** `--quick` plans for less than its limit, so that a slow machine keeps it too. */
const QUICK_SECONDS_PLANNED = 36;
/** How the C programs say that this machine has no io_uring for them (peers/ring.h). */
const EXIT_UNAVAILABLE = 3;

/** A program that runs a case. */
export interface ProgramSubject extends Requirements {
  /** What it is, for the report; called after its needs are met. */
  readonly about: () => string;
  readonly args: readonly string[];
  /** The cases that it has; all without it. */
  readonly cases?: readonly string[];
}

/** How long one run of a program lasts. */
export interface RunLength {
  readonly warmupSeconds: number;
  readonly seconds: number;
}

/** How a suite of programs talks to them. */
export interface ProgramSuite<Case extends { readonly name: string }> {
  readonly cases: readonly Case[];
  readonly subjects: readonly ProgramSubject[];
  /** The arguments behind the subject's own. */
  argsFor(runCase: Case, length: RunLength): readonly string[];
  /** Checks what the program printed and adds its figures. Returns a few words for the progress line; throws an Error when a result is wrong. */
  accept(runCase: Case, subject: ProgramSubject, output: unknown, round: number): string;
}

/**
 * Runs every case with every subject once a round, each in a fresh process on the two cores of the placement. A subject that fails in a case is not run in it again,
 * and the failure is in the report.
 */
export async function runPrograms<Case extends { readonly name: string }>(
  context: Context,
  suite: ProgramSuite<Case>,
): Promise<void> {
  const { options, results } = context;
  const cases = select(suite.cases, options.cases);
  const subjects = await availableSubjects(context.suite, select(suite.subjects, options.subjects), results);
  const has = (subject: ProgramSubject, runCase: Case): boolean => subject.cases?.includes(runCase.name) ?? true;
  const runs = cases.flatMap((runCase) => subjects.filter((subject) => has(subject, runCase))).length;
  const rounds = options.rounds ?? (options.isQuick ? 1 : ROUNDS_DEFAULT);
  const length = planLength(context, runs * rounds);
  const deadlineMs = options.isQuick ? performance.now() + (QUICK_SECONDS_MAX - 3) * 1_000 : Number.POSITIVE_INFINITY;
  const place = bothCores(context.placement);
  context.notes.add(
    place === undefined
      ? `${context.suite}: the programs are not pinned to two cores`
      : `${context.suite}: each program has cores ${place} for all of its threads`,
  );
  progress(`${context.suite}: ${runs} programs a round, ${rounds} rounds of ${length.seconds.toFixed(2)} s`);
  const dead = new Set<string>();
  for (let round = 0; round < rounds; round++) {
    for (const runCase of cases) {
      for (const subject of rotate(subjects, round)) {
        const key = `${runCase.name} ${subject.name}`;
        if (dead.has(key) || !has(subject, runCase)) continue;
        const miss = (kind: "failed" | "skipped" | "unavailable", reason: string): void => {
          results.miss({ suite: context.suite, case: runCase.name, subject: subject.name, kind, reason });
        };
        if (performance.now() > deadlineMs) {
          miss("skipped", "out of time");
          continue;
        }
        const outcome = await runOnce(subject, [...suite.argsFor(runCase, length)], length, place);
        try {
          if ("missing" in outcome) throw new ProgramError(outcome.missing, outcome.isUnavailable);
          progress(`round ${round + 1} ${key}: ${suite.accept(runCase, subject, outcome.output, round)}`);
        } catch (error) {
          const reason = error instanceof Error ? error.message : String(error);
          dead.add(key);
          miss(error instanceof ProgramError && error.isUnavailable ? "unavailable" : "failed", reason);
          progress(`${key}: ${reason}`);
        }
      }
    }
  }
}

class ProgramError extends Error {
  override readonly name = "ProgramError";
  readonly isUnavailable: boolean;

  constructor(message: string, isUnavailable: boolean) {
    super(message);
    this.isUnavailable = isUnavailable;
  }
}

type Outcome = { readonly output: unknown } | { readonly missing: string; readonly isUnavailable: boolean };

async function runOnce(
  subject: ProgramSubject,
  args: readonly string[],
  length: RunLength,
  cores: string | undefined,
): Promise<Outcome> {
  const command = pinned(cores, [subject.executable, ...subject.args, ...args]);
  const timeoutMs = (length.warmupSeconds + length.seconds) * 1_000 + 20_000;
  const { code, stdout, stderr } = await run(command, { cwd: root, timeoutMs });
  if (code !== 0) {
    const lines = stderr.trim().split("\n");
    const words = lines.find((line) => /^\w*error( \[|:)|^killed after/i.test(line)) ?? lines.at(-1);
    return { missing: words || `ended with code ${code}`, isUnavailable: code === EXIT_UNAVAILABLE };
  }
  try {
    return { output: JSON.parse(stdout) };
  } catch {
    return { missing: `printed no JSON but ${JSON.stringify(stdout.slice(0, 100))}`, isUnavailable: false };
  }
}

function planLength({ options }: Context, runs: number): RunLength {
  if (!options.isQuick) return { warmupSeconds: WARMUP_SECONDS, seconds: options.seconds ?? SECONDS_DEFAULT };
  const affordable = QUICK_SECONDS_PLANNED / Math.max(1, runs) - START_SECONDS - WARMUP_SECONDS_QUICK;
  return {
    warmupSeconds: WARMUP_SECONDS_QUICK,
    seconds: options.seconds ?? Math.min(SECONDS_DEFAULT, Math.max(0.1, affordable)),
  };
}

/** The numbers of these names in what a program printed. Throws an Error naming the first that is missing. */
export function numbersOf<Name extends string>(output: unknown, names: readonly Name[]): Record<Name, number> {
  const fields = new Map<string, unknown>(typeof output === "object" && output !== null ? Object.entries(output) : []);
  return Object.fromEntries(
    names.map((name) => {
      const value = fields.get(name);
      if (typeof value !== "number" || !Number.isFinite(value)) throw new Error(`Cannot read the output: no ${name}`);
      return [name, value];
    }),
  ) as Record<Name, number>;
}
