/** The suite `net`: streams over loopback to one echo server, a thread for each connection (peers/net-echo.c). The shapes of RESEARCH 2.1, same parameters. */
import { bothCores, pinned, root } from "../harness/machine.js";
import { prepare, programPath } from "../harness/prepare.js";
import { type RunningServer, startServer } from "../harness/processes.js";
import { numbersOf, type ProgramSubject, runPrograms } from "../harness/programs.js";
import type { Run } from "../harness/rounds.js";
import type { Metric } from "../harness/rows.js";
import type { Context, Goal, Suite } from "../harness/suite.js";
import { netSubjects } from "./net-subjects.js";

const START_TIMEOUT_MS = 10_000;

interface NetCase {
  readonly name: string;
  readonly about: string;
  readonly frameBytes: number;
  readonly connections: number;
  readonly steps: number;
  readonly hot: number;
  readonly cold: number;
  readonly rotates: boolean;
  readonly window: number;
  readonly hotWork: number;
  readonly coldWork: number;
  /** Values that are sent to an owner behind each frame. */
  readonly dispatches?: number;
}

const oneStream = { connections: 1, cold: 0, rotates: false, hotWork: 0, coldWork: 0 };
const eightStreams = { frameBytes: 4096, connections: 8, window: 32, hotWork: 0, coldWork: 0 };

/** An operation is a frame that came back, or a connection; an iteration is what the case says, over and over on the same connections. */
const netCases: readonly NetCase[] = [
  {
    name: "net_echo_rtt_256b",
    about: "512 round trips of 256 bytes, one after the other",
    ...oneStream,
    frameBytes: 256,
    steps: 512,
    hot: 1,
    window: 1,
  },
  {
    name: "net_stream_throughput_4k_window32",
    about: "2,048 frames of 4 KiB: 32 are written, then 32 read back",
    ...oneStream,
    frameBytes: 4096,
    steps: 1,
    hot: 2048,
    window: 32,
  },
  {
    name: "net_stream_imbalanced_4k_hot1_light7",
    about: "8 connections: one carries 2,048 frames of 4 KiB, seven 128 each",
    ...eightStreams,
    steps: 1,
    hot: 2048,
    cold: 128,
    rotates: false,
  },
  {
    name: "net_stream_hotspot_rotation_4k",
    about: "8 connections, 64 steps: 32 frames on the hot one, which changes each step, 2 on the others",
    ...eightStreams,
    steps: 64,
    hot: 32,
    cold: 2,
    rotates: true,
  },
  {
    name: "net_pipeline_hotspot_rotation_4k_window32",
    about: "8 connections x 1,024 frames, each followed by CPU work: 4,000 steps of the kernel where hot, else 150",
    ...eightStreams,
    steps: 16,
    hot: 64,
    cold: 64,
    rotates: true,
    hotWork: 4_000,
    coldWork: 150,
  },
  {
    name: "net_keyed_hotspot_rotation_4k",
    about:
      "the hotspot rotation, and behind each frame 16 values to one of two owners, who add them up: 47,104 an iteration",
    ...eightStreams,
    steps: 64,
    hot: 32,
    cold: 2,
    rotates: true,
    dispatches: 16,
  },
];

const visits: NetCase = {
  name: "net_connect_accept_c64",
  about: "10,000 connects and accepts in one process, 64 at a time; the server closes, then the client; per connection",
  ...oneStream,
  frameBytes: 0,
  connections: 64,
  steps: 1,
  hot: 10_000,
  window: 1,
};

const cases: readonly NetCase[] = [...netCases, visits];

const time: Metric = { name: "ns/op", unit: "ns", better: "lower", decimals: 0 };
const cpu: Metric = { name: "cpu-us/op", unit: "µs", better: "lower", decimals: 2 };

/** The suite. */
export const netSuite: Suite = {
  name: "net",
  about: "TCP streams: echo round trips, throughput with a window, imbalanced and rotating load",
  cases,
  subjects: netSubjects,
  metrics: [time, cpu],
  comparisons: [
    { metric: time.name, base: "tokio" },
    { metric: time.name, base: "node-net" },
  ],
  plotted: [time.name],
  goals: [
    goal("net_echo_rtt_256b", "tokio-1t", 1),
    goal("net_echo_rtt_256b", "node-net", 1 / 1.5),
    goal("net_stream_throughput_4k_window32", "tokio-1t", 1 / 1.3),
    goal("net_stream_throughput_4k_window32", "node-net", 1 / 1.8),
    goal("net_stream_imbalanced_4k_hot1_light7", "tokio-1t", 1),
    goal("net_stream_hotspot_rotation_4k", "tokio-1t", 1),
    goal("net_pipeline_hotspot_rotation_4k_window32", "tokio-1t", 1),
    goal("net_keyed_hotspot_rotation_4k", "tokio-1t", 1),
  ],
  run,
};

function goal(caseName: string, base: string, value: number): Goal {
  return { suite: "net", case: caseName, metric: time.name, subject: "ringloom", base, relation: "at most", value };
}

async function run(context: Context): Promise<void> {
  context.notes.add("net: the echo server, in C, has a blocking thread for each connection on the same two cores");
  context.notes.add("net: the same thread counts are ringloom, node-net, bun, tokio-1t and go-1t");
  const server = (await prepare("net-echo")) === undefined ? await startEcho(context) : undefined;
  try {
    await runPrograms(context, {
      cases,
      subjects: netSubjects,
      argsFor: (netCase, { warmupSeconds, seconds }) => [
        ...argsOf(netCase, server?.port ?? 0),
        String(warmupSeconds),
        String(seconds),
        ...(netCase.dispatches === undefined ? [] : [String(netCase.dispatches)]),
      ],
      accept: (netRun, output) => accept(context, netRun, output),
    });
  } finally {
    await server?.stop();
  }
}

function startEcho({ placement }: Context): Promise<RunningServer> {
  const command = pinned(bothCores(placement), [programPath("net-echo")]);
  return startServer(command, { cwd: root, timeoutMs: START_TIMEOUT_MS });
}

function argsOf(netCase: NetCase, port: number): string[] {
  const { frameBytes, connections, steps, hot, cold, rotates, window, hotWork, coldWork } = netCase;
  return [port, frameBytes, connections, steps, hot, cold, rotates ? 1 : 0, window, hotWork, coldWork].map(String);
}

function accept(
  { results }: Context,
  { runCase, subject, round }: Run<NetCase, ProgramSubject>,
  output: unknown,
): string {
  const { count, ns, cpuNs } = numbersOf(output, ["count", "ns", "cpuNs", "sum"]);
  const perIteration = framesOf(runCase);
  if (count === 0 || count % perIteration !== 0)
    throw new Error(`Cannot use the result: ${count} frames are no whole number of iterations of ${perIteration}`);
  results.add("net", runCase.name, subject.name, time, round, ns / count);
  results.add("net", runCase.name, subject.name, cpu, round, cpuNs / count / 1e3);
  return `${(ns / count).toFixed(0)} ns a frame`;
}

/** Frames of one iteration: in each step one connection is hot. */
function framesOf({ connections, steps, hot, cold }: NetCase): number {
  return steps * (hot + (connections - 1) * cold);
}
