/**
 * `npm run test:ops`: shards are restarted, processes rolled out and shards killed under load, and not a request may be lost that need not be.
 *
 *     npm run test:ops                                    100 restarts, 100 rollouts and a kill every second for a minute, shared out among the drivers that run here
 *     npm run test:ops -- --full                          all of it on each of them
 *     npm run test:ops -- --driver uring --count 10       other numbers, one driver
 *
 * Trials run one after another, although much of their time is waiting: beside each other they would hold the clients up for longer than the grace time of a
 * drain, and lose requests by that.
 *
 * Prints the figures; exit code 1 when anything was lost, hung or mixed up, 2 for a wrong option.
 */
import { commandOptions } from "../support/command-options.js";
import { driversUnderTest } from "../support/drivers.js";
import { killedShards, rollingRestarts, rollouts, type TrialResult } from "./trials.js";

const USAGE =
  "Options: --driver NAME, --full, --count N, --kills N, --kill-ms MS, --shards N (positive whole numbers), --help";

const OPTIONS = {
  driver: { type: "string" },
  full: { type: "boolean", default: false },
  count: { type: "string", default: "100" },
  kills: { type: "string", default: "60" },
  "kill-ms": { type: "string", default: "1000" },
  shards: { type: "string", default: "2" },
} as const;

const values = commandOptions(OPTIONS, USAGE);

process.exitCode = await main();

async function main(): Promise<number> {
  const [count, kills, everyMs, shards] = [values.count, values.kills, values["kill-ms"], values.shards].map(Number);
  const drivers = driversUnderTest.filter(({ name }) => values.driver === undefined || name === values.driver);
  for (const { name, skip } of drivers) if (skip !== false) console.log(`${name}: skipped: ${skip}`);
  const running = drivers.filter(({ skip }) => skip === false);
  if (!isCount(count) || !isCount(kills) || !isCount(everyMs) || !isCount(shards) || drivers.length === 0) {
    console.error(USAGE);
    return 2;
  }
  if (running.length === 0) {
    console.error("No driver was tried.");
    return 1;
  }
  let failed = 0;
  for (const [index, { name: driver }] of running.entries()) {
    const share = (total: number) => (values.full ? total : Math.max(1, Math.ceil((total - index) / running.length)));
    failed += print(driver, await rollingRestarts({ driver, shards, count: share(count) }));
    failed += print(driver, await rollouts({ driver, shards, count: share(count) }));
    failed += print(driver, await killedShards({ driver, shards, count: share(kills), everyMs }));
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
