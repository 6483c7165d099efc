/** What the suites of programs share (`tasks`, `messages`): a subject is a program that runs one case by itself and prints one line of JSON. */
import { bothCores, type Cores, pinned, root } from "./machine.js";
import { select } from "./options.js";
import { run } from "./processes.js";
import { progress } from "./progress.js";
import { type Run, runRounds } from "./rounds.js";
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
  accept(run: Run<Case, ProgramSubject>, output: unknown): string;
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
  await runRounds(context, {
    cases,
    subjects,
    rounds,
    deadlineMs,
    has,
    measure: async (run) => {
      const { output, remark } = await runOnce(run.subject, {
        args: suite.argsFor(run.runCase, length),
        length,
        cores: place,
      });
      progress(`round ${run.round + 1} ${run.runCase.name} ${run.subject.name}: ${suite.accept(run, output)}`);
      if (remark !== undefined) context.notes.add(remark, `${run.runCase.name} ${run.subject.name}`);
    },
    explain: (error, { runCase, subject }) => ({
      suite: context.suite,
      case: runCase.name,
      subject: subject.name,
      kind: error instanceof ProgramError && error.isUnavailable ? "unavailable" : "failed",
      reason: error instanceof Error ? error.message : String(error),
    }),
  });
}

class ProgramError extends Error {
  override readonly name = "ProgramError";
  readonly isUnavailable: boolean;

  constructor(message: string, isUnavailable: boolean) {
    super(message);
    this.isUnavailable = isUnavailable;
  }
}

interface Outcome {
  readonly output: unknown;
  /** What went wrong behind the measurement. */
  readonly remark: string | undefined;
}

async function runOnce(
  subject: ProgramSubject,
  { args, length, cores }: { args: readonly string[]; length: RunLength; cores: Cores | undefined },
): Promise<Outcome> {
  const command = pinned(cores, [subject.executable, ...subject.args, ...args]);
  const timeoutMs = (length.warmupSeconds + length.seconds) * 1_000 + 20_000;
  const { code, stdout, stderr } = await run(command, { cwd: root, timeoutMs });
  const remark = /^remark: (.*)/m.exec(stderr)?.[1];
  // A peer that was measured and then did not end well was measured. Of Ringloom that is a bug.
  if (code === 0 && remark !== undefined && subject.needs.includes("ringloom")) throw new ProgramError(remark, false);
  if (code !== 0) {
    const lines = stderr.trim().split("\n");
    const words = lines.find((line) => /^\w*error( \[|:)|^killed after/i.test(line)) ?? lines.at(-1);
    throw new ProgramError(words || `ended with code ${code}`, code === EXIT_UNAVAILABLE);
  }
  try {
    return { output: JSON.parse(stdout), remark };
  } catch {
    throw new ProgramError(`printed no JSON but ${JSON.stringify(stdout.slice(0, 100))}`, false);
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
