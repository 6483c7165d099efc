/** WebSockets of clients: against servers of ours and of the package `ws`, and against servers that answer what none should. The driver is the thread's: `RINGLOOM_DRIVER` names it. */
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { WebSocketServer } from "ws";
import { App, type Server, serve, type WebSocket } from "../../src/http/index.js";
import { acceptKey } from "../../src/ws/handshake.js";
import {
  type ClientWebSocket,
  type ConnectWebSocketOptions,
  connectWebSocket,
  type WebSocketMessage,
} from "../../src/ws/index.js";
import { until, unusedPort, withNodeServer } from "../net/net-rig.js";
import { CERTIFICATE, CERTIFICATE_KEY } from "../support/certificate.js";

const KIB = 1024;

/** What a client was told, and how it ended. */
class Told {
  readonly messages: WebSocketMessage[] = [];
  readonly pongs: string[] = [];
  drained = 0;
  end: { readonly code: number; readonly reason: string } | undefined;

  get handlers(): ConnectWebSocketOptions {
    return {
      message: (_ws, message) => void this.messages.push(message),
      pong: (_ws, payload) => void this.pongs.push(Buffer.from(payload).toString()),
      drain: () => {
        this.drained += 1;
      },
      close: (_ws, code, reason) => {
        assert.equal(this.end, undefined, "a socket is closed once");
        this.end = { code, reason };
      },
      timeoutMs: 20_000,
    };
  }

  async closed(): Promise<{ readonly code: number; readonly reason: string } | undefined> {
    await until("the socket to be closed", () => this.end !== undefined);
    return this.end;
  }
}

const texts = (messages: readonly WebSocketMessage[]): string[] =>
  messages.map((message) => (typeof message === "string" ? message : `bytes ${Buffer.from(message).toString()}`));

