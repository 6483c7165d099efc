/** What a run says about the goals, and the exit code that follows. */
import type { Options } from "./options.js";
import type { Missing, Results } from "./rows.js";
import type { Goal, Suite } from "./suite.js";

/** A goal and what the run says about it. */
export interface Verdict {
  readonly goal: Goal;
  /** Undefined when it was not measured. */
  readonly figure: number | undefined;
  readonly isMet: boolean | undefined;
  /** Why it cannot be judged; undefined when it can. */
  readonly reason: string | undefined;
}

/** What of a suite was asked for. */
export type Selection = Pick<Options, "subjects" | "cases">;

/** Judges the goals of a suite of which case, subject and base were asked for. */
export function judge(suite: Suite, results: Results, selection: Selection): Verdict[] {
  const rows = results.rows();
  return chosenGoals(suite, selection).map((goal) => {
    const figure =
      goal.base === undefined
        ? rows.find((row) => isOf(goal, row))?.median
        : results.ratio(goal.suite, goal.case, goal.metric, goal.subject, goal.base);
    if (figure === undefined) return { goal, figure, isMet: undefined, reason: reasonFor(goal, results) };
    const isMet = goal.relation === "at least" ? figure >= goal.value : figure <= goal.value;
    return { goal, figure, isMet, reason: undefined };
  });
}

/**
 * The exit code: 1 when nothing was measured, when Ringloom or a subject that a goal compares with failed, and with `--check` when a goal was missed. A peer that no goal needs may
 * fail: the report says so, and that some pool loses a promise now and then must not make our own run red.
 */
export function exitCodeOf(suites: readonly Suite[], results: Results, options: Options): 0 | 1 {
  if (results.rows().length === 0) return 1;
  if (results.missing.some((missing) => isGrave(missing, suites, options))) return 1;
  const isMissed = suites.some((suite) => judge(suite, results, options).some(({ isMet }) => isMet === false));
  return options.isChecking && isMissed ? 1 : 0;
}

function isGrave({ kind, subject, suite: name, case: caseName }: Missing, suites: readonly Suite[], options: Options) {
  if (kind !== "failed") return false;
  const suite = suites.find((one) => one.name === name);
  if (subject === "all" || suite === undefined) return true;
  if (suite.subjects.some((one) => one.name === subject && one.needs.includes("ringloom"))) return true;
  return chosenGoals(suite, options).some(
    (goal) => goal.base === subject && (caseName === undefined || goal.case === caseName),
  );
}

function chosenGoals({ goals }: Suite, { subjects, cases }: Selection): Goal[] {
  const isChosen = (names: readonly string[] | undefined, name: string | undefined): boolean =>
    names === undefined || name === undefined || names.includes(name);
  return goals.filter(
    (goal) => isChosen(cases, goal.case) && isChosen(subjects, goal.subject) && isChosen(subjects, goal.base),
  );
}

function reasonFor(goal: Goal, results: Results): string {
  const missing = results.missing.find(
    (one) =>
      one.suite === goal.suite &&
      (one.case === undefined || one.case === goal.case) &&
      [goal.subject, goal.base, "all"].includes(one.subject),
  );
  if (missing !== undefined) return `${missing.subject}: ${missing.reason}`;
  const base = results.rows().find((row) => row.subject === goal.base && isOf({ ...goal, subject: row.subject }, row));
  return base?.median === 0 ? `${goal.base} has 0` : "not measured";
}

function isOf(
  { suite, case: caseName, metric, subject }: Pick<Goal, "suite" | "case" | "metric" | "subject">,
  row: Readonly<Record<"suite" | "case" | "metric" | "subject", string>>,
): boolean {
  return row.suite === suite && row.case === caseName && row.metric === metric && row.subject === subject;
}
