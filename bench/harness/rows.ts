/** The measurements of a run: values by suite, case, metric, subject and round, and the rows of the JSON file made from them. */
import { pairedRatio, summarize } from "./statistics.js";

/** One row of the JSON file. */
export interface Row {
  readonly suite: string;
  readonly case: string;
  readonly metric: string;
  readonly subject: string;
  readonly unit: string;
  readonly better: "higher" | "lower";
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly rounds: number;
}

/** What a metric is called, counted in, and which direction is good. */
export interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly better: "higher" | "lower";
  /** Decimals in tables. */
  readonly decimals: number;
}

/** Something that could not be measured, with its reason. `case` is undefined when it holds for all of them. */
export interface Missing {
  readonly suite: string;
  readonly case: string | undefined;
  readonly subject: string;
  /** `unavailable`: this machine cannot have the subject. `failed`: it ran and went wrong. `skipped`: there was no time left. */
  readonly kind: "unavailable" | "failed" | "skipped";
  readonly reason: string;
}

/** Remarks for the report. The same remark about several runs is one line that names them. */
export class Notes {
  readonly #runs = new Map<string, Set<string>>();

  /** Adds a remark, about one run or about the whole. */
  add(text: string, run?: string): void {
    const runs = this.#runs.get(text) ?? new Set();
    if (run !== undefined) runs.add(run);
    this.#runs.set(text, runs);
  }

  /** The remarks, one line each. */
  lines(): string[] {
    return [...this.#runs].map(([text, runs]) => (runs.size === 0 ? text : `${text}: ${[...runs].join(", ")}`));
  }
}

interface Series {
  readonly suite: string;
  readonly case: string;
  readonly metric: Metric;
  readonly subject: string;
  readonly values: Map<number, number>;
}

/** Collects measurements. */
export class Results {
  readonly missing: Missing[] = [];
  readonly #series = new Map<string, Series>();

  /** Adds the value of one round. `round` counts from 0. */
  add(suite: string, caseName: string, subject: string, metric: Metric, round: number, value: number): void {
    if (!Number.isFinite(value))
      throw new RangeError(`Cannot add a measurement: ${metric.name} of ${subject} is ${value}`);
    const key = keyOf(suite, caseName, subject, metric.name);
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { suite, case: caseName, metric, subject, values: new Map() };
      this.#series.set(key, series);
    }
    series.values.set(round, value);
  }

  /** Notes that something is missing; the same note twice counts once. */
  miss(missing: Missing): void {
    const isKnown = this.missing.some(
      (one) =>
        one.suite === missing.suite &&
        one.case === missing.case &&
        one.subject === missing.subject &&
        one.reason === missing.reason,
    );
    if (!isKnown) this.missing.push(missing);
  }

  /** All rows, in the order in which their first values came. */
  rows(): Row[] {
    return [...this.#series.values()].map(({ suite, case: caseName, metric, subject, values }) => {
      const { median, min, max, rounds } = summarize([...values.values()]);
      const { name, unit, better } = metric;
      return {
        suite,
        case: caseName,
        metric: name,
        subject,
        unit,
        better,
        median: tidy(median),
        min: tidy(min),
        max: tidy(max),
        rounds,
      };
    });
  }

  /** How many times the subject's value is that of `base`, from paired rounds; undefined where one of them is missing. */
  ratio(suite: string, caseName: string, metric: string, subject: string, base: string): number | undefined {
    const values = this.#series.get(keyOf(suite, caseName, subject, metric))?.values;
    const baseValues = this.#series.get(keyOf(suite, caseName, base, metric))?.values;
    return values === undefined || baseValues === undefined ? undefined : pairedRatio(values, baseValues);
  }
}

function keyOf(suite: string, caseName: string, subject: string, metric: string): string {
  return [suite, caseName, subject, metric].join("\n");
}

/** Four significant digits are more than any of these measurements has. */
function tidy(value: number): number {
  return Math.abs(value) >= 1_000 ? Math.round(value) : Number(value.toPrecision(4));
}
