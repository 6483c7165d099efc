/** TCP and Unix streams on the driver of this thread; `RINGLOOM_DRIVER` says which. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect as connectNode, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { connect, type ListenTarget, listen, type NetListener, type NetStream } from "../../src/net/index.js";
import { connectionOf } from "../../src/net/stream.js";
import { within } from "../support/signal.js";

const folder = mkdtempSync(join(tmpdir(), "ringloom-net-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let names = 0;

interface Pair {
  readonly listener: NetListener;
  readonly client: NetStream;
  readonly server: NetStream;
}

function anywhere(kind: string): ListenTarget {
  if (kind === "TCP") return { host: "127.0.0.1", port: 0 };
  names += 1;
  return { path: kind === "a Unix socket" ? join(folder, `s${names}`) : `\0ringloom-test-${process.pid}-${names}` };
}

async function pair(kind: string, options: Parameters<typeof listen>[1] = {}): Promise<Pair> {
  const target = anywhere(kind);
  const listener = await listen(target, options);
  const to = "path" in target ? target : { host: "127.0.0.1", port: listener.port };
  const [client, server] = await Promise.all([connect(to, options), listener.accept()]);
  return { listener, client, server };
}

async function finish({ listener, client, server }: Pair): Promise<void> {
  client.close();
  server.close();
  await within("the streams to close", Promise.all([client.closed, server.closed, listener.close()]));
}

async function withPair(
  kind: string,
  body: (pair: Pair) => Promise<void>,
  options: Parameters<typeof listen>[1] = {},
): Promise<void> {
  const opened = await pair(kind, options);
  try {
    await within("the body of the test", body(opened));
  } finally {
    await finish(opened);
  }
}

const hasAbstractNames = process.platform === "linux";
for (const kind of ["TCP", "a Unix socket", "an abstract name"]) {
  describe(`NetStream over ${kind}`, {
    skip: kind === "an abstract name" && !hasAbstractNames,
    timeout: 60_000,
  }, () => {
    test("carries bytes both ways, half-closes and ends", async () => {
      await withPair(kind, async ({ client, server }) => {
        await client.writeAll("hello");
        assert.equal((await server.readExact(5)).toString(), "hello");
        await server.writeMany([Buffer.from("how "), Buffer.from("are "), Buffer.from("you")]);
        assert.equal((await client.readExact(11)).toString(), "how are you");
        await client.end();
        assert.equal(await server.read(), undefined);
        assert.equal(server.isEnded, true);
        await server.writeAll("still here");
        await server.end();
        const pieces: Buffer[] = [];
        for await (const bytes of client) pieces.push(bytes);
        assert.equal(Buffer.concat(pieces).toString(), "still here");
        await Promise.all([client.closed, server.closed]);
        assert.ok(client.isClosed && server.isClosed);
      });
    });

    test("carries 8 MiB in order while the reader is slow, and holds back the writer", async () => {
      await withPair(kind, async ({ client, server }) => {
        const size = 8 * 1024 * 1024;
        const sent = Buffer.alloc(size);
        for (let at = 0; at < size; at += 4) sent.writeUInt32LE(at, at);
        const writing = client.writeAll(sent).then(() => client.end());
        let isWritten = false;
        void writing.then(() => (isWritten = true));
        for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 2));
        assert.equal(isWritten, false, "what nobody reads is not all taken");
        assert.ok(server.bytesAvailable <= 256 * 1024 + 65_536, `${server.bytesAvailable} bytes wait`);
        const received = Buffer.alloc(size);
        let at = 0;
        for await (const bytes of server) at += bytes.copy(received, at);
        await writing;
        assert.equal(at, size);
        assert.ok(received.equals(sent));
      });
    });
  });
}

test("NetStream.toDuplex() is a Node stream, and gets what nobody has read", async () => {
  await withPair("TCP", async ({ client, server }) => {
    await server.writeAll("before");
    while (client.bytesAvailable < 6) await new Promise((resolve) => setTimeout(resolve, 1));
    const duplex = client.toDuplex();
    const echoed: Buffer[] = [];
    duplex.on("data", (chunk: Buffer) => echoed.push(chunk));
    duplex.write("over node");
    assert.equal((await server.readExact(9)).toString(), "over node");
    await server.writeAll(" and after");
    await server.end();
    await once(duplex, "close");
    assert.equal(Buffer.concat(echoed).toString(), "before and after");
    await assert.rejects(client.read(), { code: "ERR_RINGLOOM_CLOSED" });
    await server.closed;
  });
});

test("connect() and listen() meet node:net", async () => {
  const server = createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const stream = await connect({ host: "127.0.0.1", port: (server.address() as AddressInfo).port });
  await stream.writeAll("echo");
  assert.equal((await stream.readExact(4)).toString(), "echo");
  stream.close();
  await stream.closed;
  server.close();
  const listener = await listen({ port: 0 });
  const socket = connectNode(listener.port, "127.0.0.1");
  const accepted = await listener.accept();
  assert.equal(accepted.remoteAddress?.port, socket.localPort);
  assert.equal(accepted.localAddress?.port, listener.port);
  socket.end("bye");
  assert.equal((await accepted.readExact(3)).toString(), "bye");
  assert.equal(await accepted.read(), undefined);
  accepted.close();
  await once(socket.resume(), "close");
  await listener.close();
});

test("listen() replaces the file of a server that died, and not that of one that lives", async () => {
  const path = join(folder, "stale");
  const first = await listen({ path });
  await assert.rejects(listen({ path }), { code: "EADDRINUSE" });
  assert.ok(existsSync(path));
  await first.close();
  assert.ok(!existsSync(path));
  // A server of another process that is gone: node:net removes its file, so make one without a server.
  const { spawnSync } = await import("node:child_process");
  const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
  spawnSync(process.execPath, ["-e", script]);
  assert.ok(existsSync(path));
  const second = await listen({ path });
  await second.close();
});

test("NetStream.toDuplex() after end() gives a stream that reads, whose writes are refused", async () => {
  const { listener, client, server } = await pair("TCP");
  await client.end();
  const duplex = client.toDuplex();
  const refused = within("the refusal", new Promise((resolve) => duplex.on("error", () => {}).write("x", resolve)));
  assert.equal(((await refused) as NodeJS.ErrnoException).code, "ERR_STREAM_WRITE_AFTER_END");
  duplex.destroy();
  server.destroy();
  await listener.close();
});

test("NetStream.toDuplex(): what it writes counts for the sweep that cuts who does not read", async () => {
  const { listener, client, server } = await pair("TCP");
  await client.writeAll("12345");
  const duplex = client.toDuplex();
  await new Promise<void>((resolve, reject) => duplex.write("67890", (error) => (error ? reject(error) : resolve())));
  assert.equal((await server.readExact(10)).toString(), "1234567890");
  assert.equal(connectionOf(client).committedBytes, 10);
  duplex.destroy();
  server.destroy();
  await listener.close();
});

test("NetStream.readMany() and readExactMany() fill several buffers in one call, and lose nothing", {
  timeout: 30_000,
}, async () => {
  const opened = await pair("TCP");
  const { client, server } = opened;
  const buffers = (...lengths: number[]): Buffer[] => lengths.map((length) => Buffer.alloc(length));
  const texts = (targets: readonly Buffer[]): string[] => targets.map((target) => target.toString());

  // What is there already, and what comes while the call waits.
  await client.writeAll("abcdefgh");
  while (server.bytesAvailable < 8) await new Promise((resolve) => setImmediate(resolve));
  const there = buffers(3, 0, 4);
  assert.equal(await server.readMany(there), 7);
  assert.deepEqual(texts(there), ["abc", "", "defg"]);
  const behind = buffers(2, 2, 2, 0, 3);
  const filling = server.readExactMany(behind);
  for (const piece of ["ijk", "l", "mnop!"]) {
    await client.writeAll(piece);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await filling;
  assert.deepEqual(texts(behind), ["hi", "jk", "lm", "", "nop"]);
  assert.equal(server.tryRead()?.toString(), "!");

  const some = buffers(1, 1, 8);
  const waiting = server.readMany(some);
  await client.writeAll("xyz");
  assert.equal(await waiting, 3);
  assert.deepEqual([some[0]?.toString(), some[1]?.toString(), some[2]?.[0]], ["x", "y", 0x7a]);

  // Without waiting.
  assert.equal(server.tryReadMany(buffers(4)), 0);
  await client.writeAll("12345");
  while (server.bytesAvailable < 5) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(server.tryReadExactMany(buffers(3, 3)), false);
  const exact = buffers(2, 3);
  assert.equal(server.tryReadExactMany(exact), true);
  assert.deepEqual(texts(exact), ["12", "345"]);

  // One that is given up has taken whole buffers, and gives them back.
  await client.writeAll("frame1frame2fr");
  while (server.bytesAvailable < 14) await new Promise((resolve) => setImmediate(resolve));
  await assert.rejects(server.readExactMany(buffers(6, 6, 6), { timeoutMs: 10 }), { code: "ERR_RINGLOOM_TIMEOUT" });
  assert.equal((await server.readExact(14)).toString(), "frame1frame2fr");
  await client.writeAll("short");
  const short = server.readExactMany(buffers(2, 2, 2));
  await client.end();
  await assert.rejects(short, {
    code: "ERR_RINGLOOM_UNEXPECTED_END",
    details: { wanted: 6, readBytes: 5 },
  });
  assert.equal((await server.readExact(5)).toString(), "short");
  assert.equal(await server.readMany(buffers(2)), 0);

  await server.readExactMany([]);
  await assert.rejects(server.readMany([]), RangeError);
  await assert.rejects(server.readMany(buffers(0)), RangeError);
  await assert.rejects(server.readMany("x" as never), TypeError);
  await assert.rejects(server.readExactMany([1 as never]), TypeError);
  await finish(opened);
});
