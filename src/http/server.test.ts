import assert from "node:assert/strict";
import { test } from "node:test";
import { createPortableDriver } from "../driver/portable.js";
import { App } from "./app.js";
import type { FetchHandler } from "./fetch-handler.js";
import { serve } from "./serve.js";
import { HttpServer } from "./server.js";

const createDriver = createPortableDriver;

test("HttpServer's constructor throws for what is no handler, and for options that are not allowed", () => {
  assert.throws(() => new HttpServer({} as FetchHandler, { createDriver }), { code: "ERR_RINGLOOM_NOT_AN_APP" });
  const invalid = { code: "ERR_RINGLOOM_INVALID_OPTION" };
  assert.throws(() => new HttpServer(new App(), { createDriver, limits: { headersMax: 0 } }), invalid);
  assert.throws(() => new HttpServer(new App(), { createDriver, sizes: { receiveSlabBytes: 2 ** 32 } }), invalid);
});

test("serve() rejects for options that are not allowed, and for a port in use", async () => {
  const invalid = { code: "ERR_RINGLOOM_INVALID_OPTION" };
  await assert.rejects(serve({ port: 0 }), invalid);
  await assert.rejects(serve({ port: 0, app: new App(), fetch: () => new Response("") }), invalid);
  await assert.rejects(serve({ port: -1, app: new App() }), invalid);
  const first = await serve({ port: 0, app: new App() });
  await assert.rejects(serve({ port: first.port, app: new App() }), { code: "EADDRINUSE" });
  await first.close();
});

test("serve() tells where it listens and which driver serves, and answers until it is drained", async () => {
  const app = new App();
  app.get("/", (c) => c.text(c.remoteAddress ?? "nobody"));
  const server = await serve({ port: 0, app });
  assert.equal(server.url, `http://127.0.0.1:${server.port}`);
  assert.match(server.driver.name, /^(uring|epoll|portable)$/);
  assert.notEqual(server.driver.reason, "");
  const answer = await fetch(server.url, { headers: { connection: "close" } });
  assert.equal(await answer.text(), "127.0.0.1");
  assert.equal(server.stats.requests, 1);
  const report = await server.drain({ graceMs: 1 });
  assert.equal(report.connectionsForced, 0);
  await assert.rejects(fetch(server.url));
});

test("HttpServer.drain() gives the same promise again, and listen() is refused from then on", async () => {
  const server = new HttpServer(new App(), { createDriver, sizes: { receiveSlabBytes: 0 } });
  await server.listen({ host: "127.0.0.1", port: 0, backlog: 10, reusePort: false });
  const drained = server.drain();
  assert.equal(server.drain(), drained);
  assert.deepEqual(
    { ...(await drained), ms: 0 },
    { requestsFinished: 0, connectionsClosedIdle: 0, connectionsForced: 0, ms: 0 },
  );
  await assert.rejects(server.listen({ host: "127.0.0.1", port: 0, backlog: 10, reusePort: false }), {
    code: "ERR_RINGLOOM_CLOSED",
  });
  await server.close();
});
