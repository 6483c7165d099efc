/** Several native drivers on one thread: one of them sleeps in libuv's place, and the others are served all the same, in whichever order they were made. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Driver } from "../../src/driver/contract.js";
import { driversUnderTest } from "../support/drivers.js";
import { echoDriver, type LoopMode, listenLocally } from "./fixtures.js";

/** What the drivers ask for, in the order in which they are made. */
const LOOPS: readonly (readonly LoopMode["loop"][])[] = [
  ["inverted", "inverted"],
  ["uv", "inverted"],
  ["inverted", "inverted", "inverted"],
  ["uv", "uv"],
];

/** More than libuv's own business needs in {@link IDLE_MS}; a loop that never sleeps turns tens of thousands of times. */
const PASSES_MAX = 100;
const IDLE_MS = 300;
/** What arrives later than this has waited until something else woke the thread. */
const LATE_MS = 2_000;
/** V8 collects garbage in pieces, each a task that goes through libuv: that is not idle, and it is over in one window or two. */
const WINDOWS_MAX = 5;

async function echoOnce(port: number, text: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.end(text);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** Lets some time pass. Resolves with how often libuv went round: it runs the immediate in each of its iterations, and an immediate that is not referenced keeps nothing awake. */
async function countIterations(): Promise<number> {
  let iterations = 0;
  let immediate: NodeJS.Immediate;
  function count(): void {
    iterations += 1;
    immediate = setImmediate(count).unref();
  }
  immediate = setImmediate(count).unref();
  await sleep(IDLE_MS);
  clearImmediate(immediate);
  return iterations;
}

/** Passes when the thread sleeps, in one of a few windows, while it has nothing to do. */
async function assertIdle(drivers: readonly Driver[]): Promise<void> {
  let iterations = 0;
  let enters = 0;
  for (let window = 0; window < WINDOWS_MAX; window++) {
    const before = drivers.reduce((sum, { stats }) => sum + stats.enters, 0);
    iterations = await countIterations();
    enters = drivers.reduce((sum, { stats }) => sum + stats.enters, 0) - before;
    if (iterations < PASSES_MAX && enters < PASSES_MAX) return;
  }
  assert.fail(`an idle loop goes round: ${iterations} iterations and ${enters} system calls in ${IDLE_MS} ms`);
}

/** Commits a text on a connection. */
function commitText(driver: Driver, slot: number, text: string): void {
  const at = driver.reserve(slot, text.length);
  driver.writeBytes.set(Buffer.from(text), at);
  driver.commit(slot, text.length);
}

/** Drivers that pass on what they get: what the first receives leaves on a connection of the last. */
async function relay(modes: readonly LoopMode[]): Promise<{ drivers: Driver[]; ports: number[] }> {
  let target: number | undefined;
  const drivers = modes.map((mode, index) =>
    echoDriver(mode, {
      accepted(slot) {
        if (index === modes.length - 1) target = slot;
      },
      received(_slot, bytes, offset, length) {
        const last = drivers.at(-1);
        assert.ok(last !== undefined && target !== undefined);
        const at = last.reserve(target, length);
        last.writeBytes.set(bytes.subarray(offset, offset + length), at);
        last.commit(target, length);
      },
      ended(slot) {
        drivers[index]?.close(slot);
      },
    }),
  );
  const ports: number[] = [];
  for (const driver of drivers) ports.push(await listenLocally(driver));
  return { drivers, ports };
}

for (const { name, skip } of driversUnderTest) {
  if (name === "portable") continue;
  for (const loops of LOOPS) {
    const modes = loops.map((loop): LoopMode => ({ driver: name, loop }));
    describe(`Drivers ${loops.join(" + ")} on one thread, ${name}`, { skip }, () => {
      it("sleep when idle, and answer", async () => {
        const drivers = modes.map((mode) => echoDriver(mode));
        const ports: number[] = [];
        for (const driver of drivers) ports.push(await listenLocally(driver));
        for (let round = 0; round < 3; round++) {
          for (const port of ports) assert.equal(await echoOnce(port, "hello"), "hello");
        }
        await assertIdle(drivers);
        for (const driver of drivers) await driver.shutdown();
      });

      for (const order of ["first to last", "last to first"] as const) {
        it(`one sends what another one received, ${order} made`, { timeout: 60_000 }, async () => {
          const { drivers, ports } = await relay(order === "first to last" ? modes : modes.toReversed());
          const [from, to] = [connect(ports[0] ?? 0, "127.0.0.1"), connect(ports.at(-1) ?? 0, "127.0.0.1")];
          await Promise.all([once(from, "connect"), once(to, "connect")]);
          for (let round = 0; round < 20; round++) {
            from.write(`message ${round}`);
            // Nothing else of this process stirs, so an answer that waits for the loop to wake would never come.
            assert.equal(String((await once(to, "data"))[0]), `message ${round}`);
          }
          from.destroy();
          to.destroy();
          for (const driver of drivers) await driver.shutdown();
        });
      }

      it("one commits from a timer of libuv's, and what it commits leaves at once", { timeout: 60_000 }, async () => {
        for (const index of modes.keys()) {
          let slot = -1;
          const drivers = modes.map((mode, at) =>
            echoDriver(mode, at === index ? { accepted: (it) => (slot = it) } : {}),
          );
          const driver = drivers[index];
          assert.ok(driver !== undefined);
          const socket = connect(await listenLocally(driver), "127.0.0.1");
          await once(socket, "connect");
          while (slot < 0) await sleep(1);
          setTimeout(() => commitText(driver, slot, "late"), 20);
          assert.equal(String((await once(socket, "data"))[0]), "late");
          socket.destroy();
          for (const each of drivers) await each.shutdown();
        }
      });

      it("one leaves work to another in a turn before a sleep, whichever comes first", {
        timeout: 60_000,
      }, async () => {
        for (const from of modes.keys()) {
          for (const to of modes.keys()) {
            if (from === to) continue;
            const slots: number[] = [];
            let timer: NodeJS.Timeout | undefined;
            let leftAtMs = 0;
            const drivers = modes.map((mode, at) =>
              echoDriver(mode, {
                accepted: (slot) => (slots[at] = slot),
                drained() {
                  const [driver, slot] = [drivers[to], slots[to]];
                  assert.ok(driver !== undefined && slot !== undefined);
                  commitText(driver, slot, "passed on");
                  leftAtMs = performance.now();
                  // The first thing that would wake the thread otherwise.
                  timer = setTimeout(() => undefined, 2 * LATE_MS);
                },
              }),
            );
            const sockets: Socket[] = [];
            for (const driver of drivers) sockets.push(connect(await listenLocally(driver), "127.0.0.1"));
            while (slots.filter((slot) => slot !== undefined).length < modes.length) await sleep(1);
            // It needs a turn and sends nothing, so nothing but what that turn leaves can wake the thread again.
            setTimeout(() => drivers[from]?.requestDrained(slots[from] ?? -1), 20);
            const socket = sockets[to];
            assert.ok(socket !== undefined);
            assert.equal(String((await once(socket, "data"))[0]), "passed on");
            clearTimeout(timer);
            assert.ok(
              performance.now() - leftAtMs < LATE_MS,
              `driver ${to} kept what driver ${from} had left until something woke the thread`,
            );
            for (const each of sockets) each.destroy();
            for (const each of drivers) await each.shutdown();
          }
        }
      });

      it("the rest goes on when one is shut down, the one that slept for all included", async () => {
        const drivers = modes.map((mode) => echoDriver(mode));
        const ports: number[] = [];
        for (const driver of drivers) ports.push(await listenLocally(driver));
        while (drivers.length > 0) {
          for (const port of ports) assert.equal(await echoOnce(port, "still here"), "still here");
          await assertIdle(drivers);
          await drivers.shift()?.shutdown();
          ports.shift();
        }
        // The next one may sleep again: its wait is counted as its own.
        const next = echoDriver({ driver: name, loop: "inverted" });
        await listenLocally(next);
        await sleep(50);
        assert.ok(next.stats.asleepMicros > 0);
        await next.shutdown();
      });
    });
  }
}
