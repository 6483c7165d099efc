/** A limit that the shards of a server count together. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { App, HttpError, serveModule } from "../../src/http/index.js";
import { rateLimit } from "../../src/middleware/index.js";
import { sharedRateLimiter } from "../../src/sync/index.js";

const DAY_MS = 86_400_000;
const middleware = new URL("../../src/middleware/index.js", import.meta.url).href;
const http = new URL("../../src/http/index.js", import.meta.url).href;

describe("sharedRateLimiter()", () => {
  test("gives a burst, then refuses and says for how long", () => {
    const limiter = sharedRateLimiter("test burst", { limit: 24, windowMs: DAY_MS, burst: 2 });
    assert.deepEqual([limiter.take("a").remaining, limiter.take("a").remaining], [1, 0]);
    const refused = limiter.take("a");
    assert.equal(refused.isAllowed, false);
    assert.ok(refused.retryAfterMs > 3_000_000 && refused.retryAfterMs <= 3_600_000, String(refused.retryAfterMs));
    assert.ok(refused.resetMs > 2 * 3_000_000, String(refused.resetMs));
    assert.equal(limiter.take("b").isAllowed, true);
    assert.equal(limiter.take("c", 2).isAllowed, true);
    assert.equal(limiter.take("c", 2).isAllowed, false);
  });

  test("refuses what could never be had, and takes nothing for it", () => {
    const limiter = sharedRateLimiter("test too much", { limit: 24, windowMs: DAY_MS, burst: 2 });
    const tooMuch = { code: "ERR_RINGLOOM_INVALID_OPTION", message: /permits is 3, not a whole number from 0 to 2/ };
    assert.throws(() => limiter.take("a", 3), tooMuch);
    assert.equal(limiter.take("a", 2).isAllowed, true);
  });

  test("gives permits back with time", async () => {
    const limiter = sharedRateLimiter("test refill", { limit: 100, windowMs: 1000, burst: 1 });
    assert.equal(limiter.take("a").isAllowed, true);
    for (let tries = 0; !limiter.take("a").isAllowed; tries++) {
      assert.ok(tries < 1000);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });

  test("keeps no more keys than it has room for, and counts what it could not", () => {
    const limiter = sharedRateLimiter("test full", { limit: 1, windowMs: DAY_MS, keysMax: 4 });
    for (let key = 0; key < 10; key++) assert.equal(limiter.take(`k${key}`).isAllowed, true);
    assert.equal(limiter.uncountedCount, 6);
    assert.equal(limiter.take("k0").isAllowed, false);
  });

  test("is the same one for the same name, and refuses other options and bad ones", () => {
    const options = { limit: 5, windowMs: 1000 };
    assert.equal(sharedRateLimiter("test same", options), sharedRateLimiter("test same", options));
    const invalid = { code: "ERR_RINGLOOM_INVALID_OPTION" };
    assert.throws(() => sharedRateLimiter("test same", { ...options, limit: 6 }), {
      ...invalid,
      message: /a permit each/,
    });
    for (const bad of [
      { limit: 0 },
      { limit: 1.5 },
      { windowMs: 0 },
      { windowMs: Number.NaN },
      { burst: 0 },
      { keysMax: 0 },
      { other: 1 },
    ])
      assert.throws(() => sharedRateLimiter("test bad", { ...options, ...bad }), invalid, JSON.stringify(bad));
    assert.throws(() => sharedRateLimiter("test same", options).take("a", -1), invalid);
  });
});

describe("rateLimit()", () => {
  test("answers 429 with Retry-After, and says what is left in every answer, also to a failure", async () => {
    const app = new App();
    app.use(rateLimit({ name: "test headers", limit: 2, windowMs: DAY_MS, key: (c) => c.header("x-user") }));
    app.get("/", (c) => c.text("hello"));
    app.get("/fails", () => {
      throw new HttpError("ERR_TEST", 409, "no");
    });
    const headers = { "x-user": "ada" };
    const answers = [];
    for (const path of ["/", "/fails", "/"]) answers.push(await app.request(path, { headers }));
    assert.deepEqual(
      answers.map((answer) => answer.status),
      [200, 409, 429],
    );
    assert.deepEqual(
      answers.map((answer) => answer.headers.get("ratelimit-remaining")),
      ["1", "0", "0"],
    );
    assert.equal(answers[2]?.headers.get("retry-after"), String(DAY_MS / 2000));
    assert.equal((await app.request("/")).status, 200);
    assert.equal((await app.request("/")).headers.get("ratelimit-limit"), null);
  });

  test("counts over all shards, and by the address unless told", async () => {
    const folder = await mkdtemp(join(tmpdir(), "ringloom-rate-"));
    const module = join(folder, "app.mjs");
    await writeFile(
      module,
      `import { App } from ${JSON.stringify(http)};
       import { rateLimit } from ${JSON.stringify(middleware)};
       const app = new App();
       app.use(rateLimit({ limit: 10, windowMs: ${DAY_MS}, onLimited: (c) => c.text("slow down", 503) }));
       app.get("/", (c) => c.text("hello"));
       export default app;`,
    );
    const server = await serveModule(pathToFileURL(module).href, { port: 0, shards: 2 });
    try {
      const statuses = [];
      // A connection each, so that both shards get some.
      for (let time = 0; time < 24; time++)
        statuses.push((await fetch(server.url, { headers: { connection: "close" } })).status);
      assert.deepEqual(statuses, [...Array<number>(10).fill(200), ...Array<number>(14).fill(503)]);
    } finally {
      await server.stop();
      await rm(folder, { recursive: true });
    }
  });
});