describe("connectWebSocket() to a server of ours", () => {
  let server: Server;
  let url: string;
  const peers: WebSocket[] = [];
  const ends: [number, string][] = [];

  before(async () => {
    const app = new App();
    app.ws("/echo", {
      protocols: ["chat"],
      upgrade: (c) => ({ token: c.header("authorization"), cookie: c.header("cookie"), host: c.header("host") }),
      open: (ws) => void peers.push(ws),
      message: (ws, message) => ws.send(message),
      close: (_ws, code, reason) => void ends.push([code, reason]),
      compression: { thresholdBytes: 16, serverContextTakeover: true, clientContextTakeover: true },
      limits: { messageBytesMax: 8 * KIB * KIB, sendBytesMax: 8 * KIB * KIB },
    });
    app.ws("/greeting", { open: (ws) => void [ws.send("welcome"), ws.send("again")] });
    app.get("/page", (c) => c.text("no WebSocket"));
    server = await serve({ app, port: 0, host: "127.0.0.1" });
    url = `ws://127.0.0.1:${server.port}`;
  });
  after(() => server.close());

  for (const compression of [false, true]) {
    test(`messages of every kind and size come back, ${compression ? "compressed" : "as they are"}`, async () => {
      const told = new Told();
      const limits = { messageBytesMax: 8 * KIB * KIB, sendBytesMax: 8 * KIB * KIB };
      const settings = { thresholdBytes: 16, serverContextTakeover: true, clientContextTakeover: true };
      const ws = await connectWebSocket(`${url}/echo`, {
        ...told.handlers,
        limits,
        ...(compression ? { compression: settings } : {}),
      });
      const sent: WebSocketMessage[] = [
        "",
        "hello",
        "x".repeat(125),
        "y".repeat(126),
        "grüße 🙂".repeat(50),
        Buffer.from([0, 255]),
        Buffer.alloc(65_535, 1),
        Buffer.alloc(65_536, 2),
        "läng ".repeat(200_000),
        Buffer.alloc(3 * KIB * KIB, "abcdefg"),
        "last",
      ];
      for (const message of sent) {
        assert.notEqual(ws.send(message), "dropped");
        await until("room", () => ws.queuedBytes < KIB * KIB);
      }
      await until("the echo", () => told.messages.length === sent.length);
      for (const [index, message] of told.messages.entries()) {
        const wanted = sent[index]!;
        assert.equal(typeof message, typeof wanted);
        assert.ok(
          typeof wanted === "string" ? message === wanted : Buffer.from(wanted).equals(message as Uint8Array),
          `message ${index}`,
        );
      }
      assert.equal(ws.ping(Buffer.from("there?")), "sent");
      await until("the pong", () => told.pongs.length > 0);
      assert.deepEqual(told.pongs, ["there?"]);
      ws.close(4001, "enough");
      assert.deepEqual([ws.isOpen, ws.send("late"), ws.ping()], [false, "closed", "closed"]);
      assert.equal((await told.closed())?.code, 4001);
      assert.deepEqual(ends.splice(0), [[4001, "enough"]]);
      ws.close();
      ws.terminate();
    });
  }

  test("tells the server what it was told to, and has data, protocol and address", async () => {
    const told = new Told();
    const { host, port } = new URL(url);
    const ws: ClientWebSocket<{ name: string }> = await connectWebSocket(`ws://me:secret@127.0.0.1:${port}/echo?a=b`, {
      ...(told.handlers as object),
      data: { name: "one" },
      protocols: ["superchat", "chat"],
      headers: { Cookie: "a=b" },
    });
    assert.deepEqual([ws.data.name, ws.protocol, ws.remoteAddress], ["one", "chat", "127.0.0.1"]);
    assert.deepEqual(peers.at(-1)?.data, {
      token: `Basic ${Buffer.from("me:secret").toString("base64")}`,
      cookie: "a=b",
      host,
    });
    ws.terminate();
    assert.deepEqual(await told.closed(), { code: 1006, reason: "" });
    assert.equal(ws.remoteAddress, undefined);
    await until("the server to hear", () => ends.length > 0);
    assert.equal(ends.splice(0)[0]?.[0], 1006);
  });

  test("handles what the server sends with its answer, and its close", async () => {
    const told = new Told();
    const order: string[] = [];
    await connectWebSocket(`${url}/greeting`, { ...told.handlers, open: () => void order.push("open") });
    await until("the greeting", () => told.messages.length === 2);
    assert.deepEqual([...order, ...texts(told.messages)], ["open", "welcome", "again"]);
    const echo = new Told();
    await connectWebSocket(`${url}/echo`, { ...echo.handlers });
    await until("the server's end", () => peers.at(-1)?.isOpen === true);
    peers.at(-1)?.close(4002, "the server goes");
    assert.deepEqual(await echo.closed(), { code: 4002, reason: "the server goes" });
    await until("the server to hear", () => ends.length > 0);
    assert.equal(ends.splice(0)[0]?.[0], 4002);
  });

  test("runs one handler at a time, in the caller's context, and says what one threw", async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const failures: unknown[] = [];
    let end: number | undefined;
    let running = 0;
    const ws = await storage.run("caller", () =>
      connectWebSocket(`${url}/echo`, {
        async message(_ws, message) {
          running += 1;
          assert.equal(running, 1);
          await new Promise((resolve) => setImmediate(resolve));
          running -= 1;
          seen.push(storage.getStore());
          if (message === "bad") throw new Error("a handler fails");
        },
        close: (_ws, code) => {
          end = code;
        },
        failed: (error) => void failures.push(error),
      }),
    );
    for (const text of ["a", "b", "bad", "never handled"]) ws.send(text);
    await until("the end", () => end !== undefined);
    assert.equal(end, 1011);
    assert.deepEqual(seen, ["caller", "caller", "caller"]);
    assert.match(String(failures[0]), /a handler fails/);
    await until("the server to hear", () => ends.length > 0);
    assert.equal(ends.splice(0)[0]?.[0], 1011);
  });

  test("a server that answers with a page is an error that says so", async () => {
    await assert.rejects(connectWebSocket(`${url}/page`), (error: Error & { code?: string; details?: unknown }) => {
      assert.equal(error.code, "ERR_RINGLOOM_HANDSHAKE_FAILED");
      assert.match(error.message, /the server answers 200 OK/);
      assert.equal((error.details as { status: number }).status, 200);
      return true;
    });
    await assert.rejects(connectWebSocket(`${url}/echo`, { protocols: ["other"] }), /speaks none of the subprotocols/);
  });

  test("what cannot be asked for is refused before anything is sent", async () => {
    const wrong: readonly [string, ConnectWebSocketOptions, object][] = [
      ["no url", {}, { name: "TypeError" }],
      ["ftp://x/", {}, { name: "TypeError" }],
      [`${url}/echo#part`, {}, { name: "TypeError" }],
      ["wss://127.0.0.1/", { tls: false }, { name: "TypeError" }],
      [url, { tls: true }, { name: "TypeError" }],
      [url, { protocols: ["a b"] }, { name: "TypeError" }],
      [url, { protocols: ["a", "a"] }, { name: "TypeError" }],
      [url, { headers: { "X-A": "a\r\nX-B: b" } }, { name: "TypeError" }],
      [url, { headers: { "X A": "a" } }, { name: "TypeError" }],
      [url, { headers: { "Sec-WebSocket-Key": "a" } }, { name: "TypeError" }],
      [url, { limits: { messageBytesMax: 0 } }, { code: "ERR_RINGLOOM_INVALID_OPTION" }],
      [url, { compression: { level: 10 } }, { code: "ERR_RINGLOOM_INVALID_OPTION" }],
      [url, { timeoutMs: -1 }, { name: "RangeError" }],
      [url, { signal: AbortSignal.abort() }, { code: "ERR_RINGLOOM_ABORTED" }],
    ];
    for (const [where, options, error] of wrong) await assert.rejects(connectWebSocket(where, options), error, where);
    await assert.rejects(connectWebSocket(`ws://127.0.0.1:${await unusedPort()}`), { code: "ECONNREFUSED" });
  });
});

