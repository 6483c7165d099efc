/** Topics across the shards of a server: order, large messages, shards that die, restart or hang. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type ModuleServer, type ServeModuleOptions, serveModule } from "../../src/http/serve-module.js";
import { portSharing } from "../../src/runtime/listeners.js";
import { driversUnderTest } from "../support/drivers.js";
import { RawClient } from "./raw-client.js";

const APP = fileURLToPath(new URL("./fixtures/topics-app.js", import.meta.url));
const SHARDS = 3;
const DEADLINE_MS = 60_000;
const SIZES = { connections: 1_024, receiveSlabMib: 2, writePoolMib: 16 };
const ATTEMPTS_MAX = 500;

/** A client, and the shard that has its socket. */
interface Client {
  readonly raw: RawClient;
  readonly shard: number;
}

class Shards {
  readonly server: ModuleServer;
  readonly #clients: RawClient[] = [];

  constructor(server: ModuleServer) {
    this.server = server;
  }

  call<Result = unknown>(shard: number, name: string, ...args: readonly unknown[]): Promise<Result> {
    return this.server.invokeOnShard(name, { shard, timeoutMs: DEADLINE_MS }, ...args) as Promise<Result>;
  }

  async open(path: string): Promise<Client> {
    const raw = await RawClient.open(this.server.port, path);
    this.#clients.push(raw);
    await raw.received(1);
    return { raw, shard: Number(raw.texts[0]) };
  }

  /** A client on each shard: the kernel chooses, so connections are opened until there is one. */
  async onEach(path: string): Promise<Client[]> {
    const found = new Map<number, Client>();
    for (let attempt = 0; found.size < SHARDS && attempt < ATTEMPTS_MAX; attempt++) {
      const client = await this.open(path);
      if (found.has(client.shard)) client.raw.end();
      else found.set(client.shard, client);
    }
    assert.equal(found.size, SHARDS, "a connection to each shard");
    const clients = [...found.values()].sort((left, right) => left.shard - right.shard);
    const topic = path.slice(path.lastIndexOf("/") + 1);
    for (const { shard } of clients) await this.until(() => this.call<number>(shard, "subscribers", topic), 1);
    return clients;
  }

  /** Asks until the answer is what is wanted: a successor may not be there yet. */
  async until<Result>(ask: () => Promise<Result>, wanted: Result): Promise<void> {
    const endMs = performance.now() + DEADLINE_MS;
    let found: unknown;
    while (performance.now() < endMs) {
      found = await ask().catch((error: unknown) => error);
      if (found === wanted) return;
      await pause(5);
    }
    assert.fail(`Waited in vain for ${String(wanted)}, got ${String(found)}`);
  }

