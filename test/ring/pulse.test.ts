/** The pulse that the loop hook publishes: asleep while the thread waits in the driver, awake while its JavaScript runs, another number with each turn. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { createHeartbeat, Pulse } from "../../src/observe/heartbeat.js";
import { driversUnderTest } from "../support/drivers.js";
import { echoDriver, type LoopMode, listenLocally } from "./fixtures.js";

const FIXTURES = new URL("./fixtures.js", import.meta.url);
const DEADLINE_MS = 60_000;

async function until(isSo: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!isSo()) {
    assert.ok(Date.now() < deadline, `not within a minute: ${what}`);
    await sleep(5);
  }
}

/** A thread with a driver whose pulse we take. It obeys: `block` until the word is not 0, `spin` through immediates until it is not 0. */
async function startThread(mode: LoopMode) {
  const heartbeat = createHeartbeat();
  const release = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(FIXTURES, { workerData: { role: "pulse", mode, heartbeat, release } });
  const [message] = (await once(worker, "message")) as [{ publishes: boolean }];
  return { worker, release, pulse: new Pulse(heartbeat), publishes: message.publishes };
}

for (const { name, skip } of driversUnderTest) {
  if (name === "portable") continue;
  describe(`The pulse, ${name}`, { skip }, () => {
    const mode: LoopMode = { driver: name, loop: "inverted" };

    it("is even and stands still while the thread sleeps, and that is not silence", async () => {
      const { worker, pulse, publishes } = await startThread(mode);
      assert.equal(publishes, true);
      await until(() => (pulse.now & 1) === 0, "the thread sleeps");
      for (let look = 0; look < 10; look++) {
        await sleep(20);
        pulse.observe(1_000);
      }
      assert.equal(pulse.silentMs, 0);
      await worker.terminate();
    });

    it("is odd and stands still while JavaScript runs, at once after a sleep, until it returns", async () => {
      const { worker, pulse, release } = await startThread(mode);
      await until(() => (pulse.now & 1) === 0, "the thread sleeps");
      worker.postMessage("block");
      await once(worker, "message");
      // It has told before it blocks, in the same turn: whatever it publishes later, it publishes when it returns.
      await until(() => {
        pulse.observe(1);
        return pulse.silentMs >= 20;
      }, "20 looks without a turn");
      assert.equal(pulse.now & 1, 1);
      const blocked = pulse.now;
      Atomics.store(release, 0, 1);
      Atomics.notify(release, 0);
      await until(() => pulse.now !== blocked && (pulse.now & 1) === 0, "it sleeps again");
      pulse.observe(1_000);
      assert.equal(pulse.silentMs, 0);
      await worker.terminate();
    });

    it("changes with each turn of a loop that never sleeps", async () => {
      const { worker, pulse, release } = await startThread(mode);
      worker.postMessage("spin");
      await once(worker, "message");
      const seen = new Set<number>();
      await until(() => seen.add(pulse.now).size > 20, "20 turns");
      Atomics.store(release, 0, 1);
      await worker.terminate();
    });

    it("is not published where libuv does the waiting, nor by a second driver of a thread", async () => {
      const polled = await startThread({ driver: name, loop: "uv" });
      assert.equal(polled.publishes, false);
      await polled.worker.terminate();
      const [first, second] = [echoDriver(mode), echoDriver(mode)];
      await listenLocally(first);
      assert.equal(second.publishPulse?.(new Int32Array(createHeartbeat())), undefined);
      assert.notEqual(first.publishPulse?.(new Int32Array(createHeartbeat())), undefined);
      await second.shutdown();
      await first.shutdown();
      assert.equal(first.publishPulse?.(new Int32Array(createHeartbeat())), undefined, "the loop is gone");
    });

    it("comes with the longest turn, once", async () => {
      const driver = echoDriver(mode);
      await listenLocally(driver);
      await sleep(20);
      const takeLongestTurn = driver.publishPulse?.(new Int32Array(createHeartbeat()));
      assert.ok(takeLongestTurn !== undefined);
      takeLongestTurn();
      await sleep(20);
      const start = performance.now();
      while (performance.now() - start < 100);
      await sleep(1);
      const micros = takeLongestTurn();
      // libuv's clock may lag a few milliseconds behind.
      assert.ok(micros >= 90_000, `${micros} µs`);
      assert.equal(takeLongestTurn(), 0);
      await driver.shutdown();
    });

    it("rests when the driver has been shut down and the thread goes on", async () => {
      const driver = echoDriver(mode);
      await listenLocally(driver);
      const heartbeat = createHeartbeat();
      const pulse = new Pulse(heartbeat);
      assert.notEqual(driver.publishPulse?.(new Int32Array(heartbeat)), undefined);
      await driver.shutdown();
      await sleep(20);
      for (let look = 0; look < 10; look++) pulse.observe(1_000);
      assert.equal(pulse.silentMs, 0);
    });

    it("refuses words that are none", async () => {
      const driver = echoDriver(mode);
      for (const wrong of [new Uint8Array(64), new Int32Array(0), {}, undefined]) {
        assert.throws(() => driver.publishPulse?.(wrong as Int32Array), { code: "ERR_INVALID_ARG_TYPE" });
      }
      await driver.shutdown();
    });
  });
}
