/**
 * The suite `memory`: what an idle connection costs, in the server's process and in the kernel.
 *
 * Connections come in four steps, from a process and an address each. After each step the server collects its garbage, and its anonymous and shared resident memory is read; so is what
 * the kernel has for sockets and in its slabs, which holds the clients' ends too. The figures are the slopes of the lines through the four points: what the first connections bring about once (compiled
 * code, a heap that grows or shrinks) is in neither. Some thousand connections that come and go before bring the heap to its size.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { LoadError } from "../harness/load.js";
import { select } from "../harness/options.js";
import { peerVersion, prepare, programPath } from "../harness/prepare.js";
import type { RunningServer } from "../harness/processes.js";
import { progress } from "../harness/progress.js";
import { runRounds } from "../harness/rounds.js";
import type { Metric } from "../harness/rows.js";
import { missingFrom, withServer } from "../harness/servers.js";
import { slope } from "../harness/statistics.js";
import { httpSubjects, ringloom, type Subject } from "../harness/subjects.js";
import { availableSubjects, type Context, QUICK_SECONDS_MAX, type Suite } from "../harness/suite.js";

/** A process may have 20,000 descriptors here; the server has some others. */
const CONNECTIONS = 19_000;
const CONNECTIONS_QUICK = 2_000;
const STEPS = 4;
/** The last number of the first step's address. */
const FIRST_HOST = 3;
const SETTLE_MS = 400;
const ROUNDS_DEFAULT = 3;
const PAGE_BYTES = 4_096;
const OPEN_TIMEOUT_MS = 60_000;

interface IdleCase {
  readonly name: string;
  readonly about: string;
  readonly path: string;
  readonly isHttp: boolean;
}

const cases: readonly IdleCase[] = [
  { name: "http-idle-19k", about: "connections that have had one request answered", path: "/", isHttp: true },
  { name: "ws-idle-19k", about: "open WebSockets that nothing was sent on", path: "/ws", isHttp: false },
];

const userBytes: Metric = { name: "user-bytes/conn", unit: "B", better: "lower", decimals: 0 };
const kernelBytes: Metric = { name: "kernel-bytes/conn", unit: "B", better: "lower", decimals: 0 };

const held: Metric = { name: "connections", unit: "conn", better: "higher", decimals: 0 };

/** The executable and needs of a subject of `http`, for another program and one case or all. */
function as(base: string, name: string, about: () => string, args: readonly string[]): Subject {
  const subject = httpSubjects.find((one) => one.name === base);
  if (subject === undefined) throw new Error(`There is no subject ${base}`);
  return { ...subject, name, about, args, needs: ["peers"] };
}

const IDLE_NODE = ["bench/peers/idle-node.js"];
const subjects: readonly Subject[] = [
  ringloom("ringloom", "App, uring driver, 1 shard", "idle.js", "uring"),
  ringloom("ringloom-epoll", "App, epoll driver, 1 shard", "idle.js", "epoll"),
  ringloom("ringloom-portable", "App, portable driver, 1 shard", "idle.js", "portable"),
  as("node-http", "node-http", () => `node:http, Node ${process.versions.node}`, IDLE_NODE),
  as("node-http", "ws", () => `ws ${peerVersion("ws")}, Node ${process.versions.node}`, IDLE_NODE),
  as("node26-http", "ws26", () => `ws ${peerVersion("ws")}, Node ${peerVersion("node")}`, IDLE_NODE),
  as("bun", "bun", () => `Bun.serve, Bun ${peerVersion("bun")}`, ["bench/peers/idle-bun.js"]),
];

/** The suite. */
export const memorySuite: Suite = {
  name: "memory",
  about: "bytes of an idle connection, in the server and in the kernel",
  cases,
  subjects,
  metrics: [userBytes, kernelBytes, held],
  comparisons: [{ metric: userBytes.name, base: "bun" }],
  plotted: [userBytes.name],
  goals: [
    {
      suite: "memory",
      case: "ws-idle-19k",
      metric: userBytes.name,
      subject: "ringloom",
      base: undefined,
      relation: "at most",
      value: 400,
    },
  ],
  run,
};