  endClients(): void {
    for (const client of this.#clients) client.end();
  }
}

async function withShards(options: ServeModuleOptions, use: (shards: Shards) => Promise<void>): Promise<void> {
  const server = await serveModule(APP, { port: 0, shards: SHARDS, drainMs: 2_000, ...SIZES, ...options });
  const shards = new Shards(server);
  try {
    await use(shards);
  } finally {
    shards.endClients();
    await server.stop();
  }
}

/** What a client has got behind its greeting, once it has got so much. */
async function texts({ raw }: Client, count: number): Promise<string[]> {
  await raw.received(count + 1);
  return raw.texts.slice(1);
}

for (const { name: driver, skip: noDriver } of driversUnderTest) {
  const skip = noDriver !== false ? noDriver : portSharing().isPossible ? false : "several shards need SO_REUSEPORT";
  describe(`topics across shards on the ${driver} driver`, { skip }, () => {
    test("what three shards publish at once reaches every shard, in the order of each publisher, large messages too", async () => {
      await withShards({ driver }, async (shards) => {
        const clients = await shards.onEach("/drop/news");
        const count = 2_000;
        const storms = clients.map(({ shard }) => shards.call(shard, "storm", "news", `shard ${shard}`, count));
        await Promise.all(storms);
        for (const client of clients) {
          const got = await texts(client, SHARDS * count);
          for (const { shard } of clients) {
            const mine = got.filter((text) => text.startsWith(`shard ${shard} `));
            assert.deepEqual(
              mine,
              Array.from({ length: count }, (_, number) => `shard ${shard} ${number}`),
            );
          }
          assert.equal(got.length, SHARDS * count);
        }
        const [first, second] = clients as [Client, Client];
        const large = "grüße ".repeat(40_000);
        assert.equal(await shards.call(first.shard, "publish", "news", large), "sent");
        // A socket's own messages go to all but itself.
        second.raw.send({ opcode: 1, payload: "from a socket" });
        for (const client of clients) {
          const isPublisher = client === second;
          const got = await texts(client, SHARDS * count + (isPublisher ? 1 : 2));
          const rest = got.slice(SHARDS * count);
          assert.deepEqual(rest.map((text) => text.length).sort(), isPublisher ? [large.length] : [13, large.length]);
        }
      });
    });

    test("a shard that dies loses its own sockets only, and its successor takes part", async () => {
      await withShards({ driver }, async (shards) => {
        const clients = await shards.onEach("/drop/news");
        await assert.rejects(shards.call(1, "exit"));
        for (const { shard } of clients) {
          if (shard !== 1) assert.equal(await shards.call(shard, "publish", "news", `from ${shard}`), "sent");
        }
        assert.deepEqual((await texts(clients[0]!, 2)).sort(), ["from 0", "from 2"]);
        assert.deepEqual((await texts(clients[2]!, 2)).sort(), ["from 0", "from 2"]);
        await shards.until(() => shards.call(1, "publish", "news", "from the successor"), "sent");
        assert.deepEqual((await texts(clients[0]!, 3)).at(-1), "from the successor");
        let again = await shards.open("/drop/news");
        for (let attempt = 0; again.shard !== 1 && attempt < ATTEMPTS_MAX; attempt++) {
          again.raw.end();
          again = await shards.open("/drop/news");
        }
        await shards.call(0, "publish", "news", "to the successor");
        assert.deepEqual(await texts(again, 1), ["to the successor"]);
        assert.deepEqual((await texts(clients[2]!, 4)).at(-1), "to the successor");
      });
    });

    test("a rolling restart leaves no log behind that nobody reads", async () => {
      await withShards({ driver, drainMs: 300 }, async (shards) => {
        await shards.onEach("/drop/news");
        await shards.server.restart();
        const clients = await shards.onEach("/drop/news");
        // More than the logs hold.
        for (const { shard } of clients) {
          assert.equal(await shards.call(shard, "publish", "news", `from ${shard}`), "sent");
          await shards.call(shard, "storm", "elsewhere", "x".repeat(100_000), 60);
        }
        for (const client of clients) assert.equal((await texts(client, SHARDS)).length, SHARDS);
      });
    });

    test("a shard that hangs is waited for while it may come back, then given up; its subscribers are told what their policy says", async () => {
      await withShards({ driver, watchdogMs: 0 }, async (shards) => {
        const [, hanging, other] = (await shards.onEach("/close/news")) as [Client, Client, Client];
        const shared = new SharedArrayBuffer(8);
        const words = new Int32Array(shared);
        const hung = shards.call(1, "hang", shared);
        hung.catch(() => {});
        while (Atomics.load(words, 1) === 0) await pause(5);
        const large = await shards.call<number>(0, "fill", "elsewhere", 64 * 1024);
        assert.ok(large > 2 && large < 1_000, `${large} pieces of 64 KiB were taken`);
        await shards.call<number>(0, "fill", "elsewhere", 1);
        assert.equal(await shards.call(0, "publish", "news", "in vain"), "dropped");
        await shards.until(() => shards.call(0, "publish", "news", "without the shard that hangs"), "sent");
        assert.deepEqual(await texts(other, 1), ["without the shard that hangs"]);
        Atomics.store(words, 0, 1);
        Atomics.notify(words, 0);
        await hung;
        assert.equal(await hanging.raw.closeCode(), 1013);
        assert.deepEqual(hanging.raw.texts.slice(1), []);
        await shards.until(() => shards.call(1, "subscribers", "news"), 0);
        assert.equal(await shards.call(1, "publish", "news", "back again"), "sent");
        assert.deepEqual(await texts(other, 2), ["without the shard that hangs", "back again"]);
      });
    });
  });
}
