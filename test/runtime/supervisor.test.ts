import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { loadNative } from "../../src/native.js";
import { portSharing } from "../../src/runtime/listeners.js";
import { resolveRuntimeOptions } from "../../src/runtime/options.js";
import type { GroupEvents } from "../../src/runtime/shard-group.js";
import type { ShardEnd } from "../../src/runtime/shard-thread.js";
import { readMachineFacts } from "../../src/runtime/sizing.js";
import type { RuntimeStats } from "../../src/runtime/stats.js";
import { Supervisor } from "../../src/runtime/supervisor.js";
import { driversUnderTest } from "../support/drivers.js";

const shardMain = new URL("./fixtures/tiny-shard.js", import.meta.url);
/** The tiny service listens with node:net, which takes descriptors as the portable driver does. */
const BASE = { port: 0, driver: "portable", drainGraceMs: 0, shards: portSharing().isPossible ? 2 : 1 };

interface Setup {
  main?: URL;
  config?: Record<string, unknown>;
  behaviour?: string;
  module?: URL;
  events?: GroupEvents;
}

function start({
  config = {},
  behaviour = "serves",
  main = shardMain,
  module = shardMain,
  events,
}: Setup = {}): Promise<Supervisor> {
  return Supervisor.start({
    module,
    shardMain: main,
    options: resolveRuntimeOptions({ config: { ...BASE, ...config } }),
    service: { behaviour },
    ...(events === undefined ? {} : { events }),
  });
}

async function dial(supervisor: Supervisor): Promise<Socket> {
  const socket = connect(supervisor.port, supervisor.host);
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

async function connectOnce(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
  } finally {
    socket.destroy();
  }
}

async function ask(socket: Socket, line: string): Promise<string> {
  socket.write(`${line}\n`);
  let text = "";
  while (!text.endsWith("\n")) text += String((await once(socket, "data"))[0]);
  return text.trim();
}

test("Supervisor.start() rejects when the system gives no thread, and keeps no descriptor", {
  skip: !existsSync("/proc/self/fd") && "no /proc",
}, async () => {
  const main = new URL("https://127.0.0.1/none.js");
  for (const topology of ["io+compute", "work-stealing"]) {
    await assert.rejects(start({ main, config: { topology } }));
    const before = readdirSync("/proc/self/fd").length;
    await assert.rejects(start({ main, config: { topology } }), (error: Error) =>
      /URL/.test(String(error.cause ?? error)),
    );
    assert.equal(readdirSync("/proc/self/fd").length, before);
  }
});

test("Supervisor.stop() drains every shard and reports exit code 0 when nothing is in the way", async () => {
  const supervisor = await start();
  const sockets = await Promise.all(Array.from({ length: 32 }, () => dial(supervisor)));
  const answers = await Promise.all(sockets.map((socket, index) => ask(socket, `line ${index}`)));
  assert.deepEqual(
    answers,
    sockets.map((_, index) => `line ${index}`),
  );
  const report = await supervisor.stop();
  assert.equal(report.exitCode, 0);
  assert.equal(report.shardsDrained, BASE.shards);
  assert.equal(report.requestsFinished, 32);
  assert.equal(report.connectionsCut, 0);
  assert.equal(await supervisor.stop(), report, "a second call gives the same report");
});

test("Supervisor.start() gives each shard connections when several share the port", async (t) => {
  if (BASE.shards === 1) return t.skip(portSharing().reason);
  const supervisor = await start();
  const sockets = await Promise.all(Array.from({ length: 64 }, () => dial(supervisor)));
  await Promise.all(sockets.map((socket) => ask(socket, "hello")));
  const answers = await Promise.all(sockets.map((socket) => ask(socket, "stats")));
  const shards = new Set(answers.map((answer) => (JSON.parse(answer) as RuntimeStats).shard));
  assert.deepEqual([...shards].sort(), [0, 1]);
  await supervisor.stop();
});

test("runtimeStats() sums all shards when they have published", async () => {
  const supervisor = await start();
  const sockets = await Promise.all(Array.from({ length: 16 }, () => dial(supervisor)));
  await Promise.all(sockets.map((socket) => ask(socket, "hello")));
  const [first] = sockets;
  assert.ok(first !== undefined);
  // The other shards publish ten times a second; ask until they have.
  let stats: RuntimeStats;
  do stats = JSON.parse(await ask(first, "stats"));
  while (stats.totals.driver.accepted !== 16);
  assert.equal(stats.shards.length, BASE.shards);
  assert.equal(stats.pid, process.pid);
  assert.equal(stats.driver, "portable");
  assert.ok((stats.totals.service.lines ?? 0) > 16);
  assert.ok(stats.shards.every((shard) => shard.heapUsedBytes > 0));
  assert.ok(stats.memory.rssBytes > 0 && stats.memory.budget.buffersBytesTotal > 0);
  await supervisor.stop();
});

test("Supervisor.start() rejects with EADDRINUSE when the port is taken, by a plain socket or by another supervisor", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  await assert.rejects(start({ config: { port: address.port } }), { code: "EADDRINUSE" });
  await new Promise((resolve) => server.close(resolve));

  const supervisor = await start();
  await assert.rejects(start({ config: { port: supervisor.port } }), { code: "EADDRINUSE" });
  await supervisor.stop();
  const successor = await start({ config: { port: supervisor.port } });
  assert.equal(successor.port, supervisor.port, "the port is free after the stop");
  await successor.stop();
});

test("Supervisor.start() rejects with ENOTFOUND when the host name has no address", async () => {
  await assert.rejects(start({ config: { host: "no-such-host.invalid" } }), { code: "ENOTFOUND" });
});

