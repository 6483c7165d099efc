/** The report on stdout: tables of medians with their spread and ratios, goals, remarks, and everything that could not be measured. */
import type { Placement } from "./machine.js";
import { describeMachine } from "./machine.js";
import type { Metric, Notes, Results, Row } from "./rows.js";
import type { Comparison, Suite } from "./suite.js";
import { judge, type Selection, type Verdict } from "./verdict.js";

/** What there is to report. */
export interface Outcome {
  readonly results: Results;
  readonly notes: Notes;
  readonly placement: Placement;
  readonly selection: Selection;
}

/** The whole report as text. */
export function report(suites: readonly Suite[], { results, notes, placement, selection }: Outcome): string {
  const lines = [`${describeMachine()}`, `${placement.description}; ${new Date().toISOString().slice(0, 10)}`];
  lines.push(
    "Medians over the rounds, (lowest–highest) in brackets; × is the median of the rounds' ratios to that subject.",
    "",
  );
  for (const suite of suites) lines.push(...suiteLines(suite, results, selection));
  const remarks = notes.lines();
  if (remarks.length > 0) lines.push("Remarks:", ...remarks.map((remark) => `  ${remark}`), "");
  if (results.missing.length > 0) {
    lines.push("Not measured:");
    const words = { unavailable: "not available", failed: "FAILED", skipped: "skipped" };
    for (const { suite, case: caseName, subject, kind, reason } of results.missing) {
      lines.push(`  ${suite}${caseName === undefined ? "" : ` ${caseName}`} ${subject}: ${words[kind]}: ${reason}`);
    }
    lines.push("");
  }
  return lines.join("\n");
}

function suiteLines(suite: Suite, results: Results, selection: Selection): string[] {
  const rows = results.rows().filter((row) => row.suite === suite.name);
  const lines: string[] = [];
  for (const { name, about } of suite.cases) {
    const caseRows = rows.filter((row) => row.case === name);
    if (caseRows.length === 0) continue;
    lines.push(`${suite.name} / ${name}: ${about}`, ...caseTable(suite, name, caseRows, results), "");
  }
  const present = suite.subjects.filter(({ name }) => rows.some((row) => row.subject === name));
  if (present.length > 0) lines.push("Subjects:", ...present.map(({ name, about }) => `  ${name}: ${about()}`), "");
  const verdicts = judge(suite, results, selection);
  if (verdicts.length > 0) lines.push("Goals:", ...verdicts.map(verdictLine), "");
  return lines;
}

function verdictLine({ goal, figure, isMet, reason }: Verdict): string {
  const what = `${goal.case} ${goal.metric} of ${goal.subject}`;
  const base = goal.base === undefined ? "" : ` × ${goal.base}`;
  const wanted = `${goal.relation} ${goal.value.toLocaleString("en")}${base}`;
  if (figure === undefined) return `  open   ${what}, ${wanted}: not judged (${reason})`;
  const shown = goal.base === undefined ? figureText(figure) : ratioText(figure);
  return `  ${isMet === true ? "met   " : "MISSED"} ${what}: ${shown}${base}, ${goal.relation} ${goal.value.toLocaleString("en")}`;
}

function caseTable(suite: Suite, caseName: string, rows: readonly Row[], results: Results): string[] {
  const metrics = suite.metrics.filter((metric) => rows.some((row) => row.metric === metric.name));
  const subjects = suite.subjects
    .filter(({ name }) => rows.some((row) => row.subject === name))
    .map(({ name }) => name);
  const header = ["subject"];
  const cells: string[][] = subjects.map((subject) => [subject]);
  for (const metric of metrics) {
    header.push(/\/|%|^ns$|requests/.test(metric.name) ? metric.name : `${metric.name} ${metric.unit}`);
    subjects.forEach((subject, index) => {
      cells[index]?.push(figureCell(metric, find(rows, suite.name, caseName, subject, metric.name)));
    });
    for (const comparison of suite.comparisons.filter((one) => one.metric === metric.name)) {
      if (!subjects.includes(comparison.base)) continue;
      header.push(`× ${comparison.base}`);
      subjects.forEach((subject, index) => {
        cells[index]?.push(ratioCell(results, suite.name, caseName, subject, comparison));
      });
    }
  }
  return align([header, ...cells]);
}

function figureCell(metric: Metric, row: Row | undefined): string {
  if (row === undefined) return "-";
  const text = (value: number): string => {
    const decimals = value >= 1_000 ? 0 : metric.decimals;
    return value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  };
  return row.rounds === 1 ? text(row.median) : `${text(row.median)} (${text(row.min)}–${text(row.max)})`;
}

function ratioCell(results: Results, suite: string, caseName: string, subject: string, comparison: Comparison): string {
  const ratio = results.ratio(suite, caseName, comparison.metric, subject, comparison.base);
  return ratio === undefined ? "-" : ratioText(ratio);
}

function figureText(figure: number): string {
  return Math.abs(figure) < 100 ? figure.toFixed(2) : Math.round(figure).toLocaleString("en");
}

/** Two decimals, or two digits of what is small beside its base. */
function ratioText(ratio: number): string {
  return Math.abs(ratio) < 0.1 && ratio !== 0 ? String(Number(ratio.toPrecision(2))) : ratio.toFixed(2);
}

function align(table: readonly (readonly string[])[]): string[] {
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0)));
  return table.map((line) => {
    const cells = line.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    return `  ${cells.join("  ")}`.trimEnd();
  });
}

function find(rows: readonly Row[], suite: string, caseName: string, subject: string, metric: string): Row | undefined {
  return rows.find(
    (row) => row.suite === suite && row.case === caseName && row.subject === subject && row.metric === metric,
  );
}
