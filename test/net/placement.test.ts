/** Connections that shards give each other. `RINGLOOM_DRIVER` says on which driver. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ModuleServer, serveModule } from "../../src/http/serve-module.js";
import { loadNative } from "../../src/native.js";
import { connect, listen, type NetStream, placedHandler } from "../../src/net/index.js";
import { portSharing } from "../../src/runtime/listeners.js";
import { within } from "../support/signal.js";
import { withPair } from "./net-rig.js";

const APP = new URL("./fixtures/placed-app.js", import.meta.url);
const SHARDS = 3;
const skip =
  (!portSharing().isPossible && "several shards cannot share a port here") ||
  (loadNative() === undefined && "descriptors need the addon");

async function withShards(use: (server: ModuleServer) => Promise<void>): Promise<void> {
  const server = await serveModule(APP, {
    port: 0,
    shards: SHARDS,
    connections: 256,
    receiveSlabMib: 1,
    writePoolMib: 1,
  });
  try {
    await within("the body of the test", use(server));
  } finally {
    await server.stop();
  }
}

async function line(stream: NetStream): Promise<string> {
  let text = "";
  while (!text.endsWith("\n")) text += (await stream.readExact(1, { timeoutMs: 10_000 })).toString();
  return text.trimEnd();
}

async function greeted(port: number): Promise<string> {
  const stream = await connect({ port });
  const greeting = await line(stream);
  await stream.writeAll("echo\n");
  assert.equal(await line(stream), "echo");
  stream.close();
  return greeting;
}

describe("placedHandler() on shards", { skip, timeout: 60_000 }, () => {
  test("spreads what one shard accepts over all, in turns, or gives it to one", async () => {
    await withShards(async (server) => {
      const port = (await server.invokeOnShard("listen", { shard: 1 }, "round-robin")) as number;
      const greetings: string[] = [];
      for (let index = 0; index < 2 * SHARDS; index++) greetings.push(await greeted(port));
      assert.deepEqual(greetings.sort(), ["hello 0", "hello 0", "hello 1", "hello 1", "hello 2", "hello 2"]);
      const fixed = (await server.invokeOnShard("listen", { shard: 0 }, { shard: 2 })) as number;
      assert.deepEqual([await greeted(fixed), await greeted(fixed)], ["hello 2", "hello 2"]);
      for (const shard of [0, 1]) await server.invokeOnShard("close", { shard });
    });
  });

  test("opens connections on other shards, and gives one away with what it had received", async () => {
    const listener = await listen({ port: 0 });
    await withShards(async (server) => {
      const { port } = listener;
      for (const [placement, to] of [
        ["here", 0],
        [{ shard: 2 }, 2],
        [{ shard: 0 }, 0],
      ] as const) {
        const connecting = server.invokeOnShard("connect", { shard: 0 }, port, placement);
        const stream = await listener.accept({ timeoutMs: 10_000 });
        assert.equal(await line(stream), `client ${to}`);
        assert.deepEqual(await connecting, [0, to]);
        stream.close();
      }
      const refused = server.invokeOnShard("connect", { shard: 0 }, 1, { shard: 1 });
      await assert.rejects(
        refused,
        (error: Error & { cause: { code: string } }) => error.cause.code === "ECONNREFUSED",
      );
      const giving = server.invokeOnShard("give-late", { shard: 0 }, port, 1);
      const stream = await listener.accept({ timeoutMs: 10_000 });
      await stream.writeAll("early\n");
      assert.equal(await line(stream), "given 1");
      assert.equal(await line(stream), "early");
      assert.equal(await giving, 1);
      stream.close();
    });
    await listener.close();
  });

  test("a connection that is given with an option that is none stays where it is, and stays whole", async () => {
    const listener = await listen({ port: 0 });
    await withShards(async (server) => {
      for (const to of [0, 1]) {
        const giving = server.invokeOnShard("give-wrong", { shard: 0 }, listener.port, to);
        const stream = await listener.accept({ timeoutMs: 10_000 });
        assert.equal(await line(stream), "RangeError");
        assert.equal(await stream.read({ timeoutMs: 10_000 }), undefined);
        stream.close();
        await giving;
      }
    });
    await listener.close();
  });

  test("a shard that does not answer in time never gets the connection, and a dead one is left out", async () => {
    const listener = await listen({ port: 0 });
    await withShards(async (server) => {
      const giving = server.invokeOnShard("give-to-blocked", { shard: 0 }, listener.port, 1);
      const stream = await listener.accept({ timeoutMs: 10_000 });
      assert.equal(await giving, "ERR_RINGLOOM_TIMEOUT");
      // The giver has closed it, and the shard that wakes up must not touch what has its number by then.
      assert.equal(await stream.read({ timeoutMs: 10_000 }), undefined);
      stream.close();
      const port = (await server.invokeOnShard("listen", { shard: 0 }, "round-robin")) as number;
      await server.invokeOnShard("die", { shard: 2 });
      for (let index = 0; index < 2 * SHARDS; index++) assert.match(await greeted(port), /^hello [012]$/);
      await server.invokeOnShard("close", { shard: 0 });
    });
    await listener.close();
  });
});

describe("placedHandler() where no shard runs", { timeout: 30_000 }, () => {
  test("handles everything on the spot, and refuses shards that are not there", async () => {
    const seen: string[] = [];
    const handler = placedHandler("on-the-spot", async (stream, name: string) => {
      seen.push(name);
      await stream.writeAll("!");
    });
    await withPair(async ({ client, server }) => {
      assert.equal(await handler.give(server, {}, "given"), 0);
      assert.equal((await client.readExact(1)).toString(), "!");
      await assert.rejects(handler.give(client, { placement: { shard: 1 } }, "x"), RangeError);
    });
    const listener = await listen({ port: 0 });
    const serving = listener.serve(handler.on("here", "served"));
    const stream = await connect({ port: listener.port });
    await stream.readExact(1);
    assert.equal(await handler.connect({ port: listener.port }, {}, "connected"), 0);
    stream.close();
    await listener.close();
    await serving;
    assert.deepEqual(seen.slice(0, 2), ["given", "served"]);
    assert.throws(() => placedHandler("on-the-spot", () => {}), { code: "ERR_RINGLOOM_INVALID_OPTION" });
  });
});
