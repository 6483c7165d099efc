/** The suite `messages`: two threads on two cores, in three regimes told apart by what they do while they wait, and what starting costs. */
import { numbersOf, type ProgramSubject, runPrograms } from "../harness/programs.js";
import type { Run } from "../harness/rounds.js";
import type { Metric } from "../harness/rows.js";
import type { Context, Goal, Suite } from "../harness/suite.js";
import { messageSubjects } from "./message-subjects.js";

interface MessageCase {
  readonly name: string;
  readonly about: string;
}

/** The cases. `pair.h` has the constants: rounds, values, and for how long the adaptive regime spins. */
const messageCases: readonly MessageCase[] = [
  { name: "rtt-busy", about: "steady_ping_pong_rtt: round trip of one word, 256 in a row, both threads spin" },
  { name: "rtt-adaptive", about: "the same, both spin for 50 µs before they block (Tokio: as it decides)" },
  { name: "rtt-parked", about: "the same, both block in the kernel at once" },
  {
    name: "one-way",
    about:
      "steady_one_way_send_drain: 2,048 words one way, in order, then a flush and a question answered with their sum; adaptive; per word",
  },
  { name: "cold-start", about: "make the other thread, 64 rounds, end it; adaptive; per session" },
  { name: "warm-start", about: "64 rounds with a thread that is there and has slept for 1 ms; adaptive; per session" },
];

const time: Metric = { name: "ns", unit: "ns", better: "lower", decimals: 1 };
const cpu: Metric = { name: "cpu%", unit: "%", better: "lower", decimals: 0 };

/** The suite. */
export const messagesSuite: Suite = {
  name: "messages",
  about: "words between two threads: round trips busy, adaptive and parked, one way, cold and warm start",
  cases: messageCases,
  subjects: messageSubjects,
  metrics: [time, cpu],
  comparisons: [
    { metric: time.name, base: "messageport" },
    { metric: time.name, base: "c-futex" },
  ],
  plotted: [time.name],
  // The lane below the API has to reach them too: what is between the two is the API's.
  goals: ["ringloom", "ringloom-lane"].flatMap((subject) => [
    goal("rtt-busy", subject, undefined, 300),
    goal("rtt-parked", subject, "c-futex", 1.2),
    goal("one-way", subject, undefined, 50),
  ]),
  run,
};

function goal(caseName: string, subject: string, base: string | undefined, value: number): Goal {
  return {
    suite: "messages",
    case: caseName,
    metric: time.name,
    subject,
    base,
    relation: "at most",
    value,
  };
}

async function run(context: Context): Promise<void> {
  const { serverCore, loadCore } = context.placement;
  const cores = [loadCore ?? "-1", serverCore ?? "-1"];
  if (serverCore === undefined) {
    context.notes.add("messages: the threads are not pinned, so the kernel may put both on one core");
  } else {
    context.notes.add(
      "messages: one thread on each core, except in Node's cold-start and in tokio with 2 workers; the main thread of ringloom's two shards sleeps meanwhile",
    );
    context.notes.add("messages: cold-start of ringloom is a server of 2 shards from nothing to its end");
  }
  await runPrograms(context, {
    cases: messageCases,
    subjects: messageSubjects,
    argsFor: ({ name }, { warmupSeconds, seconds }) => [name, String(warmupSeconds), String(seconds), ...cores],
    accept: (messageRun, output) => accept(context, messageRun, output),
  });
}

function accept(
  { results }: Context,
  { runCase: { name: caseName }, subject, round }: Run<MessageCase, ProgramSubject>,
  output: unknown,
): string {
  const { count, ns, cpuNs, wallNs } = numbersOf(output, ["count", "ns", "cpuNs", "wallNs"]);
  if (count === 0) throw new Error("nothing was finished in time");
  results.add("messages", caseName, subject.name, time, round, ns / count);
  // Between warm starts everything sleeps on purpose, so the share of time would say nothing.
  if (caseName !== "warm-start") results.add("messages", caseName, subject.name, cpu, round, (cpuNs / wallNs) * 100);
  return `${(ns / count).toFixed(1)} ns`;
}
