/** The suite `sync-shared`: channels and locks that threads share, between two threads that sleep in their event loops. */
import { numbersOf, type ProgramSubject, runPrograms } from "../harness/programs.js";
import type { Run } from "../harness/rounds.js";
import type { Metric } from "../harness/rows.js";
import type { Context, Suite } from "../harness/suite.js";

const cases = [
  { name: "ping-pong", about: "one value to the other thread and back, each awaited; per round trip" },
  { name: "fan-in", about: "the other thread sends numbers one by one, at most 255 ahead; per value received" },
  { name: "lock-contended", about: "both threads lock and unlock one mutex in a loop; per lock, of both" },
  { name: "lock-alone", about: "one thread locks and unlocks a shared mutex; per lock" },
] as const;

type SharedCase = (typeof cases)[number];

const subjects: readonly ProgramSubject[] = [
  {
    name: "ringloom",
    about: () => `sharedChannel and sharedMutex, main thread and compute thread, Node ${process.versions.node}`,
    needs: ["ringloom"],
    executable: process.execPath,
    args: ["bench/apps/sync-shared.js"],
  },
  {
    name: "messageport",
    about: () => `postMessage, main thread and worker, Node ${process.versions.node}`,
    needs: [],
    executable: process.execPath,
    args: ["bench/peers/pairs/shared-port.js"],
    cases: ["ping-pong", "fan-in"],
  },
];

const time: Metric = { name: "ns/op", unit: "ns", better: "lower", decimals: 0 };

/** The suite. */
export const syncSharedSuite: Suite = {
  name: "sync-shared",
  about: "channels and locks in shared memory: values from thread to thread, a mutex alone and contended",
  cases,
  subjects,
  metrics: [time],
  comparisons: [{ metric: time.name, base: "messageport" }],
  plotted: [time.name],
  goals: [],
  run,
};

async function run(context: Context): Promise<void> {
  await runPrograms<SharedCase>(context, {
    cases,
    subjects,
    argsFor: ({ name }, { warmupSeconds, seconds }) => [name, String(warmupSeconds), String(seconds)],
    accept: (sharedRun, output) => accept(context, sharedRun, output),
  });
}

function accept(
  { results }: Context,
  { runCase, subject, round }: Run<SharedCase, ProgramSubject>,
  output: unknown,
): string {
  const { count, ns } = numbersOf(output, ["count", "ns"]);
  if (count === 0) throw new Error("nothing was finished in time");
  results.add("sync-shared", runCase.name, subject.name, time, round, ns / count);
  return `${(ns / count).toFixed(0)} ns`;
}
