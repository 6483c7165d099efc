/** Compressed messages (RFC 7692) of a server over real connections: the RFC's rules, bounds, order, topics, and the clients of `ws` and undici. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { WebSocket as UndiciSocket } from "undici";
import { WebSocket as WsSocket } from "ws";
import { App, type WebSocket, type WebSocketRoute } from "../../src/http/index.js";
import { driversUnderTest } from "../support/drivers.js";
import { Signal, turns } from "../support/signal.js";
import { SocketServer } from "../support/test-server.js";
import { closeFrame, type FrameParts, frame, RawClient } from "./raw-client.js";

const TEXT = 1;
const BINARY = 2;
const PING = 9;
const DEFLATED = 0x40;
const KIB = 1024;
const OFFER = { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" };
const MESSAGE_BYTES_MAX = 512 * KIB;

/** A message as a client compresses it, for itself. */
function deflated(text: string | Uint8Array): Buffer {
  return deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

function inflated(payload: Buffer): string {
  return inflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH }).toString();
}

/** Text that compresses, and of which no part repeats another exactly. */
function words(bytes: number): string {
  let text = "";
  for (let index = 0; text.length < bytes; index++)
    text += `${index} bottles of ${(index * 7919) % 10_007} on the wall, `;
  return text.slice(0, bytes);
}

