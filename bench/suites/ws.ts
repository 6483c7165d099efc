/** The suite `ws`: WebSocket echoes over 50 connections, one server process on one core, and a broadcast to 10,000 sockets, in alternating rounds. */
import { LoadError } from "../harness/load.js";
import { bothCores, type Cores, pinned } from "../harness/machine.js";
import { select } from "../harness/options.js";
import { peerVersion, prepare, programPath } from "../harness/prepare.js";
import { type RunningServer, run } from "../harness/processes.js";
import { progress } from "../harness/progress.js";
import { runRounds } from "../harness/rounds.js";
import type { Metric } from "../harness/rows.js";
import { missingFrom, withServer } from "../harness/servers.js";
import { httpSubjects, ringloom, type Subject } from "../harness/subjects.js";
import { availableSubjects, type Context, QUICK_SECONDS_MAX, type Suite } from "../harness/suite.js";

const CONNECTIONS = 50;
const ROUNDS_DEFAULT = 5;
const SECONDS_DEFAULT = 1.5;
const WARMUP_SECONDS = 1;
/** What a run costs beside its counted seconds, for the plan of `--quick`. */
const RUN_SECONDS_BESIDE = 1.5;

interface EchoCase {
  readonly name: string;
  readonly about: string;
  /** Messages that a connection sends in one piece, before it waits for their echoes. */
  readonly depth: number;
  readonly bytes: number;
  /** Everybody gets each message of the first connection. Ringloom has two shards then, and nobody is pinned: 2 cores are all there is for three threads. */
  readonly isBroadcast?: boolean;
  readonly connections?: number;
}

const cases: readonly EchoCase[] = [
  { name: "echo64-d1", about: "64 bytes, one message in flight on each connection", depth: 1, bytes: 64 },
  { name: "echo64-d16", about: "64 bytes, 16 messages in flight on each connection", depth: 16, bytes: 64 },
  { name: "echo16k-d1", about: "16 KiB, one message in flight on each connection", depth: 1, bytes: 16 * 1024 },
  {
    name: "broadcast-10k",
    about: "64 bytes, published to 10,000 subscribers, the next when all have it; rates count what arrives",
    depth: 1,
    bytes: 64,
    isBroadcast: true,
    connections: 10_000,
  },
];

const rate: Metric = { name: "msg/s", unit: "msg/s", better: "higher", decimals: 0 };
const p50: Metric = { name: "p50", unit: "µs", better: "lower", decimals: 0 };
const p99: Metric = { name: "p99", unit: "µs", better: "lower", decimals: 0 };
const cpu: Metric = { name: "cpu-us/msg", unit: "µs", better: "lower", decimals: 2 };

/** The executable, environment and needs of a subject of `http`, for another program. */
function as(base: string, name: string, about: () => string, args: readonly string[]): Subject {
  const subject = httpSubjects.find((one) => one.name === base);
  if (subject === undefined) throw new Error(`There is no subject ${base}`);
  return { ...subject, name, about, args, needs: ["peers"] };
}

const subjects: readonly Subject[] = [
  ringloom("ringloom", "App.ws, uring driver, 1 shard", "ws.js", "uring"),
  ringloom("ringloom-epoll", "App.ws, epoll driver, 1 shard", "ws.js", "epoll"),
  ringloom("ringloom-portable", "App.ws, portable driver, 1 shard", "ws.js", "portable"),
  as("node-http", "ws", () => `ws ${peerVersion("ws")}, Node ${process.versions.node}`, ["bench/peers/ws.js"]),
  as("node26-http", "ws26", () => `ws ${peerVersion("ws")}, Node ${peerVersion("node")}`, ["bench/peers/ws.js"]),
  as("bun", "bun", () => `Bun.serve, Bun ${peerVersion("bun")}`, ["bench/peers/ws-bun.js"]),
  as("deno", "deno", () => `Deno.serve, Deno ${peerVersion("deno")}`, [
    "run",
    "--allow-net",
    "--no-lock",
    "bench/peers/ws-deno.js",
  ]),
];

function goal(caseName: string, base: string, value: number): Suite["goals"][number] {
  return { suite: "ws", case: caseName, metric: rate.name, subject: "ringloom", base, relation: "at least", value };
}

