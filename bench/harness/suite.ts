/** What a suite is, and which of its subjects can be had. */
import { existsSync } from "node:fs";
import type { Placement } from "./machine.js";
import type { Options } from "./options.js";
import { type Need, prepare } from "./prepare.js";
import type { Metric, Notes, Results } from "./rows.js";

/** A suite may take this long with `--quick`. */
export const QUICK_SECONDS_MAX = 45;

/** Something that a figure should be, relative to a subject of the same run or absolute. */
export interface Goal {
  readonly suite: string;
  readonly case: string;
  readonly metric: string;
  readonly subject: string;
  /** The figure is the ratio to this subject's; undefined for an absolute figure. */
  readonly base: string | undefined;
  readonly relation: "at least" | "at most";
  readonly value: number;
}

/** A column of the report that compares with one subject. */
export interface Comparison {
  readonly metric: string;
  readonly base: string;
}

export interface Context {
  /** Name of the suite that runs. */
  readonly suite: string;
  readonly options: Options;
  readonly placement: Placement;
  readonly results: Results;
  readonly notes: Notes;
}

export interface Suite {
  readonly name: string;
  readonly about: string;
  readonly cases: readonly { readonly name: string; readonly about: string }[];
  /** What the report and the command line need of a subject; servers are {@link Subject}s, other suites have their own kind. */
  readonly subjects: readonly {
    readonly name: string;
    readonly about: () => string;
    readonly needs: readonly Need[];
  }[];
  readonly metrics: readonly Metric[];
  readonly comparisons: readonly Comparison[];
  /** The metrics that `--plot` draws. */
  readonly plotted: readonly string[];
  readonly goals: readonly Goal[];
  run(context: Context): Promise<void>;
}

/** Meets the needs of the subjects and returns those that can be had; the others are noted as unavailable. */
export async function availableSubjects<T extends Requirements>(
  suite: string,
  subjects: readonly T[],
  results: Results,
): Promise<T[]> {
  const available: T[] = [];
  for (const subject of subjects) {
    const reason = await unmetNeed(subject);
    if (reason === undefined) available.push(subject);
    else results.miss({ suite, case: undefined, subject: subject.name, kind: "unavailable", reason });
  }
  return available;
}

/** What must be there before a subject can run. */
export interface Requirements {
  readonly name: string;
  readonly needs: readonly Need[];
  readonly executable: string;
}

async function unmetNeed(subject: Requirements): Promise<string | undefined> {
  for (const need of subject.needs) {
    const reason = await prepare(need);
    if (reason !== undefined) return reason;
  }
  return existsSync(subject.executable) ? undefined : `${subject.executable} does not exist`;
}
