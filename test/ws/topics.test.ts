/** Topics of one server on one thread: who gets what is published, bounds, and peers that read too slowly. */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { App, type SlowConsumerPolicy, type WebSocket } from "../../src/http/index.js";
import { driversUnderTest } from "../support/drivers.js";
import { Signal } from "../support/signal.js";
import { SocketServer } from "../support/test-server.js";
import { closeFrame, RawClient } from "./raw-client.js";

const TEXT = 1;
const KIB = 1024;
const SEND_BYTES_MAX = 256 * KIB;

for (const driver of driversUnderTest) {
  describe(`topics on the ${driver.name} driver`, { skip: driver.skip }, () => {
    let app: App;
    let server: SocketServer;
    let sockets: WebSocket[];
    let drained = 0;
    const signal = new Signal();

    before(async () => {
      app = new App();
      const inner = new App();
      const common = {
        open(ws: WebSocket) {
          sockets.push(ws);
          ws.send("ready");
        },
        drain() {
          drained += 1;
          signal.notify();
        },
        close: () => signal.notify(),
      };
      for (const slowConsumer of ["drop", "close", "disconnect"] as const)
        app.ws(`/${slowConsumer}`, { ...common, slowConsumer, limits: { sendBytesMax: SEND_BYTES_MAX } });
      app.ws("/bounded", { ...common, limits: { topicsMax: 2, subscriptionsTotalMax: 3 } });
      inner.ws("/", common);
      app.route("/inner", inner);
      server = await SocketServer.start(driver, app);
      sockets = [];
    });
    afterEach(async () => {
      await server.settle();
      assert.equal(server.leftover(), undefined);
      assert.deepEqual(server.log, []);
      sockets = [];
      drained = 0;
    });
    after(() => server.close());

    /** Opens sockets; the server's ends are in `sockets`, in the same order. */
    async function open(...paths: readonly string[]): Promise<RawClient[]> {
      const clients: RawClient[] = [];
      for (const path of paths) {
        const client = await RawClient.open(server.port, path);
        await client.received(1);
        clients.push(client);
      }
      return clients;
    }

    /** What a client has got behind the greeting, once it has got so much. */
    async function texts(client: RawClient, count: number): Promise<string[]> {
      await client.received(count + 1);
      return client.texts.slice(1);
    }

    test("a message reaches every subscriber, in order, and nobody else", async () => {
      const [one, two, three] = await open("/drop", "/drop", "/drop");
      const [first, second, third] = sockets as [WebSocket, WebSocket, WebSocket];
      assert.ok(first.subscribe("news") && second.subscribe("news") && third.subscribe("other"));
      assert.equal(first.subscribe("news"), true, "again is the same");
      assert.deepEqual(
        [app.subscriberCount("news"), app.subscriberCount("other"), app.subscriberCount("none")],
        [2, 1, 0],
      );
      assert.deepEqual([first.isSubscribed("news"), third.isSubscribed("news")], [true, false]);
      assert.equal(app.publish("news", "for both"), "sent");
      assert.equal(first.publish("news", "from the first"), "sent");
      assert.equal(third.publish("news", "from one who does not listen"), "sent");
      assert.equal(app.publish("other", Buffer.from([1, 2, 255])), "sent");
      assert.equal(app.publish("none", "to nobody"), "sent");
      assert.deepEqual(await texts(one!, 2), ["for both", "from one who does not listen"]);
      assert.deepEqual(await texts(two!, 3), ["for both", "from the first", "from one who does not listen"]);
      await texts(three!, 1);
      assert.deepEqual([...three!.frames[1]!.payload], [1, 2, 255]);
      assert.equal(three!.frames[1]!.opcode, 2);
      assert.equal(first.unsubscribe("news"), true);
      assert.equal(first.unsubscribe("news"), false);
      assert.deepEqual([first.topics, second.topics], [[], ["news"]]);
      app.publish("news", "later");
      assert.deepEqual((await texts(two!, 4)).at(-1), "later");
      assert.equal(one!.texts.length, 3);
      assert.equal(server.stats.webSocketSubscriptionsNow, 2);
      for (const client of [one, two, three]) client?.end();
    });

    test("a socket that has ended in any way has no topics, and is none of theirs", async () => {
      const clients = await open("/drop", "/drop", "/drop", "/drop");
      for (const ws of sockets) ws.subscribe("room");
      assert.equal(app.subscriberCount("room"), 4);
      const [closing, left, gone, cut] = sockets;
      closing?.close();
      assert.equal(app.subscriberCount("room"), 3, "a closing socket gets nothing any more");
      assert.deepEqual(
        [closing?.subscribe("room"), closing?.publish("room", "x"), closing?.topics],
        [false, "closed", []],
      );
      clients[1]!.send(closeFrame(1000));
      clients[2]!.end();
      cut?.terminate();
      await signal.until("all to be gone", () => app.subscriberCount("room") === 0);
      assert.equal(app.publish("room", "nobody is there"), "sent");
      assert.deepEqual([left?.unsubscribe("room"), gone?.isSubscribed("room")], [false, false]);
      for (const client of clients) client.end();
    });

    test("names, messages and amounts that cannot be are refused before anything changes", async () => {
      const [client, other] = await open("/bounded", "/bounded");
      const [ws, second] = sockets as [WebSocket, WebSocket];
      const bad = ["", "x".repeat(257), "ü".repeat(129), "\ud800", "a\udc00b", 5, undefined] as string[];
      for (const name of bad) {
        assert.throws(() => ws.subscribe(name), TypeError, JSON.stringify(name));
        assert.throws(() => ws.unsubscribe(name), TypeError);
        assert.throws(() => ws.isSubscribed(name), TypeError);
        assert.throws(() => ws.publish(name, "x"), TypeError);
        assert.throws(() => app.publish(name, "x"), TypeError);
        assert.throws(() => app.subscriberCount(name), TypeError);
      }
      assert.throws(() => app.publish("topic", 5 as unknown as string), TypeError);
      const large = { code: "ERR_RINGLOOM_TOO_LARGE", message: /1048586 bytes .* are allowed/ };
      assert.throws(() => app.publish("topic", new Uint8Array(KIB * KIB)), large);
      assert.ok(ws.subscribe("ü".repeat(128)) && ws.subscribe("🙂"));
      assert.throws(() => ws.subscribe("a third"), { code: "ERR_RINGLOOM_OVERLOADED", message: /2 topics at most/ });
      assert.ok(second.subscribe("a") && !ws.isSubscribed("a third"));
      assert.throws(() => second.subscribe("b"), { code: "ERR_RINGLOOM_OVERLOADED", message: /3 subscriptions/ });
      assert.deepEqual(ws.topics, ["ü".repeat(128), "🙂"]);
      app.publish("🙂", "🙂");
      assert.deepEqual(await texts(client!, 1), ["🙂"]);
      client?.end();
      other?.end();
      const policy = "wait" as SlowConsumerPolicy;
      assert.throws(() => new App().ws("/", { slowConsumer: policy }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    });

    test("messages of any length arrive whole, and more of them than a write block holds", async () => {
      const [client] = await open("/inner");
      sockets[0]?.subscribe("large");
      const lengths = [0, 125, 126, 4_095, 4_096, 65_535, 65_536, 200_000, 1_000_000];
      for (const [index, length] of lengths.entries()) {
        assert.equal(app.publish("large", `${"ü".repeat(length / 2)}!`), "sent");
        await texts(client!, index + 1);
      }
      const got = await texts(client!, lengths.length);
      assert.deepEqual(
        got.map((text) => text.length),
        lengths.map((length) => Math.floor(length / 2) + 1),
      );
      assert.ok(got.every((text) => /^ü*!$/.test(text)));
      client?.end();
    });

    test("apps that are routed into each other share their topics", async () => {
      const [outside, inside] = await open("/drop", "/inner");
      for (const ws of sockets) ws.subscribe("both");
      app.publish("both", "hello");
      assert.deepEqual([await texts(outside!, 1), await texts(inside!, 1)], [["hello"], ["hello"]]);
      outside?.end();
      inside?.end();
    });

    for (const policy of ["drop", "close", "disconnect"] as const) {
      test(`a subscriber that does not read is treated as slowConsumer says: ${policy}`, async () => {
        const [slow, other] = await open(`/${policy}`, "/drop");
        for (const ws of sockets) ws.subscribe("flood");
        const [socket] = sockets;
        const dropped = server.stats.webSocketTopicMessagesDropped;
        const ended = server.stats.webSocketSlowConsumers;
        slow!.peer.socket.pause();
        let published = 0;
        const before = other!.peer.receivedBytes;
        while (server.stats.webSocketTopicMessagesDropped === dropped) {
          assert.equal(app.publish("flood", Buffer.alloc(32 * KIB, published)), "sent");
          published += 1;
          assert.ok((socket?.queuedBytes ?? 0) <= SEND_BYTES_MAX);
          await other!.peer.received(before + published * (32 * KIB + 4));
        }
        assert.equal(server.stats.webSocketTopicMessagesDropped, dropped + 1);
        assert.equal(server.stats.webSocketSlowConsumers - ended, policy === "drop" ? 0 : 1);
        assert.equal(app.subscriberCount("flood"), policy === "drop" ? 2 : 1);
        slow!.peer.socket.resume();
        if (policy === "drop") {
          await signal.until("the socket to drain", () => drained > 0);
          app.publish("flood", "and on");
          assert.equal((await texts(slow!, published)).at(-1), "and on");
        } else if (policy === "close") {
          assert.equal(await slow!.closeCode(), 1013);
          assert.equal(slow!.texts.length - 1, published - 1, "what was queued still comes");
        } else {
          await slow!.peer.ended();
          assert.equal(
            slow!.frames.find(({ opcode }) => opcode === 8),
            undefined,
          );
        }
        const heard = policy === "drop" ? published + 1 : published;
        assert.equal((await texts(other!, heard)).length, heard);
        slow?.end();
        other?.end();
      });
    }

    test("publishing inside of a handler, to oneself among others, keeps the order", async () => {
      const [client] = await open("/drop");
      const [ws] = sockets as [WebSocket];
      ws.subscribe("self");
      for (let number = 0; number < 200; number++) {
        app.publish("self", `published ${number}`);
        ws.send(`sent ${number}`);
      }
      const expected = Array.from({ length: 200 }, (_, number) => [`published ${number}`, `sent ${number}`]).flat();
      assert.deepEqual(await texts(client!, 400), expected);
      client?.send({ opcode: TEXT, payload: "unheard" });
      client?.end();
    });
  });
}