/** The suite. */
export const wsSuite: Suite = {
  name: "ws",
  about: "WebSocket echoes of one server on one core",
  cases,
  subjects,
  metrics: [rate, p50, p99, cpu],
  comparisons: [
    { metric: rate.name, base: "ws" },
    { metric: rate.name, base: "bun" },
  ],
  plotted: [rate.name],
  goals: [
    goal("echo64-d1", "ws", 1.5),
    goal("echo64-d1", "bun", 1),
    goal("echo64-d16", "ws", 12),
    goal("echo64-d16", "bun", 1),
    goal("broadcast-10k", "ws", 5),
  ],
  run: runEchoes,
};

async function runEchoes(context: Context): Promise<void> {
  const { options, results, suite, placement } = context;
  const reason = await prepare("ws-load");
  if (reason !== undefined) {
    results.miss({ suite, case: undefined, subject: "all", kind: "failed", reason: `no load generator: ${reason}` });
    return;
  }
  const chosen = await availableSubjects(suite, select(subjects, options.subjects), results);
  const chosenCases = select(cases, options.cases);
  const rounds = options.rounds ?? (options.isQuick ? 1 : ROUNDS_DEFAULT);
  const runs = Math.max(1, chosen.length * chosenCases.length * rounds);
  const affordable = Math.max(0.1, (QUICK_SECONDS_MAX - 5) / runs - RUN_SECONDS_BESIDE);
  const seconds = options.seconds ?? (options.isQuick ? Math.min(SECONDS_DEFAULT, affordable) : SECONDS_DEFAULT);
  await runRounds(context, {
    cases: chosenCases,
    subjects: chosen,
    rounds,
    deadlineMs: options.isQuick ? performance.now() + (QUICK_SECONDS_MAX - 3) * 1_000 : Number.POSITIVE_INFINITY,
    explain: (error, { runCase, subject }) => missingFrom(error, suite, runCase.name, subject),
    measure: async ({ runCase, subject, round }) => {
      const warmupSeconds = options.isQuick ? 0.5 : WARMUP_SECONDS;
      const isBroadcast = runCase.isBroadcast === true;
      const load: EchoLoad = {
        echo: runCase,
        seconds,
        warmupSeconds,
        cores: isBroadcast ? undefined : placement.loadCore,
      };
      const where = { cores: isBroadcast ? bothCores(placement) : placement.serverCore };
      const started = isBroadcast ? withTwoShards(subject) : subject;
      const result = await withServer(started, where, (server) => runEcho(server, load));
      const add = (metric: Metric, value: number): void =>
        results.add(suite, runCase.name, subject.name, metric, round, value);
      add(rate, result.rate);
      add(p50, result.p50us);
      add(p99, result.p99us);
      add(cpu, result.serverCpuUs / result.messages);
      const shown = Math.round(result.rate).toLocaleString("en");
      progress(`round ${round + 1} ${runCase.name} ${subject.name}: ${shown} msg/s`);
    },
  });
}

/** Ringloom with a shard for each core; the peers have one thread, whatever there is. */
function withTwoShards(subject: Subject): Subject {
  const at = subject.args.indexOf("--shards");
  return at < 0 ? subject : { ...subject, args: subject.args.with(at + 1, "2") };
}

interface EchoLoad {
  readonly echo: EchoCase;
  readonly seconds: number;
  readonly warmupSeconds: number;
  readonly cores: Cores | undefined;
}

/** What `ws-load` prints. */
interface EchoResult {
  readonly messages: number;
  readonly rate: number;
  readonly p50us: number;
  readonly p99us: number;
  readonly serverCpuUs: number;
}

/** Runs `ws-load`. Rejects with {@link LoadError} when an echo was wrong or a connection broke. */
async function runEcho(server: RunningServer, { echo, seconds, warmupSeconds, cores }: EchoLoad): Promise<EchoResult> {
  const numbers = [echo.connections ?? CONNECTIONS, echo.depth, echo.bytes, seconds].map(String);
  const path = echo.isBroadcast === true ? "/broadcast" : "/";
  const command = [programPath("ws-load"), server.host, String(server.port), path, ...numbers];
  if (echo.isBroadcast === true) command.push("--broadcast");
  command.push("--warmup", String(warmupSeconds), "--cpu-of", String(server.pid));
  const timeoutMs = (warmupSeconds + seconds) * 1_000 + 20_000;
  const { code, stdout, stderr } = await run(pinned(cores, command), { timeoutMs });
  const [words] = stderr.trim().split("\n");
  if (code !== 0) throw new LoadError(words || `ws-load ended with code ${code}`);
  const result = JSON.parse(stdout) as EchoResult;
  if (result.messages === 0) throw new LoadError("no echo came");
  return result;
}