async function run(context: Context): Promise<void> {
  const { options, results, suite } = context;
  const reason = await prepare("idle-load");
  if (reason !== undefined) {
    results.miss({ suite, case: undefined, subject: "all", kind: "failed", reason: `no clients: ${reason}` });
    return;
  }
  const chosen = await availableSubjects(suite, select(subjects, options.subjects), results);
  const count = options.isQuick ? CONNECTIONS_QUICK : CONNECTIONS;
  await runRounds(context, {
    cases: select(cases, options.cases),
    subjects: chosen,
    rounds: options.rounds ?? (options.isQuick ? 1 : ROUNDS_DEFAULT),
    deadlineMs: options.isQuick ? performance.now() + (QUICK_SECONDS_MAX - 5) * 1_000 : Number.POSITIVE_INFINITY,
    has: ({ name }, { isHttp }) => (isHttp ? !name.startsWith("ws") : name !== "node-http"),
    explain: (error, { runCase, subject }) => missingFrom(error, suite, runCase.name, subject),
    measure: async ({ runCase, subject, round }) => {
      const start = { cores: undefined, nodeFlags: subject.isNode ? ["--expose-gc"] : [] };
      const { user, kernel } = await withServer(subject, start, (server) => measure(server, runCase, count));
      results.add(suite, runCase.name, subject.name, userBytes, round, user);
      results.add(suite, runCase.name, subject.name, kernelBytes, round, kernel);
      results.add(suite, runCase.name, subject.name, held, round, count);
      progress(`round ${round + 1} ${runCase.name} ${subject.name}: ${Math.round(user)} + ${Math.round(kernel)} bytes`);
    },
  });
}

interface Bytes {
  readonly user: number;
  readonly kernel: number;
}

async function measure(server: RunningServer, idle: IdleCase, count: number): Promise<Bytes> {
  const clients: Clients[] = [];
  try {
    const quarter = count / STEPS;
    for (let time = 0; time < 2; time++) await (await Clients.open(server, idle, quarter, 2)).close();
    const points: Bytes[] = [];
    for (let step = 0; step < STEPS; step++) {
      clients.push(await Clients.open(server, idle, quarter, FIRST_HOST + step));
      points.push(await settled(server));
    }
    const slopeOf = (value: (point: Bytes) => number): number =>
      slope(points.map((point, step) => [step * quarter, value(point)] as const));
    return { user: slopeOf(({ user }) => user), kernel: slopeOf(({ kernel }) => kernel) };
  } finally {
    for (const one of clients) await one.close();
  }
}

/** What memory is taken when nothing happens any more. */
async function settled(server: RunningServer): Promise<Bytes> {
  for (let time = 0; time < 2; time++) {
    const response = await fetch(`http://${server.host}:${server.port}/__gc`, { headers: { connection: "close" } });
    await response.text();
    await delay(SETTLE_MS);
  }
  const status = readFileSync(`/proc/${server.pid}/status`, "utf8");
  const slab = readFileSync("/proc/meminfo", "utf8");
  const sockets = /TCP: .* mem (\d+)/.exec(readFileSync("/proc/net/sockstat", "utf8"))?.[1] ?? "0";
  return {
    user: kibibytesOf(status, "RssAnon") + kibibytesOf(status, "RssShmem"),
    kernel: kibibytesOf(slab, "Slab") + Number(sockets) * PAGE_BYTES,
  };
}

function kibibytesOf(text: string, name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1];
  if (found === undefined) throw new LoadError(`the system does not tell ${name}`);
  return Number(found) * 1_024;
}

/** Connections that a process of its own holds open. */
class Clients {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Opens them, from 127.0.0.`host`. Rejects with {@link LoadError}. */
  static async open(server: RunningServer, idle: IdleCase, count: number, host: number): Promise<Clients> {
    const args = [server.host, String(server.port), idle.path, String(count), "--from", `127.0.0.${host}`];
    const child = spawn(programPath("idle-load"), idle.isHttp ? [...args, "--http"] : args);
    let words = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (words += text));
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => child.kill("SIGKILL"), OPEN_TIMEOUT_MS);
      child.stdout.once("data", () => {
        clearTimeout(timer);
        resolve();
      });
      child.once("error", (error) => reject(new LoadError(error.message)));
      child.once("close", () => reject(new LoadError(words.trim() || "the clients ended early")));
    });
    return new Clients(child);
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.stdin?.end();
    if (this.#child.exitCode === null) await closed;
  }
}
