/** What people do with `ioredis`, over our sockets. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, test } from "node:test";
import { AbstractConnector, Redis } from "ioredis";
import { ClientSocket, redisConnector } from "ringloom/db";
import { certificate, endTrial, folder, host, LARGE_BYTES, password, port, server, tlsPort, until } from "./trial.js";

const target = {
  host,
  port,
  password,
  Connector: redisConnector(AbstractConnector),
  retryStrategy: () => 10,
};

async function withRedis(use, changed = {}) {
  const redis = new Redis({ ...target, ...changed });
  redis.on("error", () => {});
  try {
    return await use(redis);
  } finally {
    redis.disconnect();
    if (redis.status !== "end") await once(redis, "end");
  }
}

after(endTrial);

test("the connection is ours; values, expiry and hashes", () =>
  withRedis(async (redis) => {
    assert.equal(await redis.set("greeting", "zwölf", "EX", 100), "OK");
    assert.ok(redis.stream instanceof ClientSocket);
    assert.equal(await redis.get("greeting"), "zwölf");
    assert.ok((await redis.ttl("greeting")) > 0);
    await redis.hset("user:1", { name: "ada", born: 1815 });
    assert.deepEqual(await redis.hgetall("user:1"), { name: "ada", born: "1815" });
    await assert.rejects(redis.incr("greeting"), /not an integer/);
  }));

test("10 MB there and back", () =>
  withRedis(async (redis) => {
    const bytes = Buffer.alloc(LARGE_BYTES, "pieces of eight ");
    await redis.set("large", bytes);
    assert.ok(bytes.equals(await redis.getBuffer("large")));
    await redis.del("large");
  }));

test("a pipeline of 10,000 commands and a transaction", () =>
  withRedis(async (redis) => {
    await redis.del("count");
    const pipeline = redis.pipeline();
    for (let index = 0; index < 10_000; index++) pipeline.incr("count");
    const results = await pipeline.exec();
    assert.deepEqual(
      results.map(([error, value]) => error ?? value),
      Array.from({ length: 10_000 }, (_, index) => index + 1),
    );
    const many = await redis.multi().set("a", "1").incr("a").get("a").exec();
    assert.deepEqual(many, [
      [null, "OK"],
      [null, 2],
      [null, "2"],
    ]);
    const scripted = await redis.eval("return {KEYS[1], ARGV[1]}", 1, "key", "argument");
    assert.deepEqual(scripted, ["key", "argument"]);
  }));

test("publish and subscribe", () =>
  withRedis((subscriber) =>
    withRedis(async (publisher) => {
      await subscriber.subscribe("news");
      const heard = [];
      subscriber.on("message", (channel, message) => heard.push(`${channel} ${message}`));
      for (let index = 0; index < 1_000; index++) publisher.publish("news", String(index));
      await until(() => heard.length === 1_000, "all messages came");
      assert.deepEqual(
        heard,
        Array.from({ length: 1_000 }, (_, index) => `news ${index}`),
      );
    }),
  ));

test("a blocking command waits beside others", () =>
  withRedis((waiting) =>
    withRedis(async (pushing) => {
      await pushing.del("queue");
      const popped = waiting.blpop("queue", 10);
      await pushing.rpush("queue", "job");
      assert.deepEqual(await popped, ["queue", "job"]);
    }),
  ));

test("a Unix socket", () =>
  withRedis(async (redis) => assert.match(await redis.client("INFO"), new RegExp(`addr=${folder}/redis.sock`)), {
    path: `${folder}/redis.sock`,
  }));

test("TLS over our sockets, with the certificate checked", async () => {
  await withRedis(
    async (redis) => {
      await redis.set("secret", "x".repeat(100_000));
      assert.equal((await redis.get("secret")).length, 100_000);
    },
    { port: tlsPort, tls: { ca: certificate } },
  );
  const careful = new Redis({ ...target, port: tlsPort, tls: {}, retryStrategy: () => null, lazyConnect: true });
  const [failure] = await Promise.all([once(careful, "error"), assert.rejects(careful.connect())]);
  assert.equal(failure[0].code, "DEPTH_ZERO_SELF_SIGNED_CERT");
});

test("a wrong password and a refused connect are errors", async () => {
  await withRedis((redis) => assert.rejects(redis.get("x"), /WRONGPASS|NOAUTH/), { password: "wrong" });
  const refused = new Redis({ ...target, port: 1, retryStrategy: () => null, lazyConnect: true });
  const [failure] = await Promise.all([once(refused, "error"), assert.rejects(refused.connect())]);
  assert.equal(failure[0].code, "ECONNREFUSED");
});

test("a connection that was reset or killed comes back, with its subscriptions", () =>
  withRedis((subscriber) =>
    withRedis(async (other) => {
      const heard = [];
      subscriber.on("message", (_channel, message) => heard.push(message));
      await subscriber.subscribe("again");
      for (const [round, end] of [
        () => subscriber.stream.resetAndDestroy(),
        () => other.client("KILL", "TYPE", "pubsub"),
      ].entries()) {
        const ready = once(subscriber, "ready");
        await end();
        await ready;
        await until(async () => (await other.pubsub("NUMSUB", "again"))[1] > 0, "it has subscribed again");
        await other.publish("again", `round ${round}`);
        await until(() => heard.length > round, "the message came");
      }
      assert.deepEqual(heard, ["round 0", "round 1"]);
    }),
  ));

test("commands wait while the server is restarted", () =>
  withRedis(
    async (redis) => {
      await redis.ping();
      const closed = once(redis, "close");
      await server("stop");
      await closed;
      const set = redis.set("after", "restart");
      await server("start");
      assert.equal(await set, "OK");
      assert.equal(await redis.get("after"), "restart");
    },
    { maxRetriesPerRequest: null },
  ));
