import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { run } from "../../src/process/index.js";
import { withServe } from "../cli/ringloom.js";
import { driversUnderTest } from "../support/drivers.js";

const APP = fileURLToPath(new URL("./fixtures/time-app.js", import.meta.url));
const TIME = new URL("../../src/time/index.js", import.meta.url).href;
const THREAD_DRIVER = new URL("../../src/runtime/thread-driver.js", import.meta.url).href;

async function get(url: string): Promise<string> {
  return (await fetch(url, { headers: { connection: "close" } })).text();
}

/** What a program says that ends by itself; one that does not is killed, and fails the test. */
async function say(text: string, driver: string): Promise<string> {
  const program = `import * as time from ${JSON.stringify(TIME)};
    import { configureThreadDriver, threadDriver } from ${JSON.stringify(THREAD_DRIVER)};
    configureThreadDriver({ name: ${JSON.stringify(driver)} });
    ${text}`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", program], { timeoutMs: 20_000 });
  return stdout.toString();
}

for (const { name: driver, skip } of driversUnderTest) {
  describe(`time on the ${driver} driver`, { skip }, () => {
    test("passes on a shard that sleeps in its driver, and on one that is busy", async () => {
      await withServe([APP, "--port", "0", "--shards", "1", "--driver", driver], {}, async (_server, url) => {
        assert.equal(await get(`${url}/sleep/20`), "in time");
        const answers = await Promise.all(Array.from({ length: 40 }, (_, index) => get(`${url}/sleep/${index}`)));
        assert.ok(
          answers.every((answer) => answer === "in time"),
          String(answers),
        );
        assert.equal(await get(`${url}/timeout/10`), "ERR_RINGLOOM_TIMEOUT");
        assert.equal(await get(`${url}/ticks/5`), "5");
      });
    });

    test("keeps a thread alive for a sleep, and not for one that is not to, beside a driver of the thread's own", async () => {
      await keepsAlive("threadDriver();", driver);
    });
  });
}

test("time keeps a thread without a driver alive for a sleep, and not for one that is not to", async () => {
  await keepsAlive("", "portable");
});

async function keepsAlive(before: string, driver: string): Promise<void> {
  const held = `void time.sleep(20).then(() => console.log("slept"));`;
  const free = `void time.sleep(600_000, { ref: false }); time.deadline(600_000).signal; new time.Sleep(600_000);
    const ticks = time.interval(600_000);
    void Promise.race([ticks.tick(), time.sleep(1)]).then(() => ticks.close());
    ticks.tick().catch(() => console.log("closed"));`;
  const given = `const abort = new AbortController();
    time.sleep(600_000, { signal: abort.signal }).catch(() => console.log("given up"));
    setTimeout(() => abort.abort(), 5);`;
  const said = await Promise.all([held, free, given].map((text) => say(`${before} ${text}`, driver)));
  assert.deepEqual(said, ["slept\n", "closed\n", "given up\n"]);
}
