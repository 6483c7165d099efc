/** The suite `scheduler`: what was guessed about the scheduler's structures, each guess against its alternatives. The table in docs/scheduler.md is from here. */
import { numbersOf, type ProgramSubject, runPrograms } from "../harness/programs.js";
import type { Metric } from "../harness/rows.js";
import type { Context, Suite } from "../harness/suite.js";

const cases = [
  { name: "empty-1", about: "empty tasks, one in flight" },
  { name: "empty-1000", about: "empty tasks, 1,000 in flight" },
  { name: "rest-1", about: "an empty task after each millisecond of rest" },
  { name: "tree", about: "a tree of tasks that spawn tasks: 8 children each, 4 levels" },
  { name: "fan-balanced", about: "a task that spawns and joins 256 tasks of 2,000 steps" },
  { name: "fan-skewed", about: "the same with 500 steps, and 200,000 in one" },
];

const perTask: Metric = { name: "us/task", unit: "µs", better: "lower", decimals: 3 };
const cpuPerTask: Metric = { name: "cpu-us/task", unit: "µs", better: "lower", decimals: 3 };
const steals: Metric = { name: "steals/1000", unit: "", better: "lower", decimals: 1 };

const variants: readonly (readonly [name: string, about: string, parameters: Record<string, unknown>])[] = [
  ["default", "as shipped: no LIFO slots, an injector shard a thread, steal half, fetch-and, 25 µs of spinning", {}],
  ["lifo-1", "one LIFO slot before the run queue", { lifoSlots: 1 }],
  ["lifo-4", "four LIFO slots", { lifoSlots: 4 }],
  ["injector-1", "one injector shard", { injectorShards: 1 }],
  ["injector-8", "eight injector shards", { injectorShards: 8 }],
  ["steal-one", "a theft takes one task", { stealMax: 1 }],
  ["compare-and-swap", "a sleeping thread is picked by compare-and-swap", { form: "compare-and-swap" }],
  ["spin-0", "idle threads sleep at once", { spinMicros: 0 }],
  ["spin-5", "idle threads spin for 5 µs", { spinMicros: 5 }],
  ["spin-100", "idle threads spin for 100 µs", { spinMicros: 100 }],
];

const subjects: readonly ProgramSubject[] = variants.map(([name, about, parameters]) => ({
  name,
  about: () => about,
  needs: ["ringloom"],
  executable: process.execPath,
  args: ["bench/experiments/run-variant.js", JSON.stringify(parameters)],
}));

/** The suite. */
export const schedulerSuite: Suite = {
  name: "scheduler",
  about: "variants of the scheduler's structures against each other",
  cases,
  subjects,
  metrics: [perTask, cpuPerTask, steals],
  comparisons: [{ metric: perTask.name, base: "default" }],
  plotted: [],
  goals: [],
  run,
};

async function run(context: Context): Promise<void> {
  await runPrograms(context, {
    cases,
    subjects,
    argsFor: ({ name }, { warmupSeconds, seconds }) => [name, String(warmupSeconds), String(seconds)],
    accept: ({ runCase: { name }, subject, round }, output) => {
      const figures = numbersOf(output, ["tasks", "ns", "cpuNs", "steals"]);
      if (figures.tasks === 0) throw new Error("no batch was finished in time");
      const add = (metric: Metric, value: number): void =>
        context.results.add("scheduler", name, subject.name, metric, round, value);
      add(perTask, figures.ns / figures.tasks / 1e3);
      add(cpuPerTask, figures.cpuNs / figures.tasks / 1e3);
      add(steals, (figures.steals / figures.tasks) * 1e3);
      return `${(figures.ns / figures.tasks / 1e3).toFixed(3)} µs a task`;
    },
  });
}
