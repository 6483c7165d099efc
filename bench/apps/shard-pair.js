/*
 * The subjects `ringloom…` of the suite `messages`: two shards that talk through `shard.send…`, as an application's do.
 *
 *     node bench/apps/shard-pair.js DRIVER[-direct|-each] CASE WARMUP_SECONDS SECONDS CORE_CLIENT CORE_SERVER
 *
 * Prints the same line as ../peers/pairs/main.js. What is timed runs on shard 0 (`shard-pair-app.js`). In a cold start it is a server of two shards, from nothing to its end.
 */
import { fileURLToPath } from "node:url";
import { serveModule } from "ringloom/http";

const APP = fileURLToPath(new URL("./shard-pair-app.js", import.meta.url));
/** How both sides wait: they ask again and again themselves, or their drivers watch for 50 µs, or block at once. */
const SPIN = { "rtt-busy": "off", "rtt-parked": "off" };
const SPIN_MICROS = 50;
/** A lane holds all values of a one-way run, as those of the peers do. */
const MESSAGES_MAX = 4_096;
const SESSION_ROUNDS = 64;
const SIZES = { connections: 64, receiveSlabMib: 1, writePoolMib: 1 };

const [variant, name, warmupText, secondsText, ...cores] = process.argv.slice(2);
const [driver, form] = variant.split("-");
const isCold = name === "cold-start";

const measured = isCold ? await runCold() : await runWarm();
process.stdout.write(`${JSON.stringify(measured)}\n`);

function start() {
  return serveModule(APP, {
    port: 0,
    shards: 2,
    compute: 0,
    driver,
    spin: SPIN[name] ?? "fixed",
    spinMicrosMax: SPIN_MICROS,
    messagesMax: MESSAGES_MAX,
    // A shard that asks again and again looks stuck.
    watchdogMs: 0,
    stuckMs: 600_000,
    drainMs: 1_000,
    ...SIZES,
  });
}

async function runWarm() {
  const server = await start();
  const call = (shard, functionName, ...args) => server.invokeOnShard(functionName, { shard, timeoutMs: 0 }, ...args);
  const options = { isBusy: name === "rtt-busy", isDirect: form === "direct", isEach: form === "each" };
  try {
    await Promise.all([call(0, "pinTo", Number(cores[0])), call(1, "pinTo", Number(cores[1]))]);
    const serving = call(1, "serve", options);
    await call(0, "measure", name, Number(warmupText), options);
    const result = await call(0, "measure", name, Number(secondsText), options);
    await call(0, "end");
    await serving;
    return result;
  } finally {
    await server.stop();
  }
}

async function runCold() {
  await repeatCold(Number(warmupText));
  return repeatCold(Number(secondsText));
}

async function repeatCold(seconds) {
  const cpuBefore = process.cpuUsage();
  const beginMs = performance.now();
  let count = 0;
  let nowMs = beginMs;
  for (; nowMs - beginMs < seconds * 1_000 || count === 0; nowMs = performance.now()) {
    const server = await start();
    const serving = server.invokeOnShard("serve", { shard: 1 }, { isBusy: false, isDirect: false, isEach: false });
    await server.invokeOnShard("rounds", { shard: 0 }, SESSION_ROUNDS);
    await server.invokeOnShard("end", { shard: 0 });
    await serving;
    await server.stop();
    count += 1;
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  const ns = (nowMs - beginMs) * 1e6;
  return { count, ns, cpuNs: (user + system) * 1e3, wallNs: ns };
}
