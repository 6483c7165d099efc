/** The suite `timers`: many pending timers, many tasks that sleep, and what an await costs. */
import { join } from "node:path";
import { peersDirectory } from "../harness/machine.js";
import { goVersion, peerVersion, programPath, tokioPath, tokioVersion } from "../harness/prepare.js";
import { numbersOf, type ProgramSubject, runPrograms } from "../harness/programs.js";
import type { Run } from "../harness/rounds.js";
import type { Metric } from "../harness/rows.js";
import type { Context, Goal, Suite } from "../harness/suite.js";

interface TimerCase {
  readonly name: string;
  readonly about: string;
  readonly kind: "pending" | "sleep" | "spawn" | "hop";
  readonly count: number;
}

/** The cases. Those of sleeping tasks have the parameters of zio's benchmark: 10,000 tasks, each a no-op or a sleep of 10 ms. */
const timerCases: readonly TimerCase[] = [
  pending("timers-1k", 1_000),
  pending("timers-10k", 10_000),
  pending("timers-100k", 100_000),
  pending("timers-1m", 1_000_000),
  { name: "sleep-0ms", about: "10,000 tasks that do nothing, until all have ended", kind: "spawn", count: 10_000 },
  { name: "sleep-10ms", about: "10,000 tasks that sleep 10 ms, until all have ended", kind: "sleep", count: 10_000 },
  { name: "await-hop", about: "one task that gives way and goes on, 100,000 times", kind: "hop", count: 100_000 },
];

const insert: Metric = { name: "insert-ns", unit: "ns", better: "lower", decimals: 1 };
const cancel: Metric = { name: "cancel-ns", unit: "ns", better: "lower", decimals: 1 };
const bytes: Metric = { name: "bytes", unit: "bytes", better: "lower", decimals: 0 };
const promiseBytes: Metric = { name: "promise-bytes", unit: "bytes", better: "lower", decimals: 0 };
const wall: Metric = { name: "ms", unit: "ms", better: "lower", decimals: 2 };
const hop: Metric = { name: "ns/op", unit: "ns", better: "lower", decimals: 1 };

const JAVASCRIPT = "bench/peers/timers/main.js";

const subjects: readonly ProgramSubject[] = [
  {
    name: "ringloom",
    about: () => `the thread's timer wheel and sleep(), Node ${process.versions.node}`,
    needs: ["ringloom"],
    executable: process.execPath,
    args: ["--expose-gc", JAVASCRIPT, "bench/apps/timers.js"],
  },
  {
    name: "node",
    about: () => `setTimeout and node:timers/promises, Node ${process.versions.node}`,
    needs: [],
    executable: process.execPath,
    args: ["--expose-gc", JAVASCRIPT, "bench/peers/timers/timeouts.js"],
  },
  {
    name: "bun",
    about: () => `setTimeout and node:timers/promises, Bun ${peerVersion("bun")}; no bytes`,
    needs: ["peers"],
    executable: join(peersDirectory, "node_modules/.bin/bun"),
    args: [JAVASCRIPT, "bench/peers/timers/timeouts.js"],
  },
  {
    name: "tokio",
    about: () =>
      `Tokio ${tokioVersion()}, current-thread runtime: Sleep futures, polled once; await-hop: yield_now. Bytes by resident memory`,
    needs: ["tokio"],
    executable: tokioPath,
    args: ["timers"],
  },
  {
    name: "go",
    about: () => `${goVersion()}, GOMAXPROCS 1: AfterFunc and Stop, goroutines that Sleep; await-hop: Gosched`,
    needs: ["go"],
    executable: programPath("go-peer"),
    args: ["timers"],
  },
];

/** The suite. */
export const timersSuite: Suite = {
  name: "timers",
  about: "1,000 to a million pending timers, 10,000 tasks that sleep, the cost of an await",
  cases: timerCases,
  subjects,
  metrics: [insert, cancel, bytes, promiseBytes, wall, hop],
  comparisons: [
    { metric: insert.name, base: "node" },
    { metric: wall.name, base: "tokio" },
    { metric: wall.name, base: "go" },
  ],
  plotted: [insert.name],
  goals: [goal(bytes, undefined, 64), goal(promiseBytes, undefined, 300), goal(insert, "node", 1)],
  run,
};

function pending(name: string, count: number): TimerCase {
  return { name, about: `${count.toLocaleString("en")} timers inserted, then cancelled`, kind: "pending", count };
}

function goal({ name }: Metric, base: string | undefined, value: number): Goal {
  return { suite: "timers", case: "timers-1m", metric: name, subject: "ringloom", base, relation: "at most", value };
}

async function run(context: Context): Promise<void> {
  await runPrograms(context, {
    cases: timerCases,
    subjects,
    argsFor: ({ kind, count }, { warmupSeconds, seconds }) => [kind, ...[count, warmupSeconds, seconds].map(String)],
    accept: (timerRun, output) => accept(context, timerRun, output),
  });
}

function accept(
  { results }: Context,
  { runCase, subject, round }: Run<TimerCase, ProgramSubject>,
  output: unknown,
): string {
  const add = (metric: Metric, value: number): void =>
    results.add("timers", runCase.name, subject.name, metric, round, value);
  const { count } = numbersOf(output, ["count"]);
  if (count === 0) throw new Error("nothing was finished in time");
  if (runCase.kind !== "pending") {
    const { ns } = numbersOf(output, ["ns"]);
    if (runCase.kind === "hop") add(hop, ns / count);
    else add(wall, ns / 1e6 / count);
    return `${(ns / count).toFixed(1)} ns each`;
  }
  const { insertNs, cancelNs } = numbersOf(output, ["insertNs", "cancelNs"]);
  add(insert, insertNs / count);
  add(cancel, cancelNs / count);
  for (const [name, metric] of [
    ["bytes", bytes],
    ["promiseBytes", promiseBytes],
  ] as const) {
    // A small crowd says nothing: what the process allocates besides weighs more.
    if (runCase.name !== "timers-1m" || !hasField(output, name)) continue;
    add(metric, numbersOf(output, [name])[name]);
  }
  return `${(insertNs / count).toFixed(1)} ns to insert, ${(cancelNs / count).toFixed(1)} ns to cancel`;
}

function hasField(output: unknown, name: string): boolean {
  return typeof output === "object" && output !== null && name in output;
}