test("Supervisor.start() rejects with the shard's own error when a shard cannot start", async () => {
  await assert.rejects(start({ behaviour: "fails" }), {
    code: "ERR_RINGLOOM_NOT_AN_APP",
    message: "Cannot serve: as asked",
  });
});

test("Supervisor.start() rejects with ERR_RINGLOOM_SHARD_FAILED when a shard exits before it serves", async () => {
  await assert.rejects(start({ behaviour: "exits" }), { code: "ERR_RINGLOOM_SHARD_FAILED", message: /exit code 7/ });
});

test("Supervisor.start() rejects with ERR_RINGLOOM_TIMEOUT when a shard is never ready", async () => {
  await assert.rejects(start({ behaviour: "never-ready", config: { startMs: 200 } }), { code: "ERR_RINGLOOM_TIMEOUT" });
});

for (const { name, skip } of driversUnderTest) {
  for (const behaviour of ["fails", "exits", "loads", "never-ready"]) {
    test(`Supervisor.start() frees the port when it rejects in the case of "${behaviour}" with driver ${name}`, {
      skip,
    }, async () => {
      const before = await start();
      const { port } = before;
      await before.stop();
      const module = behaviour === "loads" ? new URL("./fixtures/throws.js", import.meta.url) : shardMain;
      const config = { port, driver: name, startMs: behaviour === "never-ready" ? 500 : 30_000 };
      for (let attempt = 0; attempt < 2; attempt++) {
        await assert.rejects(start({ behaviour, module, config }), (error: { code?: string }) => {
          assert.notEqual(error.code, "EADDRINUSE", `attempt ${attempt}`);
          return true;
        });
        await assert.rejects(connectOnce(port), { code: "ECONNREFUSED" });
      }
      const after = await start({ config: { port } });
      assert.equal(after.port, port);
      await after.stop();
    });
  }
}

test("Supervisor.start() keeps the user's stack when the module throws on load", async () => {
  const throwing = new URL("./fixtures/throws.js", import.meta.url);
  await assert.rejects(start({ behaviour: "loads", module: throwing }), (error: Error & { code?: string }) => {
    assert.equal(error.code, "ERR_RINGLOOM_MODULE_LOAD");
    assert.match(error.message, /throws\.js: it threw TypeError: boom\.$/);
    assert.ok(error.cause instanceof Error);
    assert.match(error.cause.stack ?? "", /throws\.js:\d+/);
    return true;
  });
});

test("Supervisor.stopped reports exit code 3 and tells shardLost when a shard dies and the restart budget is spent", async () => {
  const lost: ShardEnd[] = [];
  const supervisor = await start({ config: { restartsMax: 0 }, events: { shardLost: (end) => lost.push(end) } });
  const socket = await dial(supervisor);
  socket.write("die\n");
  const report = await supervisor.stopped;
  assert.equal(report.cause, "restarts-spent");
  assert.equal(report.exitCode, 3);
  assert.equal(report.shardsDrained, BASE.shards - 1, "the others finish what they have");
  assert.equal(report.failures.length, 1);
  assert.equal(lost.length, 1);
  assert.equal(lost[0]?.kind, "died");
  assert.match(lost[0]?.error?.message ?? "", /asked to die/);
});

test("Supervisor.stop() drains sooner when a further call says so, and not later", async () => {
  const supervisor = await start();
  void supervisor.stop({ readyDelayMs: 600_000 });
  void supervisor.stop();
  assert.equal(supervisor.health.phase, "leaving");
  void supervisor.stop({ readyDelayMs: 1 });
  void supervisor.stop({ readyDelayMs: 900_000 });
  const { phases } = await supervisor.stopped;
  assert.ok(phases.readyDelayMs < 600_000);
});

test("Supervisor.stop() cuts and reports exit code 1 when the deadline passes", async () => {
  const supervisor = await start({ behaviour: "holds", config: { drainMs: 100 } });
  const socket = await dial(supervisor);
  await ask(socket, "hello");
  const report = await supervisor.stop();
  assert.equal(report.connectionsCut, 1);
  assert.equal(report.exitCode, 1);
});

test("Supervisor.cut() ends a drain at once when it is called during one", async () => {
  const supervisor = await start({ behaviour: "holds", config: { drainMs: 3_600_000 } });
  const socket = await dial(supervisor);
  await ask(socket, "hello");
  void supervisor.stop();
  supervisor.cut();
  const report = await supervisor.stopped;
  assert.equal(report.connectionsCut, 1);
  assert.equal(report.exitCode, 1);
});

test("Supervisor.cut() terminates a shard when its JavaScript never returns", async () => {
  const supervisor = await start({ config: { shards: 1 } });
  const socket = await dial(supervisor);
  await ask(socket, "hello");
  assert.equal(await ask(socket, "spin"), "spinning");
  void supervisor.stop();
  supervisor.cut();
  const report = await supervisor.stopped;
  assert.equal(report.shardsDrained, 0);
  assert.equal(report.failures[0]?.kind, "terminated");
  assert.equal(report.exitCode, 1);
});

test("Supervisor.start() rejects a CPU that is not allowed, and pins to one that is", async (t) => {
  await assert.rejects(start({ config: { cpu: [1023] } }), {
    code: "ERR_RINGLOOM_INVALID_OPTION",
    message: /CPU 1023/,
  });
  if (loadNative() === undefined) return t.skip("pinning needs the addon");
  const [cpu = 0] = readMachineFacts().cpus;
  const supervisor = await start({ config: { cpu: [cpu] } });
  assert.equal((await supervisor.stop()).exitCode, 0);
});
