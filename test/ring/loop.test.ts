/**
 * The loop hook (`native/loop.c`) leans on what libuv and Node do inside. These tests notice a change of that, on every Node that the
 * package supports, in both modes of the hook.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { describe, it } from "node:test";
import { setImmediate as immediate, setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { MessageChannel, Worker } from "node:worker_threads";
import { requireNative } from "../../src/native.js";
import { Ring } from "../../src/ring/ring.js";
import { driversUnderTest } from "../support/drivers.js";
import { echoDriver, type LoopMode, listenLocally } from "./fixtures.js";

const FIXTURES = new URL("./fixtures.js", import.meta.url);
const MODES: readonly LoopMode[] = [
  { driver: "uring", loop: "inverted" },
  { driver: "uring", loop: "uv" },
  { driver: "epoll", loop: "inverted" },
  { driver: "epoll", loop: "uv" },
];

function skipReason(wanted: LoopMode["driver"]): string | false {
  const under = driversUnderTest.find(({ name }) => name === wanted);
  return under === undefined ? "RINGLOOM_DRIVER names another driver" : under.skip;
}

async function echoOnce(port: number, text: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.end(text);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

async function startWorker(mode: LoopMode): Promise<{ worker: Worker; port: number }> {
  const worker = new Worker(FIXTURES, { workerData: { role: "echo", mode } });
  const [message] = (await once(worker, "message")) as [{ port: number }];
  return { worker, port: message.port };
}

function blockThread(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe("A ring", { skip: skipReason("uring") }, () => {
  it("cannot be taken to another thread", () => {
    const ring = new Ring(requireNative(), { entries: 4, inverted: true });
    const { port1 } = new MessageChannel();
    assert.throws(() => port1.postMessage(ring.handle), { name: "DataCloneError" });
    port1.close();
    ring.close();
  });
});

for (const mode of MODES) {
  describe(`The loop hook, ${mode.driver}, ${mode.loop}`, { skip: skipReason(mode.driver) }, () => {
    it("runs timers, immediates, ports, file reads and children while the ring has nothing to do", async () => {
      const driver = echoDriver(mode);
      await listenLocally(driver);
      await sleep(5);
      await immediate();
      const { port1, port2 } = new MessageChannel();
      port2.postMessage("across");
      assert.deepEqual(await once(port1, "message"), ["across"]);
      port1.close();
      assert.match(await readFile(fileURLToPath(FIXTURES), "utf8"), /echo/);
      const { stdout } = await promisify(execFile)(process.execPath, ["-p", "6*7"]);
      assert.equal(stdout.trim(), "42");
      await driver.shutdown();
    });

    it("runs completions while timers and immediates keep libuv busy", async () => {
      const driver = echoDriver(mode);
      const port = await listenLocally(driver);
      let isBusy = true;
      const spin = () => isBusy && setImmediate(spin);
      spin();
      const interval = setInterval(() => {}, 1);
      assert.equal(await echoOnce(port, "between immediates"), "between immediates");
      isBusy = false;
      clearInterval(interval);
      await driver.shutdown();
    });

    it("sleeps in the kernel when idle", async () => {
      const driver = echoDriver(mode);
      await listenLocally(driver);
      await sleep(20);
      const before = driver.stats.enters;
      await sleep(200);
      // A loop that spun would have entered tens of thousands of times.
      assert.ok(driver.stats.enters - before < 50, `${driver.stats.enters - before} system calls in an idle loop`);
      await driver.shutdown();
    });

    it("drains promises and ticks after each turn, and flushes what they commit", async () => {
      const answered: string[] = [];
      const driver = echoDriver(mode, {
        received(slot, bytes, offset, length) {
          const text = Buffer.from(bytes.subarray(offset, offset + length)).toString();
          void Promise.resolve()
            .then(() => new Promise<void>((resolve) => process.nextTick(resolve)))
            .then(() => {
              answered.push(text);
              const at = driver.reserve(slot, 4);
              driver.writeBytes.set(Buffer.from("late"), at);
              driver.commit(slot, 4);
            });
        },
        ended() {},
      });
      const port = await listenLocally(driver);
      const socket = connect(port, "127.0.0.1");
      socket.write("now");
      const [data] = (await once(socket, "data")) as [Buffer];
      assert.equal(data.toString(), "late");
      assert.deepEqual(answered, ["now"]);
      socket.destroy();
      await driver.shutdown();
    });

    it("lets several threads have rings at once, and ends them while they sleep in the kernel", async () => {
      const threads = await Promise.all([startWorker(mode), startWorker(mode), startWorker(mode)]);
      for (const { port } of threads) assert.equal(await echoOnce(port, "thread"), "thread");
      // With a connection open, so that a receive is in flight while its memory goes away.
      const sockets = await Promise.all(
        threads.map(async ({ port }) => {
          const socket = connect(port, "127.0.0.1");
          socket.on("error", () => {});
          socket.resume();
          await once(socket, "connect");
          return socket;
        }),
      );
      const codes = await Promise.all(threads.map(({ worker }) => worker.terminate()));
      assert.deepEqual(codes, [1, 1, 1]);
      for (const socket of sockets) if (!socket.closed) await once(socket, "close");
    });

    it("leaves no connection open behind a thread that is ended while it accepts", async () => {
      // Threads that compute make it likely that one is ended between two calls, where an accepted socket could be in nobody's list.
      const busy = [1, 2, 3].map(() => new Worker("for (;;);", { eval: true }));
      for (let round = 0; round < 20; round++) {
        const { worker, port } = await startWorker(mode);
        const sockets = Array.from({ length: 40 }, () =>
          connect(port, "127.0.0.1")
            .on("error", () => {})
            .resume(),
        );
        await once(sockets[0] as Socket, "connect");
        blockThread(Math.random() / 4);
        await worker.terminate();
        await Promise.all(
          sockets.map((socket) => socket.closed || once(socket, "close", { signal: AbortSignal.timeout(20_000) })),
        );
      }
      for (const worker of busy) await worker.terminate();
    });

    it("hears messages from other threads while it sleeps", async () => {
      const { worker } = await startWorker(mode);
      for (let round = 0; round < 20; round++) {
        worker.postMessage(round);
        assert.deepEqual(await once(worker, "message"), [{ answer: round }]);
      }
      await worker.terminate();
    });

    it("does not crash a process that exits while threads sleep in the kernel", async () => {
      const program = `
        const { Worker } = require("node:worker_threads");
        const worker = new Worker(new URL(${JSON.stringify(FIXTURES.href)}), { workerData: { role: "echo", mode: ${JSON.stringify(mode)} } });
        worker.once("message", () => process.exit(7));`;
      const result = await promisify(execFile)(process.execPath, ["-e", program]).catch((error: unknown) => error);
      assert.equal((result as { stderr?: unknown }).stderr, "");
      assert.equal((result as { code?: unknown }).code, 7);
    });

    it("lets the process end when nothing is left to do", async () => {
      const program = `
        import { echoDriver, listenLocally } from ${JSON.stringify(FIXTURES.href)};
        const driver = echoDriver(${JSON.stringify(mode)});
        const port = await listenLocally(driver);
        const { listener } = { listener: 0 };
        driver.stopListening(listener);`;
      const { stderr } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program]);
      assert.equal(stderr, "");
    });
  });
}
