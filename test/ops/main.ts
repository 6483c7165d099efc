/**
 * `npm run test:ops`: shards are restarted, processes rolled out and shards killed under load, and not a request may be lost that need not be.
 *
 *     npm run test:ops                                    100 restarts, 100 rollouts, 60 kills, on every driver that runs here
 *     npm run test:ops -- --driver uring --count 10       other numbers, one driver
 *
 * Prints the figures; exit code 1 when anything was lost, hung or mixed up, 2 for a wrong option.
 */
import { parseArgs } from "node:util";
import { driversUnderTest } from "../support/drivers.js";
import { killedShards, rollingRestarts, rollouts, type TrialResult } from "./trials.js";

const { values } = parseArgs({
  options: {
    driver: { type: "string" },
    count: { type: "string", default: "100" },
    kills: { type: "string", default: "60" },
    "kill-ms": { type: "string", default: "1000" },
    shards: { type: "string", default: "2" },
  },
});

process.exitCode = await main();

async function main(): Promise<number> {
  const [count, kills, everyMs, shards] = [values.count, values.kills, values["kill-ms"], values.shards].map(Number);
  const drivers = driversUnderTest.filter(({ name }) => values.driver === undefined || name === values.driver);
  if (!isCount(count) || !isCount(kills) || !isCount(everyMs) || !isCount(shards) || drivers.length === 0) {
    console.error("Options: --driver NAME, --count N, --kills N, --kill-ms MS, --shards N (positive whole numbers)");
    return 2;
  }
  let failed = 0;
  for (const { name: driver, skip } of drivers) {
    if (skip !== false) {
      console.log(`${driver}: skipped: ${skip}`);
      continue;
    }
    failed += print(driver, await rollingRestarts({ driver, shards, count }));
    failed += print(driver, await rollouts({ driver, shards, count }));
    failed += print(driver, await killedShards({ driver, shards, count: kills, everyMs }));
  }
  console.log(failed === 0 ? "nothing was lost" : `${failed} trials failed`);
  return failed === 0 ? 0 : 1;
}

function isCount(value: number | undefined): value is number {
  return value !== undefined && Number.isInteger(value) && value > 0;
}

/** Returns 1 for a trial that failed. */
function print(driver: string, { name, figures, problems }: TrialResult): number {
  const text = Object.entries(figures).map(([key, value]) => `${key} ${value}`);
  console.log(`${problems.length === 0 ? "ok    " : "FAILED"} ${driver}, ${name}: ${text.join(", ")}`);
  for (const problem of problems) console.log(`       ${problem}`);
  return problems.length === 0 ? 0 : 1;
}
