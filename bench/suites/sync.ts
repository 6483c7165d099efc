/** The suite `sync`: spawning, channels, locks and `select`, all on what the language gives a program by itself: one thread of Node, two of Go and Tokio. */
import { join } from "node:path";
import { peersDirectory } from "../harness/machine.js";
import { goVersion, peerVersion, programPath, tokioPath, tokioVersion } from "../harness/prepare.js";
import { numbersOf, type ProgramSubject, runPrograms } from "../harness/programs.js";
import type { Run } from "../harness/rounds.js";
import type { Metric } from "../harness/rows.js";
import type { Context, Goal, Suite } from "../harness/suite.js";

/** What one iteration does, and what must come of it. */
export interface SyncCase {
  readonly name: string;
  readonly about: string;
  /** Operations of one iteration. */
  readonly operations: number;
  /** The check sum of one iteration. */
  readonly sum: number;
}

const OPERATIONS = 100_000;
const CHANNEL_CASES = ["ping-pong-1", "ping-pong-100", "fan-in", "fan-out", "channel-1"];
const TASKS = 10_000;
/** The exclusive or of all numbers from 1 to {@link OPERATIONS}, which is a multiple of 4. */
const XOR = OPERATIONS;

/** The cases; `spawn`, the ping-pongs and the fans have the shapes and counts of zio's benchmarks. */
export const syncCases: readonly SyncCase[] = [
  { name: "spawn", about: "10,000 tasks that count, joined", operations: TASKS, sum: TASKS },
  countCase("ping-pong-1", "100,000 messages there and back over two channels of capacity 1, one pair of tasks"),
  countCase("ping-pong-100", "the same, shared among 100 pairs"),
  {
    name: "fan-in",
    about: "100,000 items, 1,000 producers, 1 consumer, capacity 256",
    operations: OPERATIONS,
    sum: XOR,
  },
  {
    name: "fan-out",
    about: "100,000 items, 1 producer, 1,000 consumers, capacity 256",
    operations: OPERATIONS,
    sum: XOR,
  },
  countCase("channel-1", "a task sends to itself and receives, capacity 1"),
  countCase("lock-1", "a task locks a mutex and unlocks it"),
  countCase("lock-100", "the same, 100 tasks"),
  countCase("select-2", "a select of two channels, one of which is ready"),
  countCase("await-hop", "an await of a call that is complete; in Go and Tokio a yield"),
];

const perOperation: Metric = { name: "ns/op", unit: "ns", better: "lower", decimals: 0 };
const cpu: Metric = { name: "cpu%", unit: "%", better: "lower", decimals: 0 };
const ringloomModule = "bench/apps/sync.js";
const nodeModule = "bench/peers/sync/node.js";
const program = "bench/peers/sync/main.js";

const syncSubjects: readonly ProgramSubject[] = [
  {
    name: "ringloom",
    about: () => `ringloom/sync, one thread, Node ${process.versions.node}`,
    needs: ["ringloom"],
    executable: process.execPath,
    args: [program, ringloomModule],
  },
  {
    name: "ringloom-try",
    about: () => `the same with an await only where something is waited for, Node ${process.versions.node}`,
    needs: ["ringloom"],
    executable: process.execPath,
    args: [program, "bench/apps/sync-try.js"],
    cases: CHANNEL_CASES,
  },
  {
    name: "ringloom-bun",
    about: () => `the same program, Bun ${peerVersion("bun")}`,
    needs: ["ringloom", "peers"],
    executable: join(peersDirectory, "node_modules/.bin/bun"),
    args: [program, ringloomModule],
  },
  {
    name: "node",
    about: () => `promises, events.once, PassThrough, Node ${process.versions.node}`,
    needs: [],
    executable: process.execPath,
    args: [program, nodeModule],
    cases: ["spawn", "ping-pong-1", "ping-pong-100", "fan-in", "lock-1", "lock-100", "select-2", "await-hop"],
  },
  {
    name: "bun",
    about: () => `the program of node, Bun ${peerVersion("bun")}`,
    needs: ["peers"],
    executable: join(peersDirectory, "node_modules/.bin/bun"),
    args: [program, nodeModule],
    cases: ["spawn", "ping-pong-1", "ping-pong-100", "fan-in", "lock-1", "lock-100", "select-2", "await-hop"],
  },
  tokio("tokio", 2),
  tokio("tokio-st", 1),
  go("go", 2),
  go("go-st", 1),
];

/** The suite. */
export const syncSuite: Suite = {
  name: "sync",
  about: "spawning, channels, locks, select: ringloom/sync against Node's own, Tokio and Go",
  cases: syncCases,
  subjects: syncSubjects,
  metrics: [perOperation, cpu],
  comparisons: [
    { metric: perOperation.name, base: "go" },
    { metric: perOperation.name, base: "node" },
  ],
  plotted: [perOperation.name],
  goals: ["spawn", ...CHANNEL_CASES].map(goal),
  run,
};

function countCase(name: string, about: string): SyncCase {
  return { name, about, operations: OPERATIONS, sum: OPERATIONS };
}

function tokio(name: string, threads: number): ProgramSubject {
  const about = (): string => `Tokio ${tokioVersion()}, ${threads === 1 ? "current thread" : `${threads} threads`}`;
  return { name, about, needs: ["tokio"], executable: tokioPath, args: ["sync", String(threads)] };
}

function go(name: string, threads: number): ProgramSubject {
  const about = (): string => `${goVersion()}, GOMAXPROCS ${threads}`;
  return { name, about, needs: ["go"], executable: programPath("go-peer"), args: ["sync", String(threads)] };
}

function goal(caseName: string): Goal {
  return {
    suite: "sync",
    case: caseName,
    metric: perOperation.name,
    subject: "ringloom",
    base: "go",
    relation: "at most",
    value: 2,
  };
}

async function run(context: Context): Promise<void> {
  await runPrograms(context, {
    cases: syncCases,
    subjects: syncSubjects,
    argsFor: ({ name }, { warmupSeconds, seconds }) => [name, String(warmupSeconds), String(seconds)],
    accept: (syncRun, output) => accept(context, syncRun, output),
  });
}

function accept(
  { results }: Context,
  { runCase, subject, round }: Run<SyncCase, ProgramSubject>,
  output: unknown,
): string {
  const figures = numbersOf(output, ["iterations", "ns", "cpuNs", "totalIterations", "sum"]);
  const expected = Math.imul(runCase.sum, figures.totalIterations) >>> 0;
  if (figures.sum !== expected) throw new Error(`Cannot use the results: their sum is ${figures.sum}, not ${expected}`);
  const ns = figures.ns / (figures.iterations * runCase.operations);
  const add = (metric: Metric, value: number): void =>
    results.add("sync", runCase.name, subject.name, metric, round, value);
  add(perOperation, ns);
  add(cpu, (figures.cpuNs / figures.ns) * 100);
  return `${ns.toFixed(0)} ns an operation`;
}
