/** WebSockets of a server over real connections, against a client that sends what it is told to. */
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { after, afterEach, before, describe, test } from "node:test";
import { App, type WebSocket, type WebSocketRoute } from "../../src/http/index.js";
import { driversUnderTest } from "../support/drivers.js";
import { Peer } from "../support/peer.js";
import { Signal, turns } from "../support/signal.js";
import { SocketServer } from "../support/test-server.js";
import { closeFrame, type FrameParts, frame, handshake, RawClient } from "./raw-client.js";

const TEXT = 1;
const BINARY = 2;
const KIB = 1024;

/** What a socket was told at its end. */
interface End {
  readonly code: number;
  readonly reason: string;
}

for (const driver of driversUnderTest) {
  describe(`WebSockets on the ${driver.name} driver`, { skip: driver.skip }, () => {
    let server: SocketServer;
    let route: WebSocketRoute<unknown>;
    let ends: End[];
    const signal = new Signal();

    before(async () => {
      const app = new App();
      app.ws("/echo", {
        message: (ws, message) => ws.send(message),
        close: (_ws, code, reason) => ended(code, reason),
      });
      app.ws("/any/:name", {
        upgrade: (c) => route.upgrade?.(c),
        open: (ws) => route.open?.(ws),
        message: (ws, message) => route.message?.(ws, message),
        drain: (ws) => route.drain?.(ws),
        ping: (ws, payload) => route.ping?.(ws, payload),
        pong: (ws, payload) => route.pong?.(ws, payload),
        close: (_ws, code, reason) => ended(code, reason),
        protocols: ["chat", "superchat"],
        origins: ["https://here.example"],
        limits: { messageBytesMax: 64 * KIB, fragmentsMax: 4, inboundBytesMax: 4 * KIB, sendBytesMax: 256 * KIB },
      });
      server = await SocketServer.start(driver, app);
    });
    afterEach(async () => {
      await server.settle();
      assert.equal(server.leftover(), undefined);
      server.log.length = 0;
    });
    after(() => server.close());

    function ended(code: number, reason: string): void {
      ends.push({ code, reason });
      signal.notify();
    }

    function open(name: string, fields = {}, behind?: Uint8Array): Promise<RawClient> {
      ends = [];
      if (name !== "/any/x") route = {};
      return RawClient.open(server.port, name, fields, behind);
    }

    /** Opens a socket on a route of the test's own. */
    function openOn(own: WebSocketRoute<unknown>, fields = {}): Promise<RawClient> {
      route = own;
      return open("/any/x", fields);
    }

    async function end(): Promise<End | undefined> {
      await signal.until("the socket to be closed", () => ends.length > 0);
      assert.equal(ends.length, 1, "a socket is closed once");
      return ends[0];
    }

    test("answers the handshake of the RFC's example and echoes messages", async () => {
      const client = await open("/echo");
      assert.match(client.head, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
      assert.match(client.head, /\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/);
      client.send({ opcode: TEXT, payload: "hello" }, { opcode: BINARY, payload: Buffer.from([0, 255]) });
      client.send({ opcode: TEXT, payload: "grüße 🙂" }, { opcode: TEXT });
      const frames = await client.received(4);
      assert.deepEqual(
        frames.map(({ opcode, isFinal, payload }) => [opcode, isFinal, payload.toString()]),
        [
          [TEXT, true, "hello"],
          [BINARY, true, Buffer.from([0, 255]).toString()],
          [TEXT, true, "grüße 🙂"],
          [TEXT, true, ""],
        ],
      );
      client.send(closeFrame(1000, "bye"));
      assert.equal(await client.closeCode(), 1000);
      assert.deepEqual(await end(), { code: 1000, reason: "bye" });
      await client.peer.ended();
      client.end();
    });

    test("reads messages wherever they are cut", async () => {
      const messages: FrameParts[] = [
        { opcode: TEXT, payload: "short" },
        { opcode: BINARY, payload: Buffer.alloc(200, 7) },
        { opcode: TEXT, payload: "frag", isFinal: false },
        { opcode: 9, payload: "between" },
        { opcode: 0, payload: "mented", isFinal: true },
        { opcode: TEXT, payload: "ü".repeat(40) },
      ];
      const stream = Buffer.concat(messages.map(frame));
      const expected = ["short", Buffer.alloc(200, 7).toString(), "fragmented", "ü".repeat(40)];
      for (let cut = 1; cut < stream.length; cut += cut < 24 ? 1 : 13) {
        const client = await open("/echo");
        client.send(stream.subarray(0, cut));
        await turns(3);
        client.send(stream.subarray(cut));
        await client.received(5);
        assert.deepEqual(client.texts, expected, `cut at ${cut}`);
        assert.equal(client.frames.find(({ opcode }) => opcode === 10)?.payload.toString(), "between");
        client.end();
        assert.deepEqual(await end(), { code: 1006, reason: "" });
      }
      const client = await open("/echo");
      for (const byte of stream) {
        client.send(Buffer.from([byte]));
        await turns(1);
      }
      await client.received(5);
      assert.deepEqual(client.texts, expected);
      client.end();
    });

    test("takes frames that came with the handshake, and messages of all lengths", async () => {
      const client = await open("/echo", {}, frame({ opcode: TEXT, payload: "early" }));
      await client.received(1);
      assert.deepEqual(client.texts, ["early"]);
      for (const length of [125, 126, 127, 65_535, 65_536, 300_000]) {
        const payload = Buffer.alloc(length, length % 251);
        client.send({ opcode: BINARY, payload });
        const frames = await client.received(client.frames.length + 1);
        assert.ok(frames[frames.length - 1]?.payload.equals(payload), `${length} bytes`);
      }
      client.end();
    });

    const VIOLATIONS: readonly [string, number, Buffer][] = [
      ["a frame that is not masked", 1002, frame({ opcode: TEXT, payload: "x", isMasked: false })],
      ["a reserved bit", 1002, frame({ opcode: TEXT, payload: "x", reserved: 0x40 })],
      ["an unknown opcode", 1002, frame({ opcode: 3 })],
      ["an unknown control opcode", 1002, frame({ opcode: 11 })],
      ["a fragmented ping", 1002, frame({ opcode: 9, isFinal: false })],
      ["a ping of 126 bytes", 1002, frame({ opcode: 9, payload: Buffer.alloc(126) })],
      ["a continuation of nothing", 1002, frame({ opcode: 0, payload: "x" })],
      [
        "a message inside of another",
        1002,
        Buffer.concat([frame({ opcode: TEXT, isFinal: false }), frame({ opcode: TEXT })]),
      ],
      ["a length in too many bytes", 1002, frame({ opcode: TEXT, payload: "x", lengthBytes: 2 })],
      ["a length of 64 bits for 16", 1002, frame({ opcode: TEXT, payload: Buffer.alloc(300), lengthBytes: 8 })],
      ["a length with its first bit set", 1002, Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4])],
      ["a length of nearly 2^63", 1009, Buffer.from([0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4])],
      ["a message that is too long", 1009, frame({ opcode: BINARY, length: 64 * KIB + 1 })],
      [
        "fragments that are too long together",
        1009,
        Buffer.concat([
          frame({ opcode: BINARY, payload: Buffer.alloc(60 * KIB), isFinal: false }),
          frame({ opcode: 0, payload: Buffer.alloc(5 * KIB) }),
        ]),
      ],
      [
        "too many fragments",
        1009,
        Buffer.concat([
          frame({ opcode: TEXT, isFinal: false }),
          ...Array(5).fill(frame({ opcode: 0, isFinal: false })),
        ]),
      ],
      ["text that is no UTF-8", 1007, frame({ opcode: TEXT, payload: Buffer.from([0xc0, 0x80]) })],
      [
        "text whose fragments are no UTF-8 together",
        1007,
        Buffer.concat([
          frame({ opcode: TEXT, payload: Buffer.from([0xe2, 0x82]), isFinal: false }),
          frame({ opcode: 0, payload: "x" }),
        ]),
      ],
      ["a close frame of one byte", 1002, frame({ opcode: 8, payload: "x" })],
      ["a close code that may not be sent", 1002, closeFrame(1005)],
      ["a close code below 1000", 1002, closeFrame(999)],
      ["a close code that nobody has registered", 1002, closeFrame(1016)],
      ["a close reason that is no UTF-8", 1007, frame({ opcode: 8, payload: Buffer.from([0x03, 0xe8, 0xff]) })],
    ];
    for (const [title, code, bytes] of VIOLATIONS) {
      test(`closes with ${code} for ${title}`, async () => {
        const before = server.stats.webSocketViolations;
        const client = await openOn({ message: (ws, message) => ws.send(message) });
        client.send(bytes, { opcode: TEXT, payload: "nobody reads this" });
        assert.equal(await client.closeCode(), code);
        assert.equal((await end())?.code, code);
        assert.deepEqual(client.texts, []);
        assert.equal(server.stats.webSocketViolations, before + 1);
        await client.peer.ended();
        client.end();
      });
    }

    test("refuses what is no handshake, and serves the connection's next request", async () => {
      const cases: readonly [Record<string, string>, number][] = [
        [{ Upgrade: "" }, 426],
        [{ Upgrade: "h2c" }, 426],
        [{ Connection: "keep-alive" }, 400],
        [{ "Sec-WebSocket-Version": "8" }, 426],
        [{ "Sec-WebSocket-Key": "" }, 400],
        [{ "Sec-WebSocket-Key": "c2hvcnQ=" }, 400],
        [{ Origin: "https://elsewhere.example" }, 403],
        [{ "Sec-WebSocket-Protocol": "chat,,superchat" }, 400],
      ];
      const peer = await Peer.open(server.port);
      for (const [fields, status] of cases) {
        const from = peer.receivedBytes;
        peer.send(handshake("/any/x", fields));
        await peer.signal.until("an answer", () => peer.receivedBytes > from || peer.isClosed);
        const answer = peer.text.slice(from);
        assert.equal(answer.slice(9, 12), String(status), JSON.stringify(fields));
        if (status === 426) assert.match(answer, /upgrade: websocket\r\nsec-websocket-version: 13\r\n/i);
      }
      peer.socket.destroy();
    });

    test("lets upgrade refuse, set fields, and give the socket its data, at once or later", async () => {
      const refused = await openOn({ upgrade: (c) => c.text("not you", 401) });
      assert.match(refused.head, /^HTTP\/1\.1 401 /);
      refused.end();
      for (const isLater of [false, true]) {
        let seen: unknown;
        const client = await openOn(
          {
            upgrade: (c) => {
              c.setCookie("session", "7");
              const data = { name: c.param("name") };
              return isLater ? turns(3).then(() => data) : data;
            },
            open: (ws) => {
              seen = [ws.data, ws.protocol, ws.remoteAddress];
              ws.send("welcome");
            },
          },
          { "Sec-WebSocket-Protocol": "superchat, chat", Origin: "https://here.example" },
        );
        assert.match(client.head, /\r\nset-cookie: session=7/);
        assert.match(client.head, /\r\nSec-WebSocket-Protocol: superchat\r\n/);
        await client.received(1);
        assert.deepEqual(seen, [{ name: "x" }, "superchat", "127.0.0.1"]);
        client.end();
        await end();
      }
    });

    test("runs one handler at a time, in order, and stops reading when too much waits", async () => {
      const done: string[] = [];
      let running = 0;
      let release: () => void = () => undefined;
      const gate = new Promise<void>((resolve) => (release = resolve));
      const client = await openOn({
        message: async (ws, message) => {
          running += 1;
          assert.equal(running, 1);
          if (done.length === 0) await gate;
          await turns(1);
          done.push(String(message).slice(0, 4));
          running -= 1;
          if (done.length === 200) ws.send("all");
        },
      });
      const texts = Array.from({ length: 200 }, (_, index) =>
        String(index)
          .padStart(4, "0")
          .padEnd(8 * KIB, "."),
      );
      for (const payload of texts) client.send({ opcode: TEXT, payload });
      // Pings are not behind the messages, as long as their bytes are read.
      await turns(50);
      assert.ok(server.stats.webSocketInboundBytesNow < 800 * KIB, "a paused socket keeps little");
      release();
      await client.received(1);
      assert.deepEqual(
        done,
        texts.map((text) => text.slice(0, 4)),
      );
      client.end();
      await end();
    });

    test("answers pings while a handler is busy, and closes", async () => {
      let release: () => void = () => undefined;
      const gate = new Promise<void>((resolve) => (release = resolve));
      const client = await openOn({ message: () => gate });
      client.send({ opcode: TEXT, payload: "wait" }, { opcode: 9, payload: "still there?" });
      const frames = await client.received(1);
      assert.deepEqual([frames[0]?.opcode, frames[0]?.payload.toString()], [10, "still there?"]);
      client.send(closeFrame(4000));
      assert.equal(await client.closeCode(), 4000);
      await client.peer.ended();
      assert.equal(ends.length, 0, "close comes behind the handler");
      release();
      assert.equal((await end())?.code, 4000);
      client.end();
    });

    test("closes with 1011 when a handler fails, and reports it", async () => {
      for (const message of [
        () => {
          throw new Error("thrown");
        },
        () => Promise.reject(new Error("rejected")),
      ]) {
        const client = await openOn({ message });
        client.send({ opcode: TEXT, payload: "x" }, { opcode: TEXT, payload: "y" });
        assert.equal(await client.closeCode(), 1011);
        assert.equal((await end())?.code, 1011);
        client.end();
      }
      assert.deepEqual(
        server.log.map(({ error }) => (error as Error).message),
        ["thrown", "rejected"],
      );
    });

    test("tells who sends too fast, drops above the bound, and says when there is room again", async () => {
      const statuses = new Set<string>();
      let socket: WebSocket | undefined;
      let drained = 0;
      let sent = 0;
      const client = await openOn({
        open: (ws) => {
          socket = ws;
          ws.send("ready");
        },
        drain: () => {
          drained += 1;
          signal.notify();
        },
      });
      await client.received(1);
      client.peer.socket.pause();
      const payload = Buffer.alloc(32 * KIB, 1);
      while (!statuses.has("dropped")) {
        const status = socket?.send(payload) ?? "closed";
        statuses.add(status);
        if (status !== "dropped") sent += 1;
        await turns(1);
      }
      assert.deepEqual([...statuses].sort(), ["backpressure", "dropped", "sent"]);
      assert.ok((socket?.queuedBytes ?? 0) <= 256 * KIB);
      assert.ok(server.stats.webSocketMessagesDropped > 0);
      client.peer.socket.resume();
      await signal.until("the socket to drain", () => drained > 0);
      await client.received(1 + sent);
      assert.equal(client.frames.length, 1 + sent);
      client.end();
      await end();
      assert.equal(socket?.send("late"), "closed");
      assert.equal(socket?.ping(), "closed");
      socket?.close();
      socket?.terminate();
    });

    test("closes from this side: waits for the peer's answer, or for its time", async () => {
      let socket: WebSocket | undefined;
      const client = await openOn({ open: (ws) => void (socket = ws) });
      await signal.until("the socket", () => socket !== undefined);
      assert.throws(() => socket?.close(1006), /Cannot close with code 1006/);
      assert.throws(() => socket?.close(1000, "x".repeat(124)), /longer than 123 bytes/);
      socket?.close(3000, "done");
      assert.equal(socket?.isOpen, false);
      assert.equal(socket?.send("late"), "closed");
      assert.equal(await client.closeCode(), 3000);
      assert.equal(ends.length, 0);
      client.send(closeFrame(3000, "so be it"));
      assert.deepEqual(await end(), { code: 3000, reason: "so be it" });
      await client.peer.ended();
      client.end();
    });

    test("handles what was received before the peer's close, and says so behind it", async () => {
      const order: string[] = [];
      const client = await openOn({
        message: async (ws, message) => {
          await turns(3);
          order.push(`${String(message)} ${ws.send("late")}`);
        },
      });
      client.send({ opcode: TEXT, payload: "a" }, { opcode: TEXT, payload: "b" }, { opcode: TEXT, payload: "c" });
      client.send(closeFrame(1000, "bye"));
      assert.deepEqual(await end(), { code: 1000, reason: "bye" });
      assert.deepEqual(
        order.map((entry) => entry[0]),
        ["a", "b", "c"],
      );
      assert.equal(order[2], "c closed");
      client.end();
    });

    test("closes with 1011 when a handler of pings rejects", async () => {
      const client = await openOn({ ping: () => Promise.reject(new Error("no pings")) });
      client.send({ opcode: 9 });
      assert.equal(await client.closeCode(), 1011);
      assert.equal((await end())?.code, 1011);
      assert.match(String(server.log[0]?.error), /no pings/);
      client.end();
    });

    test("keeps the answer to the last ping alone for a peer that does not read", async () => {
      const client = await openOn({});
      client.peer.socket.pause();
      const ping = Buffer.concat(Array(500).fill(frame({ opcode: 9, payload: "x".repeat(125) })));
      const before = server.driver.stats.receivedBytes;
      let count = 0;
      while (server.driver.stats.writeBlocksNow * 64 * KIB < 128 * KIB || count < 200) {
        client.peer.send(ping);
        await turns(2);
        count += 1;
        if (count > 400) break;
      }
      await signal.until("the pings to be read", () => {
        setImmediate(() => signal.notify());
        return server.driver.stats.receivedBytes - before >= count * ping.length;
      });
      assert.ok(server.stats.writePoolExhausted === 0);
      client.send({ opcode: 9, payload: "last" });
      client.peer.socket.resume();
      await client.peer.signal.until("the last pong", () => client.peer.bytes.subarray(-4).toString() === "last");
      const pongs = client.frames.length;
      assert.ok(pongs < count * 500, `${pongs} of ${count * 500} pings were answered`);
      client.end();
      await end();
    });

    test("bounds messages that have no bytes", async () => {
      let release: () => void = () => undefined;
      const gate = new Promise<void>((resolve) => (release = resolve));
      let seen = 0;
      const client = await openOn({
        message: (ws) => {
          seen += 1;
          if (seen === 20_001) ws.send("all");
          return seen === 1 ? gate : undefined;
        },
      });
      const many = Buffer.concat(Array(20_001).fill(frame({ opcode: BINARY })));
      client.send(many);
      await turns(50);
      // What one receive brought may be above the bound; the rest is not read.
      assert.ok(server.stats.webSocketInboundBytesNow > 0);
      assert.ok(server.stats.webSocketInboundBytesNow < 128 * 20_000, "a paused socket keeps little");
      release();
      await client.received(1);
      client.end();
      await end();
    });

    test("reads over what comes behind its own close frame", async () => {
      let socket: WebSocket | undefined;
      const before = server.stats.webSocketViolations;
      const client = await openOn({ open: (ws) => void (socket = ws) });
      client.send({ opcode: TEXT, payload: "begun", isFinal: false });
      await turns(5);
      socket?.close(1000);
      client.send({ opcode: 0, payload: "goes on", isFinal: false }, { opcode: 0, payload: "ends" });
      client.send({ opcode: TEXT, isFinal: false }, { opcode: 0 }, closeFrame(1000));
      assert.deepEqual(await end(), { code: 1000, reason: "" });
      assert.equal(server.stats.webSocketViolations, before);
      client.end();
    });

    test("is not open any more once it was cut", async () => {
      const seen: unknown[] = [];
      const client = await openOn({
        message: (ws, message) => {
          ws.terminate();
          seen.push(message, ws.isOpen, ws.send("x"));
        },
      });
      client.send({ opcode: TEXT, payload: "a" }, { opcode: TEXT, payload: "b" });
      assert.deepEqual(await end(), { code: 1006, reason: "" });
      assert.deepEqual(seen, ["a", false, "closed"]);
      client.end();
    });

    test("refuses a handshake that has a body", async () => {
      const client = await openOn({}, { "Content-Length": "4" });
      assert.match(client.head, /^HTTP\/1\.1 400 /);
      client.end();
    });

    test("gives each message an async context of its own", async () => {
      const storage = new AsyncLocalStorage<string>();
      const client = await openOn({
        message: (ws, message) => {
          ws.send(storage.getStore() ?? "none");
          storage.enterWith(String(message));
        },
      });
      client.send({ opcode: TEXT, payload: "a" }, { opcode: TEXT, payload: "b" });
      await client.received(2);
      assert.deepEqual(client.texts, ["none", "none"]);
      client.end();
      await end();
    });
  });

  test(`WebSockets on the ${driver.name} driver: an idle peer is pinged, then cut; a stopping server says so`, {
    skip: driver.skip,
  }, async () => {
    const codes: number[] = [];
    const app = new App();
    const close = (_ws: WebSocket, code: number): void => void codes.push(code);
    app.ws("/idle", { close, limits: { idleTimeoutMs: 30 } });
    app.ws("/busy", {
      message: () => new Promise((resolve) => setTimeout(resolve, 400)),
      close,
      limits: { idleTimeoutMs: 60, inboundBytesMax: 1 },
    });
    app.ws("/stay", { close, limits: { closeTimeoutMs: 30 } });
    const server = await SocketServer.start(driver, app);
    const idle = await RawClient.open(server.port, "/idle");
    await idle.received(1);
    assert.equal(idle.frames[0]?.opcode, 9);
    await idle.peer.ended();
    idle.end();
    assert.equal(server.stats.webSocketIdleTimeouts, 1);
    const busy = await RawClient.open(server.port, "/busy");
    busy.send({ opcode: TEXT, payload: "a" }, { opcode: TEXT, payload: "b" });
    await busy.received(1);
    busy.send(closeFrame(1000));
    assert.equal(await busy.closeCode(), 1000);
    assert.equal(server.stats.webSocketIdleTimeouts, 1, "a peer that we do not read is not idle");
    busy.end();
    while (codes.length < 2) await turns(1);
    const polite = await RawClient.open(server.port, "/stay");
    const rude = await RawClient.open(server.port, "/stay");
    const drained = server.server.drain({ graceMs: 0, deadlineMs: 10_000 });
    assert.equal(await polite.closeCode(), 1001);
    polite.send(closeFrame(1001));
    await polite.peer.ended();
    polite.end();
    await rude.peer.ended();
    rude.end();
    await drained;
    assert.deepEqual(codes, [1006, 1000, 1001, 1006]);
    await server.close();
  });
}