for (const driver of driversUnderTest) {
  describe(`compressed messages on the ${driver.name} driver`, { skip: driver.skip }, () => {
    let app: App;
    let server: SocketServer;
    let route: WebSocketRoute<unknown>;
    let ends: { readonly code: number; readonly reason: string }[];
    const signal = new Signal();

    before(async () => {
      app = new App();
      const any: WebSocketRoute<unknown> = {
        open: (ws) => route.open?.(ws),
        message: (ws, message) => route.message?.(ws, message),
        drain: (ws) => route.drain?.(ws),
        close: (_ws, code, reason) => {
          ends.push({ code, reason });
          signal.notify();
        },
        limits: { messageBytesMax: MESSAGE_BYTES_MAX, sendBytesMax: 256 * KIB, inboundBytesMax: 4 * KIB },
      };
      const contexts = { serverContextTakeover: true, clientContextTakeover: true };
      app.ws("/plain", any);
      app.ws("/each", { ...any, compression: { thresholdBytes: 32 } });
      app.ws("/contexts", { ...any, compression: { thresholdBytes: 0, ...contexts } });
      app.ws("/many", {
        ...any,
        compression: { thresholdBytes: 0, ...contexts },
        limits: { ...any.limits, concurrency: 4 },
      });
      app.ws("/budget", { ...any, compression: { ...contexts, contextBytesMax: 65_536 } });
      server = await SocketServer.start(driver, app);
    });
    afterEach(async () => {
      await server.settle();
      assert.equal(server.leftover(), undefined);
      server.log.length = 0;
    });
    after(() => server.close());

    function open(path: string, own: WebSocketRoute<unknown> = {}, fields = OFFER): Promise<RawClient> {
      ends = [];
      route = own;
      return RawClient.open(server.port, path, fields);
    }

    async function end(): Promise<{ readonly code: number; readonly reason: string } | undefined> {
      await signal.until("the socket to be closed", () => ends.length > 0);
      assert.equal(ends.length, 1, "a socket is closed once");
      return ends[0];
    }

    const echo: WebSocketRoute<unknown> = { message: (ws, message) => ws.send(message) };

    test("agrees only where both want it, and refuses a field that is none", async () => {
      const cases: readonly [string, Record<string, string>, RegExp | undefined][] = [
        ["/plain", OFFER, undefined],
        ["/each", {}, undefined],
        ["/each", { "Sec-WebSocket-Extensions": "x-other" }, undefined],
        [
          "/each",
          OFFER,
          /\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n/,
        ],
        ["/contexts", OFFER, /\r\nSec-WebSocket-Extensions: permessage-deflate\r\n/],
      ];
      for (const [path, fields, wanted] of cases) {
        const client = await open(path, {}, fields as typeof OFFER);
        assert.match(client.head, /^HTTP\/1\.1 101 /);
        if (wanted === undefined) assert.doesNotMatch(client.head, /extensions/i);
        else assert.match(client.head, wanted);
        client.end();
        await end();
      }
      const refused = await open("/each", {}, { "Sec-WebSocket-Extensions": "permessage-deflate;;" });
      assert.match(refused.head, /^HTTP\/1\.1 400 /);
      refused.end();
    });

    test("inflates and compresses messages, the short ones left as they are", async () => {
      const client = await open("/each", echo);
      const text = words(3 * KIB);
      client.send({ opcode: TEXT, reserved: DEFLATED, payload: Buffer.from("f248cdc9c90700", "hex") });
      client.send({ opcode: TEXT, reserved: DEFLATED, payload: deflated(text) }, { opcode: TEXT, payload: text });
      client.send({ opcode: BINARY, reserved: DEFLATED, payload: deflated("") });
      const frames = await client.received(4);
      assert.deepEqual(
        frames.map((one) => [one.opcode, one.isDeflated, one.isDeflated ? inflated(one.payload) : String(one.payload)]),
        [
          [TEXT, false, "Hello"],
          [TEXT, true, text],
          [TEXT, true, text],
          [BINARY, false, ""],
        ],
      );
      assert.ok(frames[1]!.payload.length < text.length / 3);
      // Without context takeover each is compressed for itself.
      assert.deepEqual(frames[1]!.payload, frames[2]!.payload);
      client.end();
      await end();
    });

    test("reads compressed messages in fragments, with control frames among them, wherever they are cut", async () => {
      const payload = deflated("fragmented and compressed");
      const parts: FrameParts[] = [
        { opcode: TEXT, reserved: DEFLATED, payload: payload.subarray(0, 3), isFinal: false },
        { opcode: PING, payload: "between" },
        { opcode: 0, payload: payload.subarray(3, 4), isFinal: false },
        { opcode: 0, payload: payload.subarray(4) },
        { opcode: TEXT, payload: "plain" },
      ];
      const stream = Buffer.concat(parts.map(frame));
      for (let cut = 1; cut < stream.length; cut += 3) {
        const client = await open("/each", echo);
        client.send(stream.subarray(0, cut));
        await turns(2);
        client.send(stream.subarray(cut));
        await client.received(3);
        assert.deepEqual(client.texts, ["fragmented and compressed", "plain"], `cut at ${cut}`);
        client.end();
        await end();
      }
    });

    const whole = deflated("whole");
    const violations: readonly [string, string, number, readonly FrameParts[]][] = [
      ["the bit without an agreement", "/plain", 1002, [{ opcode: TEXT, reserved: DEFLATED, payload: whole }]],
      ["another reserved bit", "/each", 1002, [{ opcode: TEXT, reserved: DEFLATED | 0x20, payload: whole }]],
      ["the bit on a ping", "/each", 1002, [{ opcode: PING, reserved: DEFLATED, payload: whole }]],
      [
        "the bit on a continuation",
        "/each",
        1002,
        [
          { opcode: TEXT, reserved: DEFLATED, payload: whole.subarray(0, 2), isFinal: false },
          { opcode: 0, reserved: DEFLATED, payload: whole.subarray(2) },
        ],
      ],
      ["what is no deflate", "/each", 1007, [{ opcode: BINARY, reserved: DEFLATED, payload: "\xff\xff\xff" }]],
      [
        "text that is no UTF-8",
        "/each",
        1007,
        [{ opcode: TEXT, reserved: DEFLATED, payload: deflated(Buffer.from([0xc3, 0x28])) }],
      ],
      [
        "a reference to an earlier message without context takeover",
        "/each",
        1007,
        [{ opcode: TEXT, reserved: DEFLATED, payload: Buffer.from("f200110000", "hex") }],
      ],
      [
        "a message that becomes too large at once",
        "/each",
        1009,
        [{ opcode: BINARY, reserved: DEFLATED, payload: deflated(Buffer.alloc(MESSAGE_BYTES_MAX + 1)) }],
      ],
      [
        "a bomb of 32 MiB",
        "/each",
        1009,
        [{ opcode: BINARY, reserved: DEFLATED, payload: deflated(Buffer.alloc(32 * KIB * KIB)) }],
      ],
    ];
    for (const [title, path, code, parts] of violations) {
      test(`closes with ${code} for ${title}`, async () => {
        const client = await open(path, echo);
        const violationsBefore = server.stats.webSocketViolations;
        client.send(...parts, { opcode: TEXT, payload: "nobody reads this" });
        assert.equal(await client.closeCode(), code);
        assert.equal((await end())?.code, code);
        assert.deepEqual(client.texts, []);
        assert.equal(server.stats.webSocketViolations, violationsBefore + 1);
        client.end();
      });
    }

    test("keeps the order of messages, however long they take to inflate, and answers pings meanwhile", async () => {
      const seen: string[] = [];
      const client = await open("/each", {
        message: async (ws, message) => {
          await turns(1);
          seen.push(`${String(message).slice(0, 4)} ${message.length}`);
          if (seen.length === 5) ws.send("all");
        },
      });
      const large = (name: string): FrameParts => ({
        opcode: TEXT,
        reserved: DEFLATED,
        payload: deflated(`${name}${words(400 * KIB)}`),
      });
      client.send(large("one "), { opcode: TEXT, payload: "two " }, { opcode: PING, payload: "there?" }, large("3rd "));
      client.send({ opcode: TEXT, reserved: DEFLATED, payload: deflated("four") }, { opcode: TEXT, payload: "five" });
      await signal.until("all", () => {
        setImmediate(() => signal.notify());
        return client.texts.length > 0;
      });
      const length = 400 * KIB + 4;
      assert.deepEqual(seen, [`one  ${length}`, "two  4", `3rd  ${length}`, "four 4", "five 4"]);
      assert.equal(client.frames[0]?.payload.toString(), "there?", "the ping is not behind the messages");
      client.end();
      await end();
    });

    test("handles nothing that waits behind a message that cannot be inflated", async () => {
      const seen: string[] = [];
      let release: () => void = () => undefined;
      const gate = new Promise<void>((resolve) => (release = resolve));
      const client = await open("/each", {
        message: async (_ws, message) => {
          seen.push(String(message));
          await gate;
        },
      });
      client.send({ opcode: TEXT, payload: "busy" }, { opcode: TEXT, reserved: DEFLATED, payload: "\xff\xff" });
      client.send({ opcode: TEXT, payload: "behind" }, { opcode: PING, payload: "read" });
      await client.received(1);
      release();
      assert.equal(await client.closeCode(), 1007);
      assert.equal((await end())?.code, 1007);
      await turns(5);
      assert.deepEqual(seen, ["busy"]);
      client.end();
    });

    test("handles what had come before the peer's close, large or not", async () => {
      const seen: number[] = [];
      const client = await open("/each", { message: (_ws, message) => void seen.push(message.length) });
      client.send({ opcode: BINARY, reserved: DEFLATED, payload: deflated(Buffer.alloc(300 * KIB)) });
      client.send({ opcode: BINARY, reserved: DEFLATED, payload: deflated(Buffer.alloc(3)) }, closeFrame(1000, "bye"));
      assert.deepEqual(await end(), { code: 1000, reason: "bye" });
      assert.deepEqual(seen, [300 * KIB, 3]);
      client.end();
    });

    test("sends in the order of the calls, large or not, and closes behind it", async () => {
      const statuses: string[] = [];
      let queued = 0;
      const large = words(100 * KIB);
      const bytes = Buffer.alloc(50 * KIB, "bytes ");
      const client = await open("/each", {
        open: (ws) => {
          statuses.push(ws.send("first"), ws.send(large), ws.send("second"), ws.send(bytes), ws.send("third"));
          queued = ws.queuedBytes;
          // The caller's memory is its own again.
          bytes.fill(0);
          ws.close(4000, "that was all");
        },
      });
      await client.received(6);
      assert.deepEqual(statuses, ["sent", "backpressure", "backpressure", "backpressure", "backpressure"]);
      assert.ok(queued >= 150 * KIB, `${queued} bytes wait`);
      const texts = client.frames.map((one) => (one.isDeflated ? inflated(one.payload) : one.payload.toString()));
      assert.deepEqual(texts.slice(0, 3), ["first", large, "second"]);
      assert.equal(texts[3], Buffer.alloc(50 * KIB, "bytes ").toString());
      assert.deepEqual([texts[4], client.frames[5]?.opcode], ["third", 8]);
      client.send(closeFrame(4000));
      assert.equal((await end())?.code, 4000);
      client.end();
    });

    test("bounds what waits for a peer that does not read, tells when it has left, and loses nothing that it took", async () => {
      let socket: WebSocket | undefined;
      let drained = 0;
      const client = await open("/contexts", {
        open: (ws) => {
          socket = ws;
          signal.notify();
        },
        drain: () => {
          drained += 1;
          signal.notify();
        },
      });
      await signal.until("the socket", () => socket !== undefined);
      client.peer.socket.pause();
      // What does not compress fills the kernel's buffers soon. It does not repeat within a window.
      const noise = randomBytes(40 * KIB);
      const taken: Buffer[] = [];
      for (let isFull = false; !isFull; ) {
        const message = Buffer.from(noise);
        message.writeUInt32LE(taken.length);
        const status = socket?.send(message);
        if (status !== "dropped") taken.push(message);
        else isFull = (socket?.queuedBytes ?? 0) > 64 * KIB;
        assert.ok((socket?.queuedBytes ?? 0) <= 512 * KIB);
        await turns(4);
      }
      assert.ok(server.stats.webSocketMessagesDropped > 0);
      drained = 0;
      client.peer.socket.resume();
      await signal.until("the socket to drain", () => drained > 0);
      await client.received(taken.length);
      const got = client.frames;
      assert.equal(got.length, taken.length);
      for (const [index, { payload, isDeflated }] of got.entries()) {
        assert.equal(isDeflated, false, "noise is sent as it is");
        assert.ok(payload.equals(taken[index]!), `message ${index}`);
      }
      client.end();
      await end();
    });

    test("compresses a published message once for all who have agreed on the same window", async () => {
      const sockets: WebSocket[] = [];
      const own: WebSocketRoute<unknown> = {
        open: (ws) => {
          sockets.push(ws);
          ws.subscribe("news");
          signal.notify();
        },
      };
      const clients: RawClient[] = [];
      const narrow = { "Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=9" };
      for (const [path, fields] of [
        ["/plain", OFFER],
        ["/each", OFFER],
        ["/each", OFFER],
        ["/each", narrow],
      ] as const)
        clients.push(await open(path, own, fields));
      await signal.until("the sockets", () => sockets.length === 4);
      const published = ["short", words(2 * KIB), words(12 * KIB), words(100 * KIB), "behind", words(3 * KIB)];
      for (const text of published) assert.equal(app.publish("news", text), "sent");
      assert.equal(sockets[1]?.send("own"), "backpressure", "its place is behind what was published");
      for (const [index, client] of clients.entries()) {
        const count = published.length + (index === 1 ? 1 : 0);
        await client.received(count);
        const texts = client.frames.map((one) => (one.isDeflated ? inflated(one.payload) : one.payload.toString()));
        assert.deepEqual(texts, index === 1 ? [...published, "own"] : published, `client ${index}`);
        assert.equal(
          client.frames.filter(({ isDeflated }) => isDeflated).length,
          index === 0 ? 0 : 4,
          "only what is long enough is compressed",
        );
      }
      const payload = (index: number, at: number): Buffer => clients[index]!.frames[at]!.payload;
      for (const at of [1, 2, 3]) {
        assert.deepEqual(payload(1, at), payload(2, at));
        assert.notDeepEqual(payload(1, at), payload(3, at), "a smaller window is another message");
        inflateRawSync(payload(3, at), { finishFlush: constants.Z_SYNC_FLUSH, windowBits: 9 });
      }
      for (const client of clients) client.end();
      await signal.until("the ends", () => ends.length === 4);
    });

    test("keeps windows as long as there is room for them", async () => {
      const clients: RawClient[] = [];
      const heads: boolean[] = [];
      const openOne = async (): Promise<void> => {
        const client = await open("/budget");
        clients.push(client);
        heads.push(!client.head.includes("no_context_takeover"));
      };
      await openOne();
      await openOne();
      clients[0]?.end();
      await end();
      await openOne();
      assert.deepEqual(heads, [true, false, true]);
      for (const client of clients) client.end();
    });

    /** Sends all at once, and gives what was echoed and published between. */
    async function talk(client: WsSocket | UndiciSocket, sent: readonly (string | Buffer)[]): Promise<unknown[]> {
      const got: unknown[] = [];
      client.binaryType = "arraybuffer";
      await new Promise<void>((resolve, reject) => {
        client.onopen = () => {
          for (const message of sent) client.send(message as string);
        };
        client.onmessage = ({ data }: { data: unknown }) => {
          got.push(typeof data === "string" ? data : Buffer.from(data as ArrayBuffer));
          if (got.length === sent.length * 2) client.close(1000);
        };
        client.onerror = () => reject(new Error("the client fails"));
        client.onclose = () => resolve();
      });
      return got;
    }

    const large = words(200 * KIB);
    const conversation = [
      "a",
      "hello hello hello",
      words(2 * KIB),
      Buffer.from(words(2 * KIB)),
      large,
      "b",
      words(2 * KIB),
    ];
    const expected = conversation.flatMap((message) => [message, `published ${message.length} ${words(KIB)}`]);
    /** Echoes each message and publishes another: one compressed for the socket, one for all. */
    const mixed: WebSocketRoute<unknown> = {
      open: (ws) => void ws.subscribe("mixed"),
      message: (ws, message) => {
        ws.send(message);
        app.publish("mixed", `published ${message.length} ${words(KIB)}`);
      },
    };

    const parameters = [
      {},
      { serverNoContextTakeover: true },
      { clientNoContextTakeover: true },
      { serverMaxWindowBits: 9, clientMaxWindowBits: 10 },
      { serverMaxWindowBits: 8, clientMaxWindowBits: 15 },
    ];
    for (const perMessageDeflate of parameters) {
      test(`the client of ws talks with ${JSON.stringify(perMessageDeflate)}`, async () => {
        for (const path of ["/contexts", "/each", "/many"]) {
          ends = [];
          route = mixed;
          const client = new WsSocket(`ws://127.0.0.1:${server.port}${path}`, {
            perMessageDeflate: { threshold: 0, ...perMessageDeflate },
          });
          const got = await talk(client, conversation);
          assert.match(client.extensions, /permessage-deflate/);
          assert.deepEqual(got, expected, path);
          assert.equal((await end())?.code, 1000);
        }
      });
    }

    test("undici's client talks", async () => {
      for (const path of ["/contexts", "/each", "/many"]) {
        ends = [];
        route = mixed;
        const client = new UndiciSocket(`ws://127.0.0.1:${server.port}${path}`);
        const got = await talk(client, conversation);
        assert.match(client.extensions, /permessage-deflate/);
        assert.deepEqual(got, expected, path);
        assert.equal((await end())?.code, 1000);
      }
    });
  });
}
