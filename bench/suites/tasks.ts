/** The suite `tasks`: CPU work in other threads, from nothing to 100 µs a task, and fan-out with fan-in. */
import { burn, stepNs, stepsOf } from "../harness/kernel.js";
import { numbersOf, type ProgramSubject, runPrograms } from "../harness/programs.js";
import type { Run } from "../harness/rounds.js";
import type { Metric } from "../harness/rows.js";
import type { Context, Goal, Suite } from "../harness/suite.js";
import { EXECUTORS, taskSubjects } from "./task-subjects.js";

/** A subject whose kernel runs so much faster or slower than the calibration is remarked on. */
const KERNEL_TOLERANCE = 0.1;

/** Batches of `width` tasks: all submitted, then all awaited. */
export interface TaskCase {
  readonly name: string;
  readonly about: string;
  readonly width: number;
  /** Steps of the kernel in a task. A function, because some are calibrated when the suite starts. */
  readonly steps: () => number;
  /** Steps of one task of each batch, another one in each; 0 when all are alike. */
  readonly hotSteps: number;
}

/** The cases. The fan-outs have the shape and the step counts of the field's usual benchmark: 16 branches, 2,000 steps, or 500 with one of 20,000. */
export const taskCases: readonly TaskCase[] = [
  batch("empty-1", "empty tasks, one in flight", 1, () => 0),
  batch("empty-1000", "empty tasks, 1,000 in flight", 1_000, () => 0),
  batch("busy10us-1000", "tasks of 10 µs, 1,000 in flight", 1_000, () => stepsOf(10)),
  batch("busy100us-1000", "tasks of 100 µs, 1,000 in flight", 1_000, () => stepsOf(100)),
  batch("fanout-balanced", "16 tasks of 2,000 steps, joined before the next 16", 16, () => 2_000),
  batch(
    "fanout-skewed",
    "16 tasks, one of 20,000 steps and 15 of 500, joined before the next 16",
    16,
    () => 500,
    20_000,
  ),
];

const perTask: Metric = { name: "us/task", unit: "µs", better: "lower", decimals: 3 };
const taskRate: Metric = { name: "tasks/s", unit: "tasks/s", better: "higher", decimals: 0 };
const speedup: Metric = { name: "speedup", unit: "× one core", better: "higher", decimals: 2 };
const cpu: Metric = { name: "cpu%", unit: "%", better: "lower", decimals: 0 };

/** The suite. */
export const tasksSuite: Suite = {
  name: "tasks",
  about: "tasks on two executor threads: empty, 10 µs and 100 µs, and fan-out 16",
  cases: taskCases,
  subjects: taskSubjects,
  metrics: [perTask, taskRate, speedup, cpu],
  comparisons: [
    { metric: perTask.name, base: "piscina" },
    { metric: perTask.name, base: "tokio" },
  ],
  plotted: [perTask.name],
  goals: [
    goal("empty-1000", perTask, "piscina", "at most", 1 / 30),
    goal("empty-1000", perTask, "tokio", "at most", 2.5),
    goal("empty-1", perTask, "piscina", "at most", 1 / 15),
    goal("busy100us-1000", speedup, undefined, "at least", 1.85),
  ],
  run,
};

function batch(name: string, about: string, width: number, steps: () => number, hotSteps = 0): TaskCase {
  return { name, about, width, steps, hotSteps };
}

function goal(
  caseName: string,
  metric: Metric,
  base: string | undefined,
  relation: Goal["relation"],
  value: number,
): Goal {
  return { suite: "tasks", case: caseName, metric: metric.name, subject: "ringloom", base, relation, value };
}

async function run(context: Context): Promise<void> {
  const { notes } = context;
  notes.add(
    `tasks: ${EXECUTORS} executor threads; one step of the kernel takes ${stepNs().toFixed(3)} ns, so 10 µs are ${stepsOf(10).toLocaleString("en")} steps and 100 µs ${stepsOf(100).toLocaleString("en")}`,
  );
  await runPrograms(context, {
    cases: taskCases,
    subjects: taskSubjects,
    argsFor: ({ width, steps, hotSteps }, { warmupSeconds, seconds }) =>
      [width, steps(), hotSteps, warmupSeconds, seconds].map(String),
    accept: (taskRun, output) => accept(context, taskRun, output),
  });
}

function accept(
  { results, notes }: Context,
  { runCase: taskCase, subject, round }: Run<TaskCase, ProgramSubject>,
  output: unknown,
): string {
  const figures = numbersOf(output, ["batches", "ns", "cpuNs", "totalBatches", "sum", "kernelNs"]);
  const expected = expectedSum(taskCase, figures.totalBatches);
  if (figures.batches === 0) throw new Error("no batch was finished in time");
  if (figures.sum !== expected) throw new Error(`Cannot use the results: their sum is ${figures.sum}, not ${expected}`);
  const tasks = figures.batches * taskCase.width;
  const nsPerTask = figures.ns / tasks;
  const add = (metric: Metric, value: number): void =>
    results.add("tasks", taskCase.name, subject.name, metric, round, value);
  add(perTask, nsPerTask / 1e3);
  add(taskRate, 1e9 / nsPerTask);
  add(cpu, (figures.cpuNs / figures.ns) * 100);
  const meanSteps = meanStepsOf(taskCase);
  if (meanSteps > 0) add(speedup, (meanSteps * figures.kernelNs) / nsPerTask);
  const deviation = figures.kernelNs / stepNs() - 1;
  if (Math.abs(deviation) > KERNEL_TOLERANCE) {
    notes.add(
      "the kernel's speed differed by over 10 % from the calibration, so a task was not as long as stated",
      subject.name,
    );
  }
  return `${(nsPerTask / 1e3).toFixed(3)} µs a task`;
}

function meanStepsOf({ width, steps, hotSteps }: TaskCase): number {
  return hotSteps === 0 ? steps() : (steps() * (width - 1) + hotSteps) / width;
}

/** The sum of all right results, modulo 2^32, after so many batches; see peers/pools/main.js for who computes what. */
export function expectedSum({ width, steps, hotSteps }: Omit<TaskCase, "name" | "about">, batches: number): number {
  const stepsOfCase = steps();
  const plain = Array.from({ length: 16 }, (_, seed) => burn(seed + 1, stepsOfCase));
  let ofBatch = 0;
  for (let b = 0; b < width; b++) ofBatch = (ofBatch + (plain[b & 15] ?? 0)) >>> 0;
  let sum = Math.imul(ofBatch, batches) >>> 0;
  if (hotSteps === 0) return sum;
  for (let r = 0; r < Math.min(width, batches); r++) {
    // Task r is the hot one of every batch whose number is r modulo the width.
    const times = Math.floor((batches - 1 - r) / width) + 1;
    sum = (sum + Math.imul(burn((r & 15) + 1, hotSteps) - (plain[r & 15] ?? 0), times)) >>> 0;
  }
  return sum;
}
