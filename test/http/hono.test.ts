/** Hono, as it comes from npm, on a Ringloom server. */
import assert from "node:assert/strict";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { text as readText } from "node:stream/consumers";
import { after, afterEach, before, describe, test } from "node:test";
import { Hono } from "hono";
import { basicAuth } from "hono/basic-auth";
import { getCookie, setCookie } from "hono/cookie";
import { cors } from "hono/cors";
import { etag } from "hono/etag";
import { HTTPException } from "hono/http-exception";
import { secureHeaders } from "hono/secure-headers";
import { stream, streamSSE, streamText } from "hono/streaming";
import type { FetchInfo } from "../../src/http/fetch-handler.js";
import { driversUnderTest } from "../support/drivers.js";
import { SocketServer } from "../support/test-server.js";

const app = new Hono<{ Bindings: FetchInfo }>();
app.use("/secure/*", secureHeaders());
app.use("/auth/*", basicAuth({ username: "ada", password: "pass" }));
app.use("/etag/*", etag());
app.use("/cors/*", cors({ origin: "http://example.org" }));
app.use("/timed/*", async (c, next) => {
  await next();
  c.header("x-after", "1");
  c.res.headers.append("x-late", "2");
});
app.get("/hello/:name", (c) => c.text(`hello ${c.req.param("name")}`));
app.get("/query", (c) => c.json({ one: c.req.query("a"), all: c.req.queries("a"), from: c.env.remoteAddress }));
app.get("/headers", (c) => c.json(c.req.header()));
app.post("/json", async (c) => c.json(await c.req.json(), 201));
app.post("/form", async (c) => c.json(await c.req.parseBody()));
app.post("/echo", async (c) => c.body(await c.req.arrayBuffer()));
app.post("/pipe", (c) => new Response(c.req.raw.body));
app.get("/html", (c) => c.html("<p>hello</p>"));
app.get("/empty", (c) => c.body(null, 204));
app.get("/redirect", (c) => c.redirect("/hello/ada"));
app.get("/cookie", (c) => {
  setCookie(c, "seen", getCookie(c, "name") ?? "nobody");
  setCookie(c, "second", "2", { httpOnly: true });
  return c.text("ok");
});
app.get("/secure/page", (c) => c.text("secure"));
app.get("/auth/page", (c) => c.text("allowed"));
app.get("/etag/page", (c) => c.text("tagged"));
app.get("/cors/page", (c) => c.text("shared"));
app.get("/timed/page", (c) => c.text("timed"));
app.get("/throw", () => {
  throw new HTTPException(418, { message: "teapot" });
});
app.get("/broken", () => {
  throw new Error("broken");
});
app.get("/stream", (c) =>
  stream(c, async (out) => {
    for (const part of ["a", "b", "c"]) await out.write(part);
  }),
);
app.get("/stream-text", (c) =>
  streamText(c, async (out) => {
    await out.writeln("one");
    await out.sleep(1);
    await out.writeln("two");
  }),
);
app.get("/events", (c) =>
  streamSSE(c, async (out) => {
    await out.writeSSE({ event: "tick", data: "1", id: "7" });
  }),
);
app.route(
  "/nested",
  new Hono().get("/deep", (c) => c.text("deep")),
);
app.onError((error, c) => (error instanceof HTTPException ? error.getResponse() : c.text("hono caught it", 500)));
app.notFound((c) => c.text("hono found nothing", 404));

