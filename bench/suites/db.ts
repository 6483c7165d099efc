/** The suite `db`: a database's client over Ringloom's sockets and over Node's, against a PostgreSQL that the suite starts and ends. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installClients } from "../../test/db/installed.js";
import { findProgram } from "../../test/db/server-process.js";
import { freePort, makeFolder, PASSWORD, type Subject, subjects as servers } from "../../test/db/servers.js";
import { numbersOf, type ProgramSubject, runPrograms } from "../harness/programs.js";
import type { Run } from "../harness/rounds.js";
import type { Metric } from "../harness/rows.js";
import type { Context, Suite } from "../harness/suite.js";

interface DbCase {
  readonly name: string;
  readonly about: string;
  readonly connections: number;
}

const cases: readonly DbCase[] = [
  { name: "pg-select1", about: "a prepared select of one row, one connection, one at a time", connections: 1 },
  { name: "pg-select1-c16", about: "the same on 16 connections, one at a time on each", connections: 16 },
];

const subjects: readonly ProgramSubject[] = [
  subject("ringloom", "pg over ringloom/db, uring driver", ["RINGLOOM_DRIVER=uring"]),
  subject("ringloom-epoll", "the same, epoll driver", ["RINGLOOM_DRIVER=epoll"]),
  subject("ringloom-portable", "the same, portable driver", ["RINGLOOM_DRIVER=portable"]),
  subject("node-net", "pg over its own sockets of node:net", []),
];

const time: Metric = { name: "us/query", unit: "µs", better: "lower", decimals: 1 };
const cpu: Metric = { name: "cpu-us/query", unit: "µs", better: "lower", decimals: 1 };

/** The suite. */
export const dbSuite: Suite = {
  name: "db",
  about: "pg against PostgreSQL, over Ringloom's sockets and over Node's",
  cases,
  subjects,
  metrics: [time, cpu],
  comparisons: [
    { metric: time.name, base: "node-net" },
    { metric: cpu.name, base: "node-net" },
  ],
  plotted: [time.name],
  goals: [],
  run,
};

function subject(name: string, about: string, environment: readonly string[]): ProgramSubject {
  const kind = name === "node-net" ? "node" : "ringloom";
  return {
    name,
    about: () => about,
    needs: ["ringloom"],
    executable: "/usr/bin/env",
    args: [...environment, process.execPath, "bench/apps/pg-select.js", kind],
  };
}

async function run(context: Context): Promise<void> {
  const server = servers.find(({ name }) => name === "PostgreSQL");
  const reason = server === undefined ? "no such server" : unmet(server);
  if (server === undefined || reason !== undefined) {
    for (const { name } of subjects)
      context.results.miss({ suite: "db", case: undefined, subject: name, kind: "unavailable", reason: reason ?? "" });
    return;
  }
  const root = mkdtempSync(join(tmpdir(), "ringloom-bench-db-"));
  chmodSync(root, 0o755);
  const port = await freePort();
  const postgres = server.prepare(makeFolder(join(root, "postgres")), { plain: port, tls: 0 });
  const end = () => postgres.kill();
  process.once("exit", end);
  try {
    await postgres.start();
    context.notes.add("db: the server is not pinned; cpu-us/query is the client's process only");
    await runPrograms(context, {
      cases,
      subjects,
      argsFor: ({ connections }, { warmupSeconds, seconds }) =>
        [connections, warmupSeconds, seconds, port, PASSWORD].map(String),
      accept: (dbRun, output) => accept(context, dbRun, output),
    });
  } finally {
    await postgres.stop();
    process.off("exit", end);
    rmSync(root, { recursive: true, force: true });
  }
}

function unmet(server: Subject): string | undefined {
  if (server.needs.some((name) => findProgram(name) === undefined))
    return `Debian's ${server.package} is not installed`;
  try {
    installClients();
    return undefined;
  } catch (error) {
    return `the clients in test/db cannot be installed: ${(error as Error).message.split("\n")[0]}`;
  }
}

function accept(
  { results }: Context,
  { runCase, subject: { name }, round }: Run<DbCase, ProgramSubject>,
  output: unknown,
): string {
  const { count, sum, ns, cpuNs } = numbersOf(output, ["count", "sum", "ns", "cpuNs"]);
  if (count === 0) throw new Error("no query was answered in time");
  if (sum !== 42 * count) throw new Error(`Cannot use the results: their sum is ${sum}, not ${42 * count}`);
  results.add("db", runCase.name, name, time, round, ns / count / 1e3);
  results.add("db", runCase.name, name, cpu, round, cpuNs / count / 1e3);
  return `${(ns / count / 1e3).toFixed(1)} µs`;
}