describe("connectWebSocket() over TLS", () => {
  let server: Server;
  let url = "";

  before(async () => {
    const app = new App();
    app.ws("/echo", { message: (ws, message) => void ws.send(message) });
    server = await serve({ app, port: 0, driver: "portable", tls: { cert: CERTIFICATE, key: CERTIFICATE_KEY } });
    url = `wss://localhost:${server.port}/echo`;
  });
  after(() => server.close());

  test("messages go both ways, and the close handshake ends it", async () => {
    const told = new Told();
    const ws = await connectWebSocket(url, { ...told.handlers, tls: { ca: CERTIFICATE } });
    const long = "x".repeat(200 * KIB);
    ws.send("hello");
    ws.send(long);
    await until("both echoes", () => told.messages.length === 2);
    assert.deepEqual(told.messages, ["hello", long]);
    ws.close(1000, "done");
    assert.equal((await told.closed())?.code, 1000);
  });

  test("a certificate that nobody vouches for is refused", async () => {
    await assert.rejects(connectWebSocket(url, { timeoutMs: 20_000 }), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
  });
});

describe("connectWebSocket() to servers that answer what none should", () => {
  /** The server's end. */
  interface Rude {
    readonly port: number;
    /** Of the connections that clients have opened, how many they have ended. */
    readonly count: { opened: number; ended: number };
    /** What came behind the handshake. */
    readonly heard: Buffer[];
  }

  /** Answers the handshake with `answer`, in which ACCEPT stands for what it should be, and then says `rest`. */
  async function against(
    answer: string,
    body: (rude: Rude) => Promise<void>,
    rest: Buffer = Buffer.alloc(0),
  ): Promise<void> {
    const count = { opened: 0, ended: 0 };
    const heard: Buffer[] = [];
    await withNodeServer(
      (socket) => {
        count.opened += 1;
        socket.once("end", () => {
          count.ended += 1;
        });
        socket.once("data", (bytes) => {
          socket.on("data", (more) => heard.push(more));
          const key = /Sec-WebSocket-Key: (\S+)/.exec(bytes.toString("latin1"))?.[1] ?? "";
          const text = answer.replace("ACCEPT", acceptKey(key));
          socket.write(Buffer.concat([Buffer.from(text, "latin1"), rest]));
        });
      },
      (port) => body({ port, count, heard }),
    );
  }

  const good =
    "HTTP/1.1 101 Switching\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n";
  const refused: readonly [string, string, RegExp][] = [
    ["is not HTTP", "SSH-2.0-x\r\n\r\n", /not HTTP\/1.1/],
    ["is HTTP/1.0", "HTTP/1.0 101 Switching\r\n\r\n", /not HTTP\/1.1/],
    ["has a malformed field", "HTTP/1.1 101 x\r\n bad\r\n\r\n", /malformed field/],
    // With a pattern that trims, this took minutes, and no limit of time could end it.
    [
      "has a field of spaces with a bare line feed",
      `HTTP/1.1 101 x\r\na:${" ".repeat(15 * KIB)}\n\r\n\r\n`,
      /malformed field/,
    ],
    ["redirects", "HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", /answers 302 Found/],
    ["upgrades to something else", `${good.replace("WebSocket", "h2c")}\r\n`, /something else/],
    ["has another key", `${good.replace("ACCEPT", "x")}\r\n`, /not that of the key/],
    ["has a subprotocol", `${good}Sec-WebSocket-Protocol: chat\r\n\r\n`, /was not offered/],
    ["has an extension", `${good}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n`, /not offered/],
    ["never ends", `HTTP/1.1 101 x\r\nA: ${"x".repeat(20 * KIB)}`, /over 16384 bytes/],
  ];
  for (const [title, answer, message] of refused) {
    test(`refuses an answer that ${title}`, async () => {
      await against(answer, async ({ port, count }) => {
        const url = `ws://127.0.0.1:${port}/`;
        await assert.rejects(connectWebSocket(url), { code: "ERR_RINGLOOM_HANDSHAKE_FAILED", message });
        await until("the connection to be ended", () => count.opened === 1 && count.ended === 1);
      });
    });
  }

  test("gives up a server that does not answer: by time, by signal, and when it ends", async () => {
    await withNodeServer(
      (socket) => void socket.resume(),
      async (port) => {
        const url = `ws://127.0.0.1:${port}/`;
        await assert.rejects(connectWebSocket(url, { timeoutMs: 50 }), { code: "ERR_RINGLOOM_TIMEOUT" });
        const stop = new AbortController();
        const waiting = connectWebSocket(url, { signal: stop.signal });
        setTimeout(() => stop.abort(), 20);
        await assert.rejects(waiting, { code: "ERR_RINGLOOM_ABORTED" });
      },
    );
    await withNodeServer(
      (socket) => void socket.resume().end(),
      async (port) => {
        await assert.rejects(connectWebSocket(`ws://127.0.0.1:${port}/`), /the server ends the connection/);
      },
    );
  });

  const bad: readonly [string, string, number][] = [
    ["is masked", "818537fa213d7f9f4d5158", 1002],
    ["has a reserved bit", "c100", 1002],
    ["is a continuation of nothing", "8000", 1002],
    ["is no UTF-8", "8102c328", 1007],
    ["is announced as too large", "827f0000000010000000", 1009],
  ];
  for (const [title, hex, code] of bad) {
    test(`closes with ${code} for a frame that ${title}`, async () => {
      const told = new Told();
      await against(
        `${good}\r\n`,
        async ({ port, heard }) => {
          await connectWebSocket(`ws://127.0.0.1:${port}/`, { ...told.handlers });
          assert.equal((await told.closed())?.code, code);
          await until("the close frame", () => Buffer.concat(heard).length >= 8);
          const bytes = Buffer.concat(heard);
          assert.equal(bytes[0], 0x88);
          assert.equal(bytes[1]! & 0x80, 0x80, "what a client sends is masked");
          const first = bytes.readUInt16BE(6) ^ bytes.readUInt16BE(2);
          assert.equal(first, code);
        },
        Buffer.from(hex, "hex"),
      );
    });
  }

  test("cuts a server that does not answer pings or its close", async () => {
    const told = new Told();
    await against(`${good}\r\n`, async ({ port }) => {
      await connectWebSocket(`ws://127.0.0.1:${port}/`, { ...told.handlers, limits: { idleTimeoutMs: 30 } });
      assert.deepEqual(await told.closed(), { code: 1006, reason: "" });
      const silent = new Told();
      const ws = await connectWebSocket(`ws://127.0.0.1:${port}/`, {
        ...silent.handlers,
        limits: { closeTimeoutMs: 30 },
      });
      ws.close();
      assert.deepEqual(await silent.closed(), { code: 1006, reason: "" });
    });
  });
});

describe("connectWebSocket() to a server of the package ws", () => {
  const cases = [
    undefined,
    { serverContextTakeover: true, clientContextTakeover: true },
    { serverWindowBits: 9, clientWindowBits: 10, serverContextTakeover: true, clientContextTakeover: true },
    {},
  ] as const;
  for (const compression of cases) {
    test(`talks and closes, with compression ${JSON.stringify(compression)}`, async () => {
      const peer = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: { threshold: 0 } });
      await once(peer, "listening");
      const ends: number[] = [];
      peer.on("connection", (socket) => {
        socket.on("message", (data, isBinary) => socket.send(data as Buffer, { binary: isBinary }));
        socket.on("close", (code) => ends.push(code));
      });
      const told = new Told();
      const { port } = peer.address() as AddressInfo;
      const ws = await connectWebSocket(`ws://127.0.0.1:${port}/`, {
        ...told.handlers,
        ...(compression === undefined ? {} : { compression: { thresholdBytes: 0, ...compression } }),
      });
      const sent = ["hello", "hello hello", "läng ".repeat(30_000), Buffer.alloc(70_000, "bytes"), "hello"];
      for (const message of sent) ws.send(message);
      await until("the echo", () => told.messages.length === sent.length);
      assert.deepEqual(
        told.messages.map((message) => Buffer.from(message as string).toString()),
        sent.map(String),
      );
      ws.close(1000, "bye");
      assert.equal((await told.closed())?.code, 1000);
      await until("the server to hear", () => ends.length === 1);
      assert.deepEqual(ends, [1000]);
      peer.close();
    });
  }

  test("goes over a Unix socket", async () => {
    const folder = mkdtempSync(join(tmpdir(), "ringloom-ws-"));
    const socketPath = join(folder, "socket");
    const http = createHttpServer().listen(socketPath);
    await once(http, "listening");
    const peer = new WebSocketServer({ server: http });
    peer.on("connection", (socket, request) => socket.send(`${request.headers.host}${request.url}`));
    const told = new Told();
    const ws = await connectWebSocket("ws://inside/path", { ...told.handlers, socketPath });
    await until("the message", () => told.messages.length === 1);
    assert.deepEqual(told.messages, ["inside/path"]);
    ws.close();
    await told.closed();
    peer.close();
    http.close();
    rmSync(folder, { recursive: true });
  });
});
