/** The three trials of operations: rolling restarts, rollouts of processes, killed shards; each under load, each with its figures. */
import { fileURLToPath } from "node:url";
import type { DriverName } from "../../src/driver/contract.js";
import { serveModule } from "../../src/http/serve-module.js";
import { Ringloom } from "../cli/ringloom.js";
import { type Failure, LedgerClient } from "./ledger-client.js";

/** The service that the trials run against. */
export const SERVICE = fileURLToPath(new URL("./fixtures/service.js", import.meta.url));

/** What a trial found. */
export interface TrialResult {
  readonly name: string;
  readonly figures: Readonly<Record<string, string | number>>;
  /** What should not have happened; empty when the trial is passed. */
  readonly problems: readonly string[];
}

export interface TrialOptions {
  readonly driver: DriverName;
  readonly shards: number;
  /** Restarts, rollouts, or kills. */
  readonly count: number;
}

const CLIENTS = { keeping: 16, opening: 8, pauseMs: 10 };
/** Requests that must be answered between two events, so that none happens in silence. */
const REQUESTS_BETWEEN = 50;
/** Small, so that threads start fast. */
const SIZES = ["--connections", "1024", "--receive-slab-mib", "2", "--write-pool-mib", "2"];

/** SIGHUP to a serving process, `count` times, each after the one before has ended. */
export async function rollingRestarts({ driver, shards, count }: TrialOptions): Promise<TrialResult> {
  const startedMs = performance.now();
  const args = ["--port", "0", "--driver", driver, "--shards", String(shards), ...SIZES];
  const server = new Ringloom(["serve", SERVICE, ...args, "--json"]);
  const { port } = await server.event("listening");
  const client = new LedgerClient({ port: Number(port), ...CLIENTS });
  const problems: string[] = [];
  let cut = 0;
  for (let restart = 1; restart <= count; restart++) {
    await client.more(REQUESTS_BETWEEN);
    server.child.kill("SIGHUP");
    // A restart that fails has no such event, and the wait for it ends with what the server said instead.
    cut += Number((await server.event("restarted", restart)).connectionsCut);
  }
  await client.more(REQUESTS_BETWEEN);
  await client.stop();
  const code = await server.stop();
  if (code !== 0) problems.push(`the server ended with ${code}: ${server.stderr}`);
  if (client.servers.size < count) problems.push(`only ${client.servers.size} threads answered`);
  if (cut > 0) problems.push(`${cut} connections were cut`);
  return result("rolling restarts", client, problems, {
    restarts: count,
    threads: client.servers.size,
    seconds: seconds(startedMs),
  });
}

/** Old and new process on one port: the new one listens before the old one is told to stop. */
export async function rollouts({ driver, shards, count }: TrialOptions): Promise<TrialResult> {
  const startedMs = performance.now();
  const problems: string[] = [];
  const start = (port: string) =>
    new Ringloom([
      ...["serve", SERVICE, "--port", port, "--driver", driver, "--shards", String(shards), "--json"],
      ...["--reuse-port", "on", ...SIZES],
    ]);
  let server = start("0");
  const port = String((await server.event("listening")).port);
  const client = new LedgerClient({ port: Number(port), ...CLIENTS });
  for (let rollout = 1; rollout <= count; rollout++) {
    await client.more(REQUESTS_BETWEEN);
    const successor = start(port);
    await successor.event("listening");
    const code = await server.stop();
    if (code !== 0) problems.push(`rollout ${rollout}: the old process ended with ${code}: ${server.stdout}`);
    server = successor;
  }
  await client.more(REQUESTS_BETWEEN);
  await client.stop();
  const code = await server.stop();
  if (code !== 0) problems.push(`the last process ended with ${code}`);
  return result("rollouts", client, problems, { rollouts: count, seconds: seconds(startedMs) });
}

/** One shard is killed every `everyMs`, in turn by `terminate`, an exception, `process.exit` and a rejection. */
export async function killedShards(options: TrialOptions & { readonly everyMs: number }): Promise<TrialResult> {
  const { driver, shards, count, everyMs } = options;
  const startedMs = performance.now();
  const ends: string[] = [];
  const server = await serveModule(SERVICE, {
    port: 0,
    driver,
    shards,
    connections: 1_024,
    receiveSlabMib: 2,
    writePoolMib: 2,
    restartsMax: count,
    restartBackoffMs: 0,
    events: { shardLost: (end) => ends.push(`${end.shard}/${end.generation}`) },
  });
  const client = new LedgerClient({ port: server.port, ...CLIENTS });
  const ways = ["terminate", "throw", "exit", "reject"];
  for (let kill = 0; kill < count; kill++) {
    const nextMs = performance.now() + everyMs;
    const shard = kill % shards;
    const way = ways[Math.floor(kill / shards) % ways.length] ?? "";
    // It answers when it serves: on a slow machine the one before may not have its successor yet, and there would be nobody to kill.
    await server.invokeOnShard("add", { shard }, 1, 1);
    if (way === "terminate") server.terminateShard(shard);
    else await server.invokeOnShard("die", { shard }, way).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, nextMs - performance.now())));
  }
  await client.more(REQUESTS_BETWEEN);
  await client.stop();
  const report = await server.stop();
  const problems: string[] = [];
  if (ends.length !== count) problems.push(`${ends.length} of ${count} kills ended a shard`);
  if (report.exitCode !== 0) problems.push(`the server ended with ${report.exitCode}`);
  const strangers = client.failures.filter(({ server: by }) => by !== undefined && !ends.includes(by));
  if (strangers.length > 0) problems.push(`connections of living shards broke: ${describe(strangers)}`);
  const closed = client.failures.length;
  const figures = {
    kills: count,
    "closed with a request": closed,
    restarts: report.restarts,
    seconds: seconds(startedMs),
  };
  return result("killed shards", client, problems, figures, true);
}

function result(
  name: string,
  client: LedgerClient,
  found: readonly string[],
  figures: TrialResult["figures"],
  mayFail = false,
): TrialResult {
  const problems = [...found];
  if (client.failures.length > 0 && !mayFail)
    problems.push(`${client.failures.length} requests failed: ${describe(client.failures)}`);
  if (client.leaks.length > 0)
    problems.push(`${client.leaks.length} contexts leaked: ${client.leaks.slice(0, 3).join(" | ")}`);
  if (client.hung.length > 0)
    problems.push(`${client.hung.length} requests hung: ${client.hung.slice(0, 10).join(", ")}`);
  if (!client.isBalanced) problems.push("the ledger does not balance");
  const { sent, answered, connections, failures, leaks, hung } = client;
  const counts = {
    requests: sent,
    answered,
    failed: failures.length,
    leaks: leaks.length,
    hung: hung.length,
    connections,
  };
  return { name, figures: { ...figures, ...counts }, problems };
}

function describe(failures: readonly Failure[]): string {
  return failures
    .slice(0, 5)
    .map(({ id, what, server }) => `${id} (${what}, shard ${server ?? "unknown"})`)
    .join(", ");
}

function seconds(startedMs: number): string {
  return ((performance.now() - startedMs) / 1_000).toFixed(1);
}