interface Got {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

for (const driver of driversUnderTest) {
  describe(`Hono on the ${driver.name} driver`, { skip: driver.skip }, () => {
    let server: SocketServer;
    let agent: Agent;
    before(async () => {
      server = await SocketServer.start(driver, app);
      agent = new Agent({ keepAlive: true });
    });
    afterEach(async () => {
      agent.destroy();
      await server.settle();
      assert.equal(server.leftover(), undefined);
    });
    after(() => server.close());

    function get(
      path: string,
      options: { method?: string; headers?: Record<string, string>; body?: string } = {},
    ): Promise<Got> {
      const { method = "GET", headers = {}, body } = options;
      return new Promise((resolve, reject) => {
        const client = httpRequest({ host: "127.0.0.1", port: server.port, path, method, headers, agent }, (answer) => {
          readText(answer).then(
            (text) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }),
            reject,
          );
        });
        client.on("error", reject);
        client.end(body);
      });
    }

    test("routes, parameters, query and headers", async () => {
      assert.equal((await get("/hello/ada%20b")).body, "hello ada b");
      assert.deepEqual(JSON.parse((await get("/query?a=1&a=2")).body), {
        one: "1",
        all: ["1", "2"],
        from: "127.0.0.1",
      });
      assert.equal(JSON.parse((await get("/headers", { headers: { "X-A": "1" } })).body)["x-a"], "1");
      assert.equal((await get("/nested/deep")).body, "deep");
      const html = await get("/html");
      assert.match(html.headers["content-type"] ?? "", /^text\/html/);
      assert.equal(html.body, "<p>hello</p>");
    });

    test("request bodies", async () => {
      const json = await get("/json", {
        method: "POST",
        body: '{"a":1}',
        headers: { "content-type": "application/json" },
      });
      assert.deepEqual([json.status, json.body], [201, '{"a":1}']);
      const form = { "content-type": "application/x-www-form-urlencoded" };
      assert.equal((await get("/form", { method: "POST", body: "a=1", headers: form })).body, '{"a":"1"}');
      assert.equal((await get("/echo", { method: "POST", body: "bytes" })).body, "bytes");
      const large = "x".repeat(300_000);
      assert.equal((await get("/pipe", { method: "POST", body: large })).body, large);
    });

    test("middleware before and after the handler", async () => {
      assert.equal((await get("/secure/page")).headers["x-frame-options"], "SAMEORIGIN");
      assert.equal((await get("/auth/page")).status, 401);
      const authorization = `Basic ${Buffer.from("ada:pass").toString("base64")}`;
      assert.equal((await get("/auth/page", { headers: { authorization } })).body, "allowed");
      const timed = await get("/timed/page");
      assert.deepEqual([timed.headers["x-after"], timed.headers["x-late"]], ["1", "2"]);
      assert.equal(
        (await get("/cors/page", { headers: { origin: "http://example.org" } })).headers["access-control-allow-origin"],
        "http://example.org",
      );
      const tagged = await get("/etag/page");
      assert.equal(tagged.body, "tagged");
      const again = await get("/etag/page", { headers: { "if-none-match": tagged.headers.etag ?? "" } });
      assert.deepEqual([again.status, again.body], [304, ""]);
    });

    test("cookies, redirects, empty answers and HEAD", async () => {
      const cookies = await get("/cookie", { headers: { cookie: "name=ada; other=1" } });
      assert.deepEqual(cookies.headers["set-cookie"], ["seen=ada; Path=/", "second=2; Path=/; HttpOnly"]);
      const redirect = await get("/redirect");
      assert.deepEqual([redirect.status, redirect.headers.location], [302, "/hello/ada"]);
      assert.equal((await get("/empty")).status, 204);
      const head = await get("/hello/ada", { method: "HEAD" });
      assert.deepEqual([head.status, head.body], [200, ""]);
    });

    test("errors reach Hono's own handlers", async () => {
      const teapot = await get("/throw");
      assert.deepEqual([teapot.status, teapot.body], [418, "teapot"]);
      const broken = await get("/broken");
      assert.deepEqual([broken.status, broken.body], [500, "hono caught it"]);
      const missing = await get("/missing");
      assert.deepEqual([missing.status, missing.body], [404, "hono found nothing"]);
    });

    test("streams", async () => {
      assert.equal((await get("/stream")).body, "abc");
      const text = await get("/stream-text");
      assert.equal(text.headers["transfer-encoding"], "chunked");
      assert.equal(text.body, "one\ntwo\n");
      const events = await get("/events");
      assert.match(events.headers["content-type"] ?? "", /^text\/event-stream/);
      assert.equal(events.body, "event: tick\ndata: 1\nid: 7\n\n");
    });
  });
}
