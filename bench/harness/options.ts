/** The command line of the benchmarks. */
import { parseArgs } from "node:util";

export interface Options {
  readonly suites: readonly string[];
  readonly isQuick: boolean;
  readonly jsonPath: string | undefined;
  readonly isPlotting: boolean;
  /** Undefined leaves the choice to the suite. */
  readonly rounds: number | undefined;
  readonly seconds: number | undefined;
  readonly subjects: readonly string[] | undefined;
  readonly cases: readonly string[] | undefined;
  readonly isUsingWrk: boolean;
  readonly isChecking: boolean;
}

/** Thrown for a command line that means nothing. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The text of `--help`. */
export function helpText(suites: readonly { name: string; about: string }[]): string {
  const list = suites.map(({ name, about }) => `  ${name.padEnd(8)} ${about}`).join("\n");
  return `Usage: npm run bench -- <suite…|all> [options]

Suites:
${list}

Options:
  --quick            one round, short, within 45 seconds a suite; no system calls, no heap bytes
  --rounds N         rounds (default 5; 1 with --quick); each runs every case and subject once
  --seconds S        counted seconds of each run (default 1.5; what 45 s allow with --quick), after a warm-up
  --subjects a,b     only these subjects
  --cases a,b        only these cases
  --json FILE        write the rows to FILE and the report beside it (.txt)
  --plot             write SVG charts beside the JSON file (without --json: into bench/results)
  --wrk              measure with wrk as well (metrics wrk-req/s, wrk-p50 and wrk-p99)
  --check            exit with code 1 when a goal is missed
  --help             this text

Exit codes: 0 measured; 1 Ringloom or a subject that a goal compares with failed, nothing could be measured, or (--check) a goal was missed; 2 wrong usage.
`;
}

/**
 * Reads the command line. Returns "help" when that is all that is wanted.
 * Throws a {@link UsageError} for what it does not know.
 */
export function parseOptions(args: readonly string[], suiteNames: readonly string[]): Options | "help" {
  const { values, positionals } = parse(args);
  if (values.help === true) return "help";
  if (positionals.length === 0) throw new UsageError(`Cannot run: no suite is named (${suiteNames.join(", ")} or all)`);
  const suites = positionals.includes("all") ? suiteNames : positionals;
  for (const name of suites) {
    if (!suiteNames.includes(name)) throw new UsageError(`Cannot run ${name}: the suites are ${suiteNames.join(", ")}`);
  }
  return {
    suites: [...new Set(suites)],
    isQuick: values.quick ?? false,
    jsonPath: values.json,
    isPlotting: values.plot ?? false,
    rounds: positive("--rounds", values.rounds, true),
    seconds: positive("--seconds", values.seconds, false),
    subjects: list(values.subjects),
    cases: list(values.cases),
    isUsingWrk: values.wrk ?? false,
    isChecking: values.check ?? false,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h" },
        quick: { type: "boolean" },
        json: { type: "string" },
        plot: { type: "boolean" },
        rounds: { type: "string" },
        seconds: { type: "string" },
        subjects: { type: "string" },
        cases: { type: "string" },
        wrk: { type: "boolean" },
        check: { type: "boolean" },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function list(text: string | undefined): string[] | undefined {
  return text?.split(",").filter((part) => part !== "");
}

function positive(name: string, text: string | undefined, isWhole: boolean): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value > 0 && value <= 3_600) || (isWhole && !Number.isInteger(value))) {
    throw new UsageError(
      `Cannot use ${name} ${text}: it must be a positive ${isWhole ? "whole number" : "number"} up to 3,600`,
    );
  }
  return value;
}

/** Throws a {@link UsageError} when `wanted` holds a name that is not in `known`. */
export function checkNames(kind: string, wanted: readonly string[] | undefined, known: readonly string[]): void {
  const unknown = wanted?.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new UsageError(`Cannot find the ${kind} ${unknown}: there are ${[...new Set(known)].join(", ")}`);
}

/** The members of `all` that `wanted` names; all without it. */
export function select<T extends { readonly name: string }>(
  all: readonly T[],
  wanted: readonly string[] | undefined,
): T[] {
  return wanted === undefined ? [...all] : all.filter(({ name }) => wanted.includes(name));
}
