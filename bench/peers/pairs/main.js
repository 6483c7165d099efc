/*
 * Runs one case of the suite `messages` between two threads of this process and prints one line of JSON, as ../pair.h describes it.
 *
 *     node pairs/main.js KIND LINK CASE WARMUP_SECONDS SECONDS CORE_CLIENT CORE_SERVER
 *
 * KIND is a module that exports `createPair({ link, regime, isOneWay, cores })`, which returns `{ start, stop, runRounds, runOneWay }`; each may return a promise.
 * `sync-pair.js` makes one from a LINK over shared memory (see there: that is where Ringloom's lanes join), `messageport.js` needs none (`-`).
 */
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";

const ROUNDS = 256;
const ONE_WAY_COUNT = 2_048;
const SESSION_ROUNDS = 64;
const IDLE_MS = 1;
const REGIMES = { "rtt-busy": "busy", "rtt-parked": "parked" };

const [kind, link, name, warmupText, secondsText, ...cores] = process.argv.slice(2);
const isCold = name === "cold-start";
const { createPair } = await import(pathToFileURL(resolve(kind)).href);
const pair = createPair({
  link: link === "-" ? undefined : pathToFileURL(resolve(link)).href,
  regime: REGIMES[name] ?? "adaptive",
  isOneWay: name === "one-way",
  // Pinning a Node thread takes a child process, which a start must not pay for.
  cores: isCold ? [-1, -1] : cores.map(Number),
});
if (!isCold) await pair.start();
await runFor(Number(warmupText));
const measured = await runFor(Number(secondsText));
if (!isCold) await pair.stop();
process.stdout.write(`${JSON.stringify(measured)}\n`);

async function runFor(seconds) {
  const cpuBefore = process.cpuUsage();
  const beginMs = performance.now();
  let nowMs = beginMs;
  let count = 0;
  let ms = 0;
  while (nowMs - beginMs < seconds * 1_000) {
    if (name === "warm-start") await delay(IDLE_MS);
    const startedMs = performance.now();
    count += await iterate();
    nowMs = performance.now();
    ms += nowMs - startedMs;
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  return { count, ns: ms * 1e6, cpuNs: (user + system) * 1e3, wallNs: (nowMs - beginMs) * 1e6 };
}

/** One iteration; returns how many rounds, values or sessions it was. */
async function iterate() {
  switch (name) {
    case "one-way":
      await pair.runOneWay(ONE_WAY_COUNT);
      return ONE_WAY_COUNT;
    case "cold-start":
      await pair.start();
      await pair.runRounds(SESSION_ROUNDS);
      await pair.stop();
      return 1;
    case "warm-start":
      await pair.runRounds(SESSION_ROUNDS);
      return 1;
    default:
      await pair.runRounds(ROUNDS);
      return ROUNDS;
  }
}
