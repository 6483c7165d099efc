/*
 * Runs one case of the suite `topologies` on a server of two shards and prints one line of JSON.
 *
 *     node run-topology.js TOPOLOGY COMPUTE CASE WARMUP_SECONDS SECONDS
 *
 * The tasks are spawned on shard 0, in the case `even` on both shards.
 */
import { fileURLToPath } from "node:url";
import { serveModule } from "ringloom/http";

const APP = fileURLToPath(new URL("./topology-app.js", import.meta.url));
const [topology, compute, name, warmupSeconds, seconds] = process.argv.slice(2);
const server = await serveModule(APP, {
  port: 0,
  shards: 2,
  topology,
  ...(topology === "io+compute" ? { compute: Number(compute) } : {}),
  // A shard that runs tasks without a pause looks stuck.
  watchdogMs: 0,
  stuckMs: 600_000,
  logLevel: "silent",
  connections: 64,
  receiveSlabMib: 1,
  writePoolMib: 1,
});
try {
  await runFor(warmupSeconds);
  process.stdout.write(`${JSON.stringify(await runFor(seconds))}\n`);
} finally {
  await server.stop();
}

async function runFor(limitSeconds) {
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  const shards = name === "even" ? [0, 1] : [0];
  const run = (shard) => server.invokeOnShard("run", { shard, timeoutMs: 0 }, name, Number(limitSeconds));
  const counts = await Promise.all(shards.map(run));
  const ns = (performance.now() - startedMs) * 1e6;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { tasks: counts.reduce((sum, count) => sum + count, 0), ns, cpuNs: (user + system) * 1e3 };
}
