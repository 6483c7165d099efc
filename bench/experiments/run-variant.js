/*
 * Runs one case of the suite `scheduler` with one variant of the scheduler and prints one line of JSON.
 *
 *     node run-variant.js VARIANT CASE WARMUP_SECONDS SECONDS
 *
 * VARIANT is JSON: { spinMicros?, lifoSlots?, injectorShards?, stealMax?, form? }.
 */
import { tasks } from "ringloom";
import { startTunedScheduler } from "../../dist/src/scheduler/scheduler.js";

const EXECUTORS = 2;
const [variant, name, warmupSeconds, seconds] = process.argv.slice(2);
const { spinMicros, ...tuning } = JSON.parse(variant);
const scheduler = startTunedScheduler(
  { compute: EXECUTORS, ...(spinMicros === undefined ? {} : { spinMicros }) },
  tuning,
);
const nested = tasks(new URL("./nested.js", import.meta.url));

/** Each runs one batch and gives how many tasks it had. */
const cases = {
  "empty-1": () => nested.leaf(1, 0).then(() => 1),
  "empty-1000": () => Promise.all(Array.from({ length: 1_000 }, () => nested.leaf(1, 0))).then(() => 1_000),
  "rest-1": () => new Promise((resolve) => setTimeout(resolve, 1)).then(() => nested.leaf(1, 0)).then(() => 1),
  tree: () => nested.tree(4, 8),
  "fan-balanced": () => nested.fan(256, 2_000, 2_000),
  "fan-skewed": () => nested.fan(256, 500, 200_000),
};

const run = cases[name];
await runFor(Number(warmupSeconds));
const before = steals();
const counted = await runFor(Number(seconds));
const after = steals();
process.stdout.write(`${JSON.stringify({ ...counted, steals: after - before })}\n`);
await scheduler.close();

function steals() {
  return scheduler.stats.threads.reduce((sum, { stealSuccesses }) => sum + stealSuccesses, 0);
}

async function runFor(limitSeconds) {
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  let nowMs = startedMs;
  let count = 0;
  while (nowMs - startedMs < limitSeconds * 1_000) {
    count += await run();
    nowMs = performance.now();
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  return { tasks: count, ns: (nowMs - startedMs) * 1e6, cpuNs: (user + system) * 1e3 };
}
