/** What people do with the NATS client, over our sockets. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, test } from "node:test";
import { createServer } from "node:tls";
import { NatsConnectionImpl, setTransportFactory } from "@nats-io/transport-node";
import { NodeTransport, nodeResolveHost } from "@nats-io/transport-node/lib/node_transport.js";
import { ClientSocket, natsTransport } from "ringloom/db";
import { certificate, endTrial, host, key, password, port, server, until } from "./trial.js";

const sockets = [];
class Transport extends natsTransport(NodeTransport) {
  async dial(target) {
    const socket = await super.dial(target);
    sockets.push(socket);
    return socket;
  }
}
setTransportFactory({ factory: () => new Transport(), dnsResolveFn: nodeResolveHost });

const target = {
  servers: `${host}:${port}`,
  user: "ringloom",
  pass: password,
  reconnectTimeWait: 10,
  reconnectJitter: 0,
  maxReconnectAttempts: -1,
};

async function withNats(use) {
  const nats = await NatsConnectionImpl.connect(target);
  try {
    return await use(nats);
  } finally {
    await nats.close();
  }
}

after(endTrial);

test("the connection is ours, and 10,000 messages come in order", () =>
  withNats(async (nats) => {
    assert.ok(sockets.at(-1) instanceof ClientSocket);
    const subscription = nats.subscribe("news.*", { max: 10_000 });
    for (let index = 0; index < 10_000; index++) nats.publish("news.today", String(index));
    let count = 0;
    for await (const message of subscription) assert.equal(message.string(), String(count++));
    assert.equal(count, 10_000);
  }));

test("request and reply, with nobody there and in time", () =>
  withNats(async (nats) => {
    nats.subscribe("double", { callback: (_error, message) => message.respond(String(2 * Number(message.string()))) });
    const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => nats.request("double", String(index))));
    assert.deepEqual(
      answers.map((answer) => Number(answer.string())),
      Array.from({ length: 100 }, (_, index) => 2 * index),
    );
    await assert.rejects(nats.request("nobody", ""), /no responders/i);
  }));

test("a queue group gets each message once, and 900 KB come whole", () =>
  withNats(async (nats) => {
    let count = 0;
    for (let member = 0; member < 3; member++) nats.subscribe("jobs", { queue: "workers", callback: () => count++ });
    await nats.flush();
    for (let index = 0; index < 300; index++) nats.publish("jobs");
    await until(() => count >= 300, "all jobs came");
    await nats.flush();
    assert.equal(count, 300);
    const bytes = Buffer.alloc(900_000, "pieces of eight ");
    const subscription = nats.subscribe("large", { max: 12 });
    for (let index = 0; index < 12; index++) nats.publish("large", bytes);
    let received = 0;
    for await (const message of subscription) {
      assert.ok(bytes.equals(message.data));
      received += message.data.length;
    }
    assert.equal(received, 12 * bytes.length);
  }));

test("TLS before the first word goes over our socket too", async () => {
  // The server of Debian 12 cannot do that; this one says hello, and then nothing.
  const greeting = { server_id: "x", version: "2.10.0", max_payload: 1_000_000, tls_required: true };
  const greeter = createServer({ cert: certificate, key }, (socket) => {
    socket.on("error", () => {});
    socket.write(`INFO ${JSON.stringify(greeting)}\r\n`);
  });
  await once(greeter.listen(0, host), "listening");
  const dialed = sockets.length;
  const transport = new Transport();
  const options = { tls: { handshakeFirst: true, ca: certificate } };
  await transport.connect({ hostname: host, port: greeter.address().port, tlsName: "localhost" }, options);
  assert.equal(sockets.length, dialed + 1);
  assert.ok(transport.isEncrypted());
  transport.discard();
  await new Promise((resolve) => greeter.close(resolve));
});

test("a wrong password and a refused connect are errors", async () => {
  await assert.rejects(NatsConnectionImpl.connect({ ...target, pass: "wrong" }), /authorization/i);
  await assert.rejects(
    NatsConnectionImpl.connect({ ...target, servers: `${host}:1`, maxReconnectAttempts: 0 }),
    /refused/,
  );
});

test("it comes back with its subscriptions after a reset, and after the server has been restarted", () =>
  withNats(async (nats) => {
    const heard = [];
    nats.subscribe("again", { callback: (_error, message) => heard.push(message.string()) });
    await nats.flush();
    for (const [round, interrupt] of [
      () => sockets.at(-1).resetAndDestroy(),
      async () => {
        await server("stop");
        await server("start");
      },
    ].entries()) {
      const dialed = sockets.length;
      await interrupt();
      await until(() => sockets.length > dialed, "it has dialed again");
      await nats.flush();
      nats.publish("again", `round ${round}`);
      await until(() => heard.length > round, "the message came");
    }
    assert.deepEqual(heard, ["round 0", "round 1"]);
  }));

test("drain() delivers what was sent before it", async () => {
  const nats = await NatsConnectionImpl.connect(target);
  let count = 0;
  nats.subscribe("last", { callback: () => count++ });
  for (let index = 0; index < 1_000; index++) nats.publish("last");
  await nats.drain();
  assert.equal(count, 1_000);
  assert.ok(nats.isClosed());
});
