/** The suite `client`: HTTP clients in the shape of undici's own benchmark, 50 connections that ask for a small body, against one server that costs next to nothing. */
import { pinned, root } from "../harness/machine.js";
import { prepare, programPath } from "../harness/prepare.js";
import { startServer } from "../harness/processes.js";
import { numbersOf, type ProgramSubject, runPrograms } from "../harness/programs.js";
import type { Run } from "../harness/rounds.js";
import type { Metric } from "../harness/rows.js";
import type { Context, Suite } from "../harness/suite.js";

interface ClientCase {
  readonly name: string;
  readonly about: string;
  readonly connections: number;
}

const cases: readonly ClientCase[] = [
  { name: "get-c50", about: "GET of 9 bytes, 50 at a time on as many connections", connections: 50 },
  { name: "get-c1", about: "the same, one at a time", connections: 1 },
];

const subjects: readonly ProgramSubject[] = [
  ours("ringloom", "ringloom/client, request(), uring driver", "uring"),
  ours("ringloom-epoll", "the same, epoll driver", "epoll"),
  ours("ringloom-portable", "the same, portable driver", "portable"),
  ours("ringloom-fetch", "ringloom/client, fetch(), uring driver", "uring"),
  peer("undici", "undici's request() with an Agent"),
  peer("fetch", "undici's fetch(), which is Node's, with the same Agent"),
  peer("node-http", "node:http with a keep-alive Agent"),
];

const rate: Metric = { name: "req/s", unit: "1/s", better: "higher", decimals: 0 };
const cpu: Metric = { name: "cpu-us/req", unit: "µs", better: "lower", decimals: 2 };

/** The suite. */
export const clientSuite: Suite = {
  name: "client",
  about: "HTTP clients, asking a server in C that answers at once",
  cases,
  subjects,
  metrics: [rate, cpu],
  comparisons: [
    { metric: rate.name, base: "undici" },
    { metric: cpu.name, base: "undici" },
  ],
  plotted: [rate.name],
  goals: [
    {
      suite: "client",
      case: "get-c50",
      metric: rate.name,
      subject: "ringloom",
      base: "undici",
      relation: "at least",
      value: 1.5,
    },
  ],
  run,
};

function ours(name: string, about: string, driver: string): ProgramSubject {
  const kind = name === "ringloom-fetch" ? name : "ringloom";
  return {
    name,
    about: () => about,
    needs: ["ringloom"],
    executable: "/usr/bin/env",
    args: [`RINGLOOM_DRIVER=${driver}`, process.execPath, "bench/apps/client.js", kind],
  };
}

function peer(name: string, about: string): ProgramSubject {
  return {
    name,
    about: () => about,
    needs: [],
    executable: process.execPath,
    args: ["bench/apps/client.js", name],
  };
}

async function run(context: Context): Promise<void> {
  const unmet = await prepare("responder");
  const command =
    unmet === undefined ? [programPath("http-responder")] : [process.execPath, "bench/peers/node-http.js"];
  if (unmet !== undefined) context.notes.add(`client: the server is node:http (${unmet}), and may be what limits`);
  const { serverCore } = context.placement;
  const server = await startServer(pinned(serverCore, command), {
    cwd: root,
    env: process.env,
    timeoutMs: 20_000,
  });
  context.notes.add(
    "client: the server has the first of the client's two cores; cpu-us/req is the client's process only",
  );
  try {
    await runPrograms(context, {
      cases,
      subjects,
      argsFor: ({ connections }, { warmupSeconds, seconds }) => [
        ...[connections, warmupSeconds, seconds].map(String),
        `http://127.0.0.1:${server.port}/hello/ada`,
        String("hello ada".length),
      ],
      accept: (clientRun, output) => accept(context, clientRun, output),
    });
  } finally {
    await server.stop();
  }
}

function accept(
  { results }: Context,
  { runCase, subject: { name }, round }: Run<ClientCase, ProgramSubject>,
  output: unknown,
): string {
  const { count, ns, cpuNs } = numbersOf(output, ["count", "ns", "cpuNs"]);
  if (count === 0) throw new Error("no request was answered in time");
  results.add("client", runCase.name, name, rate, round, count / (ns / 1e9));
  results.add("client", runCase.name, name, cpu, round, cpuNs / count / 1e3);
  return `${Math.round(count / (ns / 1e9))} req/s`;
}
