/** The suite `topologies`: the ways to say which threads of a server run tasks, against each other. The table in docs/scheduler.md is from here; what each means for requests, the suite `mixed` shows. */
import { numbersOf, type ProgramSubject, runPrograms } from "../harness/programs.js";
import type { Metric } from "../harness/rows.js";
import type { Context, Suite } from "../harness/suite.js";

const cases = [
  { name: "empty-1000", about: "shard 0 spawns 1,000 empty tasks and joins them" },
  { name: "fan-balanced", about: "shard 0 spawns and joins 256 tasks of 2,000 steps" },
  { name: "fan-skewed", about: "the same with 500 steps, and 200,000 in one" },
  { name: "even", about: "each of two shards spawns and joins 256 tasks of 2,000 steps" },
];

const perTask: Metric = { name: "us/task", unit: "µs", better: "lower", decimals: 3 };
const cpuPerTask: Metric = { name: "cpu-us/task", unit: "µs", better: "lower", decimals: 3 };

const subjects: readonly ProgramSubject[] = [
  topology("io+compute", "2 shards and 2 compute threads", 2),
  topology("io+compute-1", "2 shards and 1 compute thread", 1),
  topology("work-stealing", "2 shards, which run the tasks of both", 0),
  topology("thread-per-core", "2 shards, each runs its own tasks", 0),
];

/** The suite. */
export const topologiesSuite: Suite = {
  name: "topologies",
  about: "which threads of a server run tasks: compute threads, all shards together, or each shard its own",
  cases,
  subjects,
  metrics: [perTask, cpuPerTask],
  comparisons: [{ metric: perTask.name, base: "io+compute" }],
  plotted: [],
  goals: [],
  run,
};

function topology(name: string, about: string, compute: number): ProgramSubject {
  const option = compute === 0 ? name : "io+compute";
  return {
    name,
    about: () => about,
    needs: ["ringloom"],
    executable: process.execPath,
    args: ["bench/experiments/run-topology.js", option, String(compute)],
  };
}

async function run(context: Context): Promise<void> {
  await runPrograms(context, {
    cases,
    subjects,
    argsFor: ({ name }, { warmupSeconds, seconds }) => [name, String(warmupSeconds), String(seconds)],
    accept: ({ runCase: { name }, subject, round }, output) => {
      const figures = numbersOf(output, ["tasks", "ns", "cpuNs"]);
      if (figures.tasks === 0) throw new Error("no batch was finished in time");
      const add = (metric: Metric, value: number): void =>
        context.results.add("topologies", name, subject.name, metric, round, value);
      add(perTask, figures.ns / figures.tasks / 1e3);
      add(cpuPerTask, figures.cpuNs / figures.tasks / 1e3);
      return `${(figures.ns / figures.tasks / 1e3).toFixed(3)} µs a task`;
    },
  });
}
