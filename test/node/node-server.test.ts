/** Node's own `http.Server` on every driver: what its programs rely on, seen from the wire. */
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { Agent, createServer, type IncomingMessage, request } from "node:http";
import { connect, createServer as createNetServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { NodeServer } from "../../src/node/node-server.js";
import { runChild } from "../driver/run-child.js";
import { driversUnderTest } from "../support/drivers.js";
import { Peer } from "../support/peer.js";
import { within } from "../support/signal.js";
import { Diary, eventually, NodeRig } from "./rig.js";

const LARGE = Buffer.alloc(6 * 1024 * 1024, "ringloom ");

/** Sends raw bytes and returns everything that came until the server closed. */
async function converse(port: number, bytes: string): Promise<string> {
  const peer = await Peer.open(port);
  peer.send(bytes);
  await peer.ended();
  peer.socket.destroy();
  return peer.text;
}

for (const under of driversUnderTest) {
  describe(`NodeServer on the ${under.name} driver`, { skip: under.skip }, () => {
    let rig: NodeRig;
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });

    before(async () => {
      rig = await NodeRig.start(under, (incoming, response) => {
        if (incoming.url === "/large") response.end(LARGE);
        else if (incoming.url === "/text") response.end(`${"é".repeat(100_000)}\n`);
        else if (incoming.url === "/echo") incoming.pipe(response);
        else if (incoming.url === "/chunks") {
          response.write("one ");
          setImmediate(() => {
            response.write(Buffer.from("two "));
            response.addTrailers({ "x-sum": "3" });
            response.end("three");
          });
        } else if (incoming.url === "/from") {
          const { remoteAddress, remotePort, remoteFamily, localPort, localAddress } = incoming.socket;
          response.end(JSON.stringify({ remoteAddress, remotePort, remoteFamily, localPort, localAddress }));
        } else {
          let length = 0;
          incoming.on("data", (chunk: Buffer) => (length += chunk.length));
          incoming.on("end", () => response.end(`${incoming.method} ${incoming.url} ${length}`));
        }
      });
    });

    after(async () => {
      agent.destroy();
      await rig.close();
    });

    async function ask(path: string, method = "GET", body?: Buffer | string): Promise<IncomingMessage> {
      const outgoing = request({ port: rig.port, host: "127.0.0.1", path, method, agent });
      outgoing.end(body);
      const [response] = (await once(outgoing, "response")) as [IncomingMessage];
      return response;
    }

    test("answers with what node:http makes of it", async () => {
      const response = await ask("/x?y=1");
      assert.equal(await text(response), "GET /x?y=1 0");
      assert.equal(response.headers.connection, "keep-alive");
      const head = await ask("/x", "HEAD");
      assert.deepEqual([head.statusCode, await text(head)], [200, ""]);
    });

    test("owns a connection that it adopts, also where the program's listener throws", {
      skip: process.platform === "win32" && "a child's pipe is no socket on Windows",
    }, async () => {
      const outcome = await runChild("../node/adopt-throws-child.js", under.name, {
        meet: (socket) => void socket.resume(),
      });
      assert.deepEqual(outcome, { isTaken: true, connectionsNow: 1, reported: ["no guests"] });
    });

    test("an unreferenced server keeps its process while a connection is open, and until close() is done", async () => {
      assert.deepEqual(await runChild("../node/unref-child.js", under.name), ["HTTP/1.1 200 OK", "closed"]);
    });

    test("close() of a server that has not listened yet calls back, as node:http does", async () => {
      const server = createServer();
      const diary = new Diary();
      const node = new NodeServer(server, {
        createDriver: (options, events) => under.create(options, events),
        sizes: { connectionsMax: 16, writePoolBytes: 1024 * 1024, receiveSlabBytes: 1024 * 1024 },
      });
      server.on("close", () => diary.note("close"));
      server.close((error: NodeJS.ErrnoException | undefined) => diary.note(error?.code ?? "no error"));
      await diary.until("close");
      await diary.until("ERR_SERVER_NOT_RUNNING");
      assert.deepEqual(diary.entries, ["close", "ERR_SERVER_NOT_RUNNING"]);
      await assert.rejects(node.listen({ host: "127.0.0.1", port: 0, backlog: 1, reusePort: false }), {
        code: "ERR_RINGLOOM_CLOSED",
      });
    });

    test("gives long bodies to slow readers whole, and takes them", async () => {
      const response = await ask("/large");
      response.pause();
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal(digest(await buffer(response)), digest(LARGE));
      assert.equal(digest(await buffer(await ask("/echo", "POST", LARGE))), digest(LARGE));
      assert.equal(await text(await ask("/text")), `${"é".repeat(100_000)}\n`);
    });

    test("holds a client back whose body nobody reads", async () => {
      const diary = new Diary();
      let read: (() => void) | undefined;
      const slow = await NodeRig.start(under, (incoming, response) => {
        read = () => incoming.resume();
        incoming.on("end", () => response.end("read"));
        diary.note("request");
      });
      const outgoing = request({ port: slow.port, host: "127.0.0.1", method: "POST" });
      const huge = Buffer.alloc(64 * 1024 * 1024);
      outgoing.end(huge);
      await diary.until("request");
      const answer = once(outgoing, "response") as Promise<[IncomingMessage]>;
      await new Promise((resolve) => setTimeout(resolve, 200));
      const { receivedBytes } = slow.node.driver.stats;
      assert.ok(receivedBytes < huge.length / 2, `${receivedBytes} bytes were taken although nobody reads`);
      read?.();
      const [response] = await within("the answer", answer);
      assert.equal(await text(response), "read");
      await slow.close();
    });

    test("sends chunks and trailers", async () => {
      const response = await ask("/chunks");
      assert.equal(response.headers["transfer-encoding"], "chunked");
      assert.equal(await text(response), "one two three");
      assert.deepEqual(response.trailers, { "x-sum": "3" });
    });

    test("answers pipelined requests in order", async () => {
      const paths = Array.from({ length: 20 }, (_, index) => `/p${index}`);
      const last = "GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
      const answers = await converse(
        rig.port,
        paths.map((path) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`).join("") + last,
      );
      const bodies = [...answers.matchAll(/\r\n\r\nGET (\S+) 0/g)].map(([, path]) => path);
      assert.deepEqual(bodies, [...paths, "/last"]);
    });

    test("takes a request that comes byte by byte", async () => {
      const peer = await Peer.open(rig.port);
      for (const byte of "POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc") {
        peer.send(byte);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await peer.ended();
      assert.match(peer.text, /\r\n\r\nPOST \/slow 3$/);
      peer.socket.destroy();
    });

    test("says 100 Continue", async () => {
      const answers = await converse(
        rig.port,
        "POST /c HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\nconnection: close\r\n\r\nab",
      );
      assert.match(answers, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK[\s\S]*POST \/c 2$/);
    });

    test("refuses what is no HTTP, as node:http does", async () => {
      assert.match(await converse(rig.port, "NONSENSE\r\n\r\n"), /^HTTP\/1\.1 400 Bad Request\r\n/);
      const long = await converse(rig.port, `GET / HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(20_000)}\r\n\r\n`);
      assert.match(long, /^HTTP\/1\.1 431 /);
    });

    test("knows both ends of a connection", async () => {
      const from = JSON.parse(await text(await ask("/from"))) as Record<string, unknown>;
      assert.equal(from.remoteAddress, "127.0.0.1");
      assert.equal(from.remoteFamily, "IPv4");
      assert.equal(from.localPort, rig.port);
      assert.ok(Number(from.remotePort) > 0);
      assert.deepEqual(rig.server.address(), { address: "127.0.0.1", family: "IPv4", port: rig.port });
      assert.equal(rig.server.listening, true);
    });

    test("tells a program that its client is gone", async () => {
      const diary = new Diary();
      const gone = await NodeRig.start(under, (incoming, response) => {
        incoming.on("error", (error: NodeJS.ErrnoException) => diary.note(`request ${error.code}`));
        incoming.socket.on("close", () => diary.note("socket close"));
        response.on("close", () => diary.note(`response close ${response.writableFinished}`));
        response.write("begun");
        diary.note("request");
      });
      const peer = await Peer.open(gone.port);
      peer.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc");
      await diary.until("request");
      peer.socket.destroy();
      await diary.until("socket close");
      await diary.until("response close false");
      await diary.until("request ECONNRESET");
      await gone.close();
    });

    test("delivers what was written before the response was destroyed", async () => {
      const cut = await NodeRig.start(under, (_incoming, response) => {
        response.end("whole");
        response.destroy();
      });
      assert.match(await converse(cut.port, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"), /\r\n\r\nwhole$/);
      await cut.close();
    });

    test("keeps node:http's timeouts", async () => {
      const server = createServer({ connectionsCheckingInterval: 50 }, (_incoming, response) => response.end("ok"));
      server.headersTimeout = 100;
      server.requestTimeout = 200;
      server.keepAliveTimeout = 100;
      // Node 24 and newer add a second to what they announce.
      Reflect.set(server, "keepAliveTimeoutBuffer", 0);
      const timed = await NodeRig.startServer(under, server);
      assert.match(await converse(timed.port, "GET / HTTP/1.1\r\nhost:"), /^HTTP\/1\.1 408 Request Timeout\r\n/);
      const kept = await converse(timed.port, "GET / HTTP/1.1\r\nhost: x\r\n\r\n");
      assert.match(kept, /\r\n\r\nok$/, "the connection is closed without a word after its answer");
      const diary = new Diary();
      server.setTimeout(60, (socket: Socket) => {
        diary.note("timeout");
        socket.destroy();
      });
      await converse(timed.port, "");
      await diary.until("timeout");
      await timed.close();
    });

    test("refuses more than maxConnections", async () => {
      const server = createServer((_incoming, response) => response.end("ok"));
      server.maxConnections = 1;
      const full = await NodeRig.startServer(under, server);
      const diary = new Diary();
      server.on("drop", (data: { remotePort: number }) =>
        diary.note(data.remotePort > 0 ? "drop" : "drop without data"),
      );
      const first = await Peer.open(full.port);
      first.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
      await first.received(20);
      assert.equal(await converse(full.port, ""), "");
      await diary.until("drop");
      assert.equal(full.node.stats.rejected, 1);
      first.socket.destroy();
      await full.close();
    });

    test("hands a connection over for an upgrade, with what came behind the request", async () => {
      const server = createServer();
      server.on("upgrade", (_incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
        socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n");
        socket.write(head);
        socket.on("data", (chunk: Buffer) => socket.write(chunk));
        socket.on("end", () => socket.end());
      });
      const upgrading = await NodeRig.startServer(under, server);
      const peer = await Peer.open(upgrading.port);
      const upgrade = "GET / HTTP/1.1\r\nhost: x\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n";
      peer.send(`${upgrade}early`);
      await peer.signal.until("the echo", () => peer.text.endsWith("\r\n\r\nearly"));
      const before = peer.receivedBytes;
      peer.send(LARGE);
      await peer.received(before + LARGE.length);
      assert.equal(digest(peer.bytes.subarray(before)), digest(LARGE));
      peer.socket.end();
      await peer.closed();
      assert.equal(peer.errorCode, undefined);
      await upgrading.close();
    });

    test("makes tunnels of CONNECT", async () => {
      const server = createServer();
      server.on("connect", (incoming: IncomingMessage, socket: Duplex) => {
        socket.end(`HTTP/1.1 200 OK\r\n\r\nto ${incoming.url}`);
      });
      const proxy = await NodeRig.startServer(under, server);
      assert.match(await converse(proxy.port, "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n"), /to a:1$/);
      await proxy.close();
    });

    test("serves a net.Server that knows no HTTP", async () => {
      const server = createNetServer((socket) => socket.pipe(socket));
      const plain = await NodeRig.startServer(under, server);
      const socket = connect(plain.port, "127.0.0.1");
      socket.end(LARGE);
      assert.equal(digest(await buffer(socket)), digest(LARGE));
      await plain.close();
    });

    test("keeps the async contexts of connections apart", async () => {
      const storage = new AsyncLocalStorage<string>();
      const isolated = await NodeRig.start(under, (incoming, response) => {
        const url = incoming.url ?? "";
        const inherited = storage.getStore();
        // What enterWith leaves behind belongs to this connection, and to nobody else's.
        storage.enterWith(url);
        setImmediate(() => response.end(`${inherited ?? "none"} ${storage.getStore()}`));
      });
      const peers = await Promise.all(Array.from({ length: 50 }, () => Peer.open(isolated.port)));
      for (const [index, peer] of peers.entries())
        peer.send(`GET /${index} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
      await Promise.all(peers.map((peer) => peer.ended()));
      for (const [index, peer] of peers.entries()) assert.match(peer.text, new RegExp(`\\r\\n\\r\\nnone /${index}$`));
      for (const peer of peers) peer.socket.destroy();
      await isolated.close();
    });

    test("keeps the async contexts of sockets apart that speak no HTTP", async () => {
      const storage = new AsyncLocalStorage<string>();
      const server = createNetServer((socket) => {
        socket.on("data", (chunk) => {
          socket.write(`${storage.getStore() ?? "none"};`);
          storage.enterWith(chunk.toString());
        });
      });
      const isolated = await NodeRig.startServer(under, server);
      const peers = await Promise.all(Array.from({ length: 50 }, () => Peer.open(isolated.port)));
      for (let round = 1; round <= 3; round++) {
        for (const [index, peer] of peers.entries()) peer.send(`peer ${index}`);
        await Promise.all(
          peers.map((peer) => peer.signal.until("the answer", () => peer.text.split(";").length > round)),
        );
      }
      // Whether what enterWith left is seen by the next event of the same socket differs between versions of Node.
      for (const [index, peer] of peers.entries())
        assert.match(peer.text, new RegExp(`^none;((none|peer ${index});){2}$`));
      for (const peer of peers) peer.socket.destroy();
      await isolated.close();
    });

    test("writes on when the write pool was exhausted", async () => {
      const server = createServer((_incoming, response) => response.end(LARGE));
      const tight = await NodeRig.startServer(under, server, { sizes: { writePoolBytes: 128 * 1024 } });
      const answers = await Promise.all(
        Array.from({ length: 8 }, async () => Buffer.from(await (await fetch(tight.url)).arrayBuffer())),
      );
      for (const answer of answers) assert.equal(digest(answer), digest(LARGE));
      assert.ok(tight.node.driver.stats.writeStarved > 0, "the pool was never exhausted");
      await tight.close();
    });

    test("drains: finishes what was begun, says that it closes, closes who is idle", async () => {
      const diary = new Diary();
      let finish: (() => void) | undefined;
      const draining = await NodeRig.start(under, (incoming, response) => {
        if (incoming.url === "/wait") finish = () => response.end("waited");
        else response.end("ok");
        diary.note(incoming.url ?? "");
      });
      const idle = await Peer.open(draining.port);
      idle.send("GET /idle HTTP/1.1\r\nhost: x\r\n\r\n");
      const busy = await Peer.open(draining.port);
      busy.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n");
      const lateOne = await Peer.open(draining.port);
      lateOne.send("GET /first HTTP/1.1\r\nhost: x\r\n\r\n");
      await diary.until("/wait");
      await lateOne.signal.until("the first answer", () => lateOne.text.endsWith("ok"));
      const drained = draining.node.drain({
        graceMs: 500,
        listenerStopped: () => lateOne.send("GET /late HTTP/1.1\r\nhost: x\r\n\r\n"),
      });
      await diary.until("/late");
      finish?.();
      const report = await within("the drain", drained);
      assert.deepEqual(
        { ...report, ms: 0 },
        { requestsFinished: 2, connectionsClosedIdle: 1, connectionsForced: 0, ms: 0 },
      );
      for (const peer of [busy, lateOne]) assert.match(peer.text, /connection: close\r\n[\s\S]*(waited|ok)$/i);
      await idle.ended();
      await assert.rejects(fetch(draining.url), "nobody listens any more");
      await draining.close();
      for (const peer of [idle, busy, lateOne]) peer.socket.destroy();
    });

    test("drains: lets an answer leave that was ended and has not left, and closes who has never said anything", async () => {
      const draining = await NodeRig.start(under, (_incoming, response) => response.end(LARGE));
      const silent = await Peer.open(draining.port);
      const slow = await Peer.open(draining.port);
      slow.socket.pause();
      slow.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
      await eventually("the answer", () => draining.node.stats.requests === 1);
      const drained = draining.node.drain({ graceMs: 10 });
      await silent.ended();
      // The drain looks for idle connections all the while.
      await new Promise((resolve) => setTimeout(resolve, 200));
      slow.socket.resume();
      const report = await within("the drain", drained);
      assert.deepEqual([report.connectionsClosedIdle, report.connectionsForced, report.requestsFinished], [1, 0, 1]);
      await slow.ended();
      assert.equal(digest(slow.bytes.subarray(slow.bytes.indexOf("\r\n\r\n") + 4)), digest(LARGE));
      await draining.close();
      for (const peer of [silent, slow]) peer.socket.destroy();
    });

    test("closes late requests without being told how often to look, and leaves the server as it was", async () => {
      const server = createServer((_incoming, response) => response.end("ok"));
      server.headersTimeout = 100;
      const timed = await NodeRig.startServer(under, server);
      assert.match(await converse(timed.port, "GET / HTTP/1.1\r\nhost:"), /^HTTP\/1\.1 408 Request Timeout\r\n/);
      await timed.close();
      const [fresh, own] = [createServer(), createServer({ connectionsCheckingInterval: 7_000 })];
      const interval = Reflect.get(fresh, "connectionsCheckingInterval");
      assert.equal(Reflect.get(server, "connectionsCheckingInterval"), interval);
      const told = await NodeRig.startServer(under, own);
      assert.equal(Reflect.get(own, "connectionsCheckingInterval"), 7_000, "what the program chose stays");
      await told.close();
      assert.equal(Reflect.get(own, "connectionsCheckingInterval"), 7_000);
    });

    test("cuts what is left at the deadline of a drain", async () => {
      const diary = new Diary();
      const stuck = await NodeRig.start(under, () => diary.note("request"));
      const peer = await Peer.open(stuck.port);
      peer.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
      await diary.until("request");
      const silent = await Peer.open(stuck.port);
      const report = await stuck.node.drain({ graceMs: 60_000, deadlineMs: 50 });
      assert.deepEqual([report.connectionsClosedIdle, report.connectionsForced], [1, 1]);
      await peer.ended();
      peer.socket.destroy();
      silent.socket.destroy();
      await stuck.close();
    });

    test("ends with server.close(), and may listen anew", async () => {
      const server = createServer((_incoming, response) => response.end("ok"));
      const first = await NodeRig.startServer(under, server);
      assert.equal(await (await fetch(first.url)).text(), "ok");
      assert.throws(() => server.listen(0), { code: "ERR_RINGLOOM_LISTENS_ITSELF" });
      await within("the close", new Promise((resolve) => server.close(resolve)));
      await first.close();
      assert.equal(server.listening, false);
      const second = await NodeRig.startServer(under, server);
      assert.equal(await (await fetch(second.url)).text(), "ok");
      await second.close();
    });

    test("leaves nothing behind", async () => {
      const left = await NodeRig.start(under, (_incoming, response) => response.end("ok"));
      for (let round = 0; round < 3; round++) {
        const peers = await Promise.all(Array.from({ length: 20 }, () => Peer.open(left.port)));
        for (const peer of peers) peer.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        await Promise.all(peers.map((peer) => peer.received(50)));
        for (const peer of peers) peer.socket.destroy();
      }
      const guard = Date.now() + 10_000;
      while (left.node.stats.connectionsNow > 0 && Date.now() < guard)
        await new Promise((resolve) => setImmediate(resolve));
      assert.equal(left.node.stats.connectionsNow, 0);
      assert.equal(left.node.driver.stats.writeBlocksNow, 0);
      assert.equal(left.node.stats.requests, 60);
      await left.close();
    });
  });
}

function digest(bytes: Uint8Array): string {
  return createHash("sha1").update(bytes).digest("hex");
}
