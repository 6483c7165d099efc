/** Routes whose requests are handled on the shard that owns their key. */
import assert from "node:assert/strict";
import { type IncomingHttpHeaders, type RequestOptions, request } from "node:http";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { App, place } from "../../src/http/index.js";
import { type ModuleServer, serveModule } from "../../src/http/serve-module.js";
import { sticky } from "../../src/index.js";
import { portSharing } from "../../src/runtime/listeners.js";
import { ownerOf } from "../../src/scheduler/placement.js";

const KEYS = ["ann", "bob", "eve", "zoe"];
const SKIP = portSharing().isPossible ? false : "one shard only: the port cannot be shared here";

interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

let server: ModuleServer;

/** On a connection of its own, so that any shard may have accepted it. */
function get(path: string, { body, ...options }: RequestOptions & { body?: string | Buffer } = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const sent = request(`${server.url}${path}`, { agent: false, ...options }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

async function json(path: string, options?: Parameters<typeof get>[1]): Promise<unknown> {
  return JSON.parse((await get(path, options)).body.toString());
}

/** Asks until connections on both shards have asked. */
async function fromBothShards(ask: () => Promise<void>): Promise<void> {
  const seen = new Set<unknown>();
  for (let tries = 0; seen.size < 2; tries++) {
    assert.ok(tries < 200, "both shards accept connections in the end");
    seen.add(await json("/here"));
    await ask();
  }
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isTrue()); tries++) {
    assert.ok(tries < 1_000, "it comes true in the end");
    await sleep(10);
  }
}

describe("a placed route", { skip: SKIP }, () => {
  before(async () => {
    server = await serveModule(new URL("./fixtures/placed-app.js", import.meta.url), {
      port: 0,
      shards: 2,
      compute: 0,
      connections: 1_024,
      receiveSlabMib: 2,
      writePoolMib: 2,
      logLevel: "silent",
    });
  });
  after(() => server.stop());

  test("is handled where its key's actor lives, whichever shard has the connection", () =>
    fromBothShards(async () => {
      for (const key of KEYS) {
        const owner = ownerOf(key, 2);
        assert.deepEqual(await json(`/where/${key}`), [owner, owner]);
        assert.equal(await json(`/later/${key}`), owner);
      }
    }));

  test("has its state in one place", async () => {
    const added: string[] = [];
    await fromBothShards(async () => {
      added.push(`item ${added.length}`);
      assert.deepEqual(await json("/carts/ann", { method: "POST", body: added.at(-1)! }), added);
    });
  });

  test("sees the request as it came, and answers as it would to its own client", () =>
    fromBothShards(async () => {
      for (const method of ["PUT", "QUERY"]) {
        const { status, headers, body } = await get("/echo/eve?q=caf%C3%A9", {
          method,
          body: "hello",
          headers: { cookie: "session=s1", expect: "100-continue" },
        });
        assert.equal(status, 201);
        assert.deepEqual(headers["set-cookie"], ["a=1", "b=2"]);
        assert.equal(headers["x-shard"], String(ownerOf("eve", 2)));
        assert.deepEqual(JSON.parse(body.toString()), {
          method,
          url: `${server.url}/echo/eve?q=caf%C3%A9`,
          remoteAddress: "127.0.0.1",
          length: 5,
          cookie: "s1",
          query: "café",
        });
      }
      const head = await get("/where/eve", { method: "HEAD" });
      assert.deepEqual([head.status, head.headers["content-length"], head.body.length], [200, "5", 0]);
      assert.equal((await get("/empty/eve")).status, 204);
      assert.equal((await get("/redirect/eve")).headers.location, "/here");
      assert.equal((await get("/throws/eve")).status, 500);
      assert.equal((await get("/typeless/eve")).headers["content-type"], undefined);
    }));

  test("gets the header lines of middleware once, though that runs on both sides", () =>
    fromBothShards(async () => {
      const { headers } = await get("/twice/eve");
      assert.equal(headers["access-control-allow-origin"], "*");
      assert.deepEqual(headers["set-cookie"], ["before=1", "behind=1"]);
      const { status } = await get("/where/eve", { headers: { host: "1.2.3.4.5" } });
      assert.ok(status === 200 || status === 400, `answered ${status}`);
    }));

  test("has bodies of any length flow both ways", () =>
    fromBothShards(async () => {
      const large = await get("/large/bob");
      assert.deepEqual([large.headers["content-length"], large.body.length], ["1000000", 1_000_000]);
      assert.ok(large.body.every((byte) => byte === ownerOf("bob", 2) + 1));
      for (const headers of [{ "content-length": "300000" }, { "transfer-encoding": "chunked" }]) {
        const echoed = await get("/stream/bob", { method: "POST", body: Buffer.alloc(300_000, 7), headers });
        assert.equal(echoed.body.length, 300_000);
        assert.ok(echoed.body.every((byte) => byte === 7));
      }
    }));

  test("hears when its client has gone, before the answer and in the middle of it", async () => {
    for (const path of ["never", "endless"]) {
      let count = 0;
      await fromBothShards(async () => {
        const key = `${path}-${count++}`;
        await new Promise<void>((resolve) => {
          const sent = request(`${server.url}/${path}/${key}`, { agent: false });
          sent.on("error", () => resolve());
          sent.on("response", (response) => response.once("data", () => sent.destroy()).on("error", () => resolve()));
          if (path === "never") setTimeout(() => sent.destroy(), 50);
          sent.end();
        });
        // The owner's list, from a connection on whichever shard.
        await until(async () => {
          const lists = await Promise.all(Array.from({ length: 8 }, () => json("/gone")));
          return (lists as string[][]).some((list) => list.includes(key));
        });
      });
    }
  });

  test("is refused for upgrades, for bodies that a placed request cannot have, and for what is no shard", () =>
    fromBothShards(async () => {
      const owner = ownerOf("zoe", 2);
      const upgrade = await get("/where/zoe", { headers: { connection: "upgrade", upgrade: "websocket" } });
      const body = await get("/where/zoe", { method: "GET", body: "x", headers: { "content-length": "1" } });
      assert.ok(upgrade.status === 501 || upgrade.body.toString() === JSON.stringify([owner, owner]));
      // A server may pass over what a client offers to speak instead.
      const offer = await get("/where/zoe", { headers: { connection: "upgrade", upgrade: "h2c" } });
      assert.deepEqual(JSON.parse(offer.body.toString()), [owner, owner]);
      assert.ok(body.status === 501 || body.body.toString() === JSON.stringify([owner, owner]));
      for (const kind of ["range", "turn", "none", "text"]) assert.equal((await get(`/bad/${kind}`)).status, 500);
    }));

  test("answers 503 when the owner dies, and is handled by its successor", async () => {
    await fromBothShards(async () => {
      const answer = await get("/dies/ann").then(
        ({ status }) => status,
        () => 0,
      );
      // On the owner's own connection the client sees that end.
      assert.ok(answer === 503 || answer === 0, `answered ${answer}`);
      await until(async () => {
        const { status } = await get("/where/ann").catch(() => ({ status: 0 }));
        return status === 200;
      });
    });
  });
});

describe("place()", () => {
  test("does nothing where there are no shards", async () => {
    const app = new App();
    app.get(
      "/:key",
      place((c) => sticky(c.param("key"))),
      (c) => c.text("here"),
    );
    assert.equal(await (await app.request("/a")).text(), "here");
  });

  test("needs a function", () => {
    assert.throws(() => place(sticky("a") as unknown as () => never), TypeError);
  });
});
