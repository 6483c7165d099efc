/** What goes wrong with streams, and how that is said. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { connect as connectNode, type Socket } from "node:net";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { RingloomError } from "../../src/errors.js";
import { loadNative, requireNative } from "../../src/native.js";
import { adoptStream, connect, connectMany, listen, type NetStream } from "../../src/net/index.js";
import { threadDriver } from "../../src/runtime/thread-driver.js";
import { until, unusedPort, withNodeServer, withPair } from "./net-rig.js";

test("connect() says whom it could not reach, with every address that it tried", async () => {
  const port = await unusedPort();
  await assert.rejects(connect({ host: "127.0.0.1", port }), (error: RingloomError) => {
    assert.equal(error.code, "ECONNREFUSED");
    assert.match(error.message, new RegExp(`127\\.0\\.0\\.1.*${port}`));
    return true;
  });
  const resolver = async (): Promise<string[]> => ["127.0.0.1", "127.0.0.2", "127.0.0.1"];
  await assert.rejects(connect({ host: "both.test", port }, { resolver }), (error: RingloomError) => {
    assert.equal(error.code, "ECONNREFUSED");
    assert.match(error.message, /both\.test.*127\.0\.0\.1 ECONNREFUSED, 127\.0\.0\.2 ECONNREFUSED/);
    assert.deepEqual(error.details?.addresses, ["127.0.0.1", "127.0.0.2"]);
    assert.ok(error.cause instanceof AggregateError);
    return true;
  });
  await assert.rejects(connect({ path: "/nowhere/at/all" }), { code: "ENOENT" });
});

test("connect() refuses what is no target", async () => {
  await assert.rejects(connect({ host: "127.0.0.1", port: 0 }), RangeError);
  await assert.rejects(connect({ host: "127.0.0.1", port: 65_536 }), RangeError);
  await assert.rejects(connect({ host: "", port: 1 }), TypeError);
  await assert.rejects(connect({ path: "" }), TypeError);
  await assert.rejects(connect({ path: "x".repeat(200) }), TypeError);
  await assert.rejects(connect({ port: 1 }, { timeoutMs: -1 }), RangeError);
  await assert.rejects(connect({ port: 1 }, { readBufferBytes: 1 }), RangeError);
  await assert.rejects(connect({ port: 1 }, { signal: "now" as never }), TypeError);
  await assert.rejects(listen({ port: 70_000 }), RangeError);
  await assert.rejects(listen({ port: 0 }, { waitingMax: 0 }), RangeError);
  assert.throws(() => adoptStream(-1), RangeError);
});

test("connect() passes on what the resolver says, and an empty answer is ENOTFOUND", async () => {
  const broken = new Error("the resolver is broken");
  await assert.rejects(connect({ host: "a.test", port: 1 }, { resolver: () => Promise.reject(broken) }), broken);
  await assert.rejects(connect({ host: "a.test", port: 1 }, { resolver: async () => [] }), { code: "ENOTFOUND" });
});

test("connect() ends at its limits while it resolves and while it connects, and leaves nothing behind", async () => {
  const never = (): Promise<string[]> => new Promise(() => {});
  await assert.rejects(connect({ host: "a.test", port: 1 }, { resolver: never, timeoutMs: 5 }), {
    code: "ERR_RINGLOOM_TIMEOUT",
  });
  const reason = new Error("enough");
  await assert.rejects(connect({ port: 1 }, { signal: AbortSignal.abort(reason) }), (error: RingloomError) => {
    return error.code === "ERR_RINGLOOM_ABORTED" && error.cause === reason;
  });
});

test("connect() ends at its limits while nobody answers, and tries the next address meanwhile", {
  skip: loadNative() === undefined && "without the addon no socket listens that nobody accepts from",
}, async () => {
  await withNodeServer(
    (socket) => socket.end("here"),
    async (port) => {
      const native = requireNative();
      // Nobody accepts here, so when the queue is full the kernel drops what comes, and connecting hangs.
      const deaf = native.listenSocket("127.0.0.2", port, 0, 0);
      assert.ok(typeof deaf === "object");
      const waiting: NetStream[] = [];
      let code = "";
      while (code === "" && waiting.length < 50)
        await connect({ host: "127.0.0.2", port }, { timeoutMs: 100 }).then(
          (stream) => waiting.push(stream),
          (error: RingloomError) => (code = error.code),
        );
      assert.equal(code, "ERR_RINGLOOM_TIMEOUT");
      const controller = new AbortController();
      const hanging = assert.rejects(connect({ host: "127.0.0.2", port }, { signal: controller.signal }), {
        code: "ERR_RINGLOOM_ABORTED",
      });
      const resolver = async (): Promise<string[]> => ["127.0.0.2", "127.0.0.1"];
      const stream = await connect({ host: "slow.test", port }, { resolver, attemptDelayMs: 10 });
      assert.deepEqual(stream.remoteAddress, { host: "127.0.0.1", port });
      assert.equal((await stream.readExact(4)).toString(), "here");
      controller.abort();
      await hanging;
      for (const one of [stream, ...waiting]) one.destroy();
      native.closeDescriptor(deaf.fd);
      await until("all connections to be gone", () => threadDriver().driver.stats.connectionsNow === 0);
    },
  );
});

test("connect() tries the next address when the first fails", async () => {
  await withNodeServer(
    (socket) => socket.end("here"),
    async (port) => {
      const resolver = async (): Promise<string[]> => ["127.0.0.9", "127.0.0.1"];
      const stream = await connect({ host: "two.test", port }, { resolver });
      assert.deepEqual(stream.remoteAddress, { host: "127.0.0.1", port });
      assert.equal((await stream.readExact(4)).toString(), "here");
      stream.close();
      await stream.closed;
    },
  );
});

test("connectMany() gives all streams in order, or none", async () => {
  await withNodeServer(
    (socket) => socket.pipe(socket),
    async (port, server) => {
      const streams = await connectMany(
        Array.from({ length: 20 }, () => ({ port })),
        { concurrency: 7 },
      );
      await Promise.all(
        streams.map(async (stream, index) => {
          await stream.writeAll(`${index} `);
          assert.equal((await stream.read())?.toString(), `${index} `);
          stream.close();
          await stream.closed;
        }),
      );
      const bad = await unusedPort();
      await assert.rejects(connectMany([{ port }, { port: bad }, { port }]), { code: "ECONNREFUSED" });
      const open = (): Promise<number> => new Promise((resolve) => server.getConnections((_, count) => resolve(count)));
      for (let count = await open(); count > 0; count = await open()) await setTimeout(1);
      await assert.rejects(connectMany([], { concurrency: 0 }), RangeError);
      assert.deepEqual(await connectMany([]), []);
    },
  );
});

test("NetStream tells a reset to who reads, who writes and who comes later", async () => {
  await withNodeServer(
    (socket) => socket.once("data", () => socket.resetAndDestroy()),
    async (port) => {
      const stream = await connect({ port });
      const reading = assert.rejects(stream.read(), (error: RingloomError) => {
        assert.equal(error.code, "ECONNRESET");
        assert.match(error.message, new RegExp(String(port)));
        return true;
      });
      await stream.writeAll("now");
      await reading;
      await stream.closed;
      await assert.rejects(stream.read(), { code: "ECONNRESET" });
      await assert.rejects(stream.writeAll("late"), { code: "ECONNRESET" });
      await stream.end();
      stream.close();
      stream.close();
      stream.destroy();
      assert.equal(stream.setNoDelay(), stream);
      assert.equal(stream.isClosed, true);
    },
  );
});

test("NetStream gives what had arrived before a reset", async () => {
  let peer: Socket | undefined;
  await withNodeServer(
    (socket) => {
      peer = socket;
      socket.write("last words");
    },
    async (port) => {
      const stream = await connect({ port });
      await until("the bytes to arrive", () => stream.bytesAvailable === 10);
      peer?.resetAndDestroy();
      await stream.closed;
      assert.equal((await stream.readExact(4)).toString(), "last");
      await assert.rejects(stream.readExact(100), { code: "ECONNRESET" });
      assert.equal((await stream.read())?.toString(), " words");
      await assert.rejects(stream.read(), { code: "ECONNRESET" });
    },
  );
});

test("NetStream tells a reset to writes that wait, and to the reader that was held back", async () => {
  let peer: Socket | undefined;
  const much = Buffer.alloc(8 * 1024 * 1024, 1);
  await withNodeServer(
    (socket) => (peer = socket.pause()),
    async (port) => {
      const stream = await connect({ port }, { readBufferBytes: 8_192 });
      await until("the peer", () => peer !== undefined);
      const writing = [stream.writeAll(much), stream.writeAll("behind it"), stream.end()].map((one) =>
        one.then(
          () => "done",
          (error: RingloomError) => error.code,
        ),
      );
      peer?.write(much);
      await until("the reader to be held back", () => stream.bytesAvailable >= 8_192);
      peer?.resetAndDestroy();
      // Reading on is what finds the reset where the driver had stopped to receive.
      const outcome = await (async (): Promise<string> => {
        try {
          while ((await stream.read()) !== undefined);
          return "the end";
        } catch (error) {
          return (error as RingloomError).code;
        }
      })();
      // Where a write has taken the error, Node reads an end before it says so: docs/net.md.
      const isPortable = threadDriver().driver.name === "portable";
      assert.match(outcome, isPortable ? /^(ECONNRESET|EPIPE|the end)$/ : /^(ECONNRESET|EPIPE)$/);
      for (const code of await Promise.all(writing)) assert.match(code, /^(ECONNRESET|EPIPE)$/);
      await stream.closed;
    },
  );
});

test("NetStream.readExact() says how far it came when the peer ends, and what a given up read took goes back", async () => {
  await withPair(async ({ client, server }) => {
    await client.writeAll("abc");
    await until("the bytes to arrive", () => server.bytesAvailable === 3);
    await assert.rejects(server.readExact(5, { timeoutMs: 20 }), { code: "ERR_RINGLOOM_TIMEOUT" });
    await assert.rejects(server.readSome(new Uint8Array(0)), RangeError);
    await assert.rejects(server.readSome([] as never), TypeError);
    await assert.rejects(server.readExact("5" as never), TypeError);
    await assert.rejects(server.readExact(-1), RangeError);
    await assert.rejects(server.recvSegments(undefined as never), TypeError);
    await assert.rejects(client.writeAll(5 as never), TypeError);
    await assert.rejects(client.writeMany(["text" as never]), TypeError);
    for (const call of ["tryReadSome", "tryReadExact", "tryWrite", "tryWriteAll"] as const)
      assert.throws(() => server[call]({ length: 1 } as never), TypeError);
    const controller = new AbortController();
    const waiting = server.readExact(10, { signal: controller.signal });
    await assert.rejects(server.read(), { code: "ERR_RINGLOOM_BUSY" });
    assert.throws(() => server.tryRead(), { code: "ERR_RINGLOOM_BUSY" });
    controller.abort();
    await assert.rejects(waiting, { code: "ERR_RINGLOOM_ABORTED" });
    assert.equal(server.bytesAvailable, 3);
    await client.end();
    await assert.rejects(server.readExact(5), (error: RingloomError) => {
      assert.equal(error.code, "ERR_RINGLOOM_UNEXPECTED_END");
      assert.deepEqual(error.details, { wanted: 5, readBytes: 3 });
      return true;
    });
    assert.equal((await server.readExact(3)).toString(), "abc");
    assert.equal(await server.read(), undefined);
    assert.equal(await server.readSome(new Uint8Array(4)), 0);
    await assert.rejects(server.readExact(1), { code: "ERR_RINGLOOM_UNEXPECTED_END" });
    await assert.rejects(client.writeAll("after the end"), { code: "EPIPE" });
  });
});

test("NetStream.writeAll() to a peer that never reads is bounded, can be given up and says how far it came", async () => {
  await withPair(async ({ client }) => {
    const chunk = Buffer.alloc(1024 * 1024, 1);
    let written = 0;
    const error = await (async (): Promise<RingloomError> => {
      for (;;) {
        try {
          await client.writeAll(chunk, { timeoutMs: 100 });
          written += chunk.length;
        } catch (thrown) {
          return thrown as RingloomError;
        }
      }
    })();
    assert.equal(error.code, "ERR_RINGLOOM_TIMEOUT");
    assert.ok(written < 64 * 1024 * 1024, `${written} bytes were taken`);
    assert.ok(client.queuedBytes <= 256 * 1024, `${client.queuedBytes} bytes are queued`);
    assert.equal(typeof error.details?.writtenBytes, "number");
    const waiting = Array.from({ length: 1_024 }, () => client.writeAll(chunk).catch((one: RingloomError) => one.code));
    await assert.rejects(client.writeAll(chunk), { code: "ERR_RINGLOOM_BACKPRESSURE" });
    client.destroy(new Error("given up"));
    assert.equal((await Promise.all(waiting)).length, 1_024);
    await assert.rejects(client.writeAll("x"), /given up/);
  });
});

test("NetStream.close() gives up who waits, and what was written still arrives", async () => {
  await withPair(async ({ client, server }) => {
    const reading = assert.rejects(client.read(), { code: "ERR_RINGLOOM_CLOSED" });
    const bytes = Buffer.alloc(100_000, 7);
    await client.writeAll(bytes);
    client.close();
    await reading;
    assert.ok((await server.readExact(100_000)).equals(bytes));
    assert.equal(await server.read(), undefined);
    server.close();
    await Promise.all([client.closed, server.closed]);
  });
});

test("NetListener gives no place to those whose peers have reset them while nobody reads", async () => {
  const listener = await listen({ port: 0 }, { waitingMax: 2 });
  try {
    for (let round = 0; round < 3; round++) {
      const sockets = [0, 1].map(() => connectNode(listener.port, "127.0.0.1").on("error", () => {}));
      await until("two to wait", () => listener.waitingNow === 2);
      for (const socket of sockets) socket.resetAndDestroy();
      if (round < 2) await until("both to be forgotten", () => listener.waitingNow === 0);
    }
    const live = connectNode(listener.port, "127.0.0.1").on("error", () => {});
    const stream = await listener.accept({ timeoutMs: 20_000 });
    assert.equal(stream?.remoteAddress !== undefined && "port" in stream.remoteAddress, true);
    assert.equal(listener.rejected, 0);
    stream?.destroy();
    live.destroy();
  } finally {
    await listener.close();
  }
});

test("NetListener closes those that nobody accepts, and ends who waits", async () => {
  const listener = await listen({ port: 0 }, { waitingMax: 2 });
  const sockets = Array.from({ length: 5 }, () => connectNode(listener.port, "127.0.0.1").on("error", () => {}));
  await until("three to be turned away", () => listener.rejected === 3);
  assert.equal(listener.waitingNow, 2);
  const accepted = await listener.accept();
  assert.equal(listener.waitingNow, 1);
  const other = await listener.accept({ timeoutMs: 10_000 });
  await assert.rejects(listener.accept({ timeoutMs: 5 }), { code: "ERR_RINGLOOM_TIMEOUT" });
  await assert.rejects(listener.accept({ signal: AbortSignal.abort() }), { code: "ERR_RINGLOOM_ABORTED" });
  const waiting = assert.rejects(listener.accept(), { code: "ERR_RINGLOOM_CLOSED" });
  await Promise.all([listener.close(), listener.close(), waiting]);
  await assert.rejects(listener.accept(), { code: "ERR_RINGLOOM_CLOSED" });
  for await (const _ of listener) assert.fail("a closed listener gives none");
  accepted.destroy();
  other.destroy();
  for (const socket of sockets) socket.destroy();
});

test("NetListener.serve() closes each stream behind its handler, and one that fails takes nobody else with it", async () => {
  const listener = await listen({ port: 0 });
  const errors: unknown[] = [];
  let running = 0;
  let runningMost = 0;
  const serving = listener.serve(
    async (stream: NetStream) => {
      running += 1;
      runningMost = Math.max(runningMost, running);
      try {
        const bytes = await stream.read();
        if (bytes?.toString() === "fail") throw new Error("as asked");
        if (bytes !== undefined) await stream.writeAll(bytes);
      } finally {
        running -= 1;
      }
    },
    { connectionsMax: 2, onError: (error) => errors.push(error) },
  );
  const answers = await Promise.all(
    ["one", "fail", "two", "three", "fail", "four"].map(async (word) => {
      const stream = await connect({ port: listener.port });
      await stream.writeAll(word);
      const answer = await stream.read().catch((error: RingloomError) => error.code);
      stream.destroy();
      return answer?.toString();
    }),
  );
  assert.deepEqual([answers[0], answers[2], answers[3], answers[5]], ["one", "two", "three", "four"]);
  assert.equal(errors.length, 2);
  assert.ok(runningMost <= 2);
  await listener.close();
  await serving;
});

test("connect() and listen() answer EMFILE with an error and with patience, and the thread goes on", {
  skip: process.platform !== "linux",
}, () => {
  const child = fileURLToPath(new URL("no-descriptors-child.js", import.meta.url));
  const command = `ulimit -n 90; exec "${process.execPath}" "${child}"`;
  const { status, stdout, stderr } = spawnSync("/bin/sh", ["-c", command], { encoding: "utf8", timeout: 30_000 });
  assert.equal(status, 0, stderr);
  const { code, turns, answered } = JSON.parse(stdout) as { code: string; turns: number; answered: string };
  assert.equal(code, "EMFILE");
  assert.equal(answered, "hello");
  // 300 ms without a descriptor: a listener that spins makes tens of thousands of turns.
  assert.ok(turns < 2_000, `${turns} turns of the driver`);
});
