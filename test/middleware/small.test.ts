/** CORS, request ids, conditional requests: what a browser or a cache meets, over a server in memory. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { App, HttpError } from "../../src/http/index.js";
import { conditional, cors, requestId } from "../../src/middleware/index.js";

function withErrors(app: App): App {
  app.get("/", (c) => c.text("hello"));
  app.get("/fails", () => {
    throw new HttpError("ERR_TEST", 409, "no");
  });
  app.get("/response", () => new Response("from a Response", { headers: { etag: '"r"' } }));
  return app;
}

describe("cors()", () => {
  const origin = "https://a.example";

  function appWith(options?: Parameters<typeof cors>[0]): App {
    return withErrors(new App().use(cors(options)));
  }

  test("lets everybody read answers, and failures, by default", async () => {
    const app = appWith();
    for (const path of ["/", "/fails", "/response", "/missing"]) {
      const response = await app.request(path, { headers: { origin } });
      assert.equal(response.headers.get("access-control-allow-origin"), "*", path);
      assert.equal(response.headers.get("vary"), null);
    }
  });

  test("answers a preflight of a path without an OPTIONS route", async () => {
    const headers = { origin, "access-control-request-method": "PUT", "access-control-request-headers": "x-token" };
    const response = await appWith({ maxAgeSeconds: 60 }).request("/", { method: "OPTIONS", headers });
    assert.equal(response.status, 204);
    assert.match(response.headers.get("access-control-allow-methods") ?? "", /\bPUT\b/);
    assert.equal(response.headers.get("access-control-allow-headers"), "x-token");
    assert.equal(response.headers.get("access-control-max-age"), "60");
  });

  test("names the origin that asks, and only one that is allowed, and tells caches", async () => {
    const app = appWith({ origin: [origin, /https:\/\/\w+\.b\.example/], credentials: true, exposedHeaders: ["x-a"] });
    for (const [asking, allowed] of [
      [origin, origin],
      ["https://x.b.example", "https://x.b.example"],
      ["https://x.b.example.evil.net", null],
      ["https://evil.net", null],
    ] as const) {
      const { headers } = await app.request("/", { headers: { origin: asking } });
      assert.equal(headers.get("access-control-allow-origin"), allowed, asking);
      assert.equal(headers.get("access-control-allow-credentials"), allowed === null ? null : "true");
      assert.equal(headers.get("access-control-expose-headers"), allowed === null ? null : "x-a");
      assert.equal(headers.get("vary"), "origin");
    }
    const preflight = { origin: "https://evil.net", "access-control-request-method": "GET" };
    const refused = await app.request("/", { method: "OPTIONS", headers: preflight });
    assert.deepEqual([refused.status, refused.headers.get("access-control-allow-methods")], [204, null]);
  });

  test("a pattern with the flag g judges each request alike", async () => {
    const app = appWith({ origin: /https:\/\/a\.example/g });
    for (let time = 0; time < 3; time++) {
      const { headers } = await app.request("/", { headers: { origin } });
      assert.equal(headers.get("access-control-allow-origin"), origin);
    }
  });

  test("refuses options that browsers would refuse, and unknown ones", () => {
    assert.throws(() => cors({ credentials: true }), {
      code: "ERR_RINGLOOM_INVALID_OPTION",
      message: /name the origins/,
    });
    assert.throws(() => cors({ maxAgeSeconds: -1 }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    assert.throws(() => cors({ orgin: "*" } as object), { code: "ERR_RINGLOOM_INVALID_OPTION", message: /orgin/ });
    assert.throws(() => cors(null as unknown as object), { code: "ERR_RINGLOOM_INVALID_OPTION" });
  });
});

describe("requestId()", () => {
  test("gives each request an id, in its answer and for its handler, also when it fails", async () => {
    const seen: unknown[] = [];
    const app = new App().use(requestId());
    app.get("/", (c) => c.text(String(seen.push(c.locals.requestId))));
    app.get("/fails", (c) => {
      seen.push(c.locals.requestId);
      throw new Error("broken");
    });
    app.onError((_, c) => c.text("sorry", 500));
    const ids = [];
    for (const path of ["/", "/", "/fails"]) ids.push((await app.request(path)).headers.get("x-request-id"));
    assert.deepEqual(ids, seen);
    assert.equal(new Set(ids).size, 3);
  });

  test("keeps an id that came only if it is trusted and harmless", async () => {
    const app = withErrors(new App().use(requestId({ trust: true, header: "x-trace", generate: () => "ours" })));
    for (const [given, kept] of [
      ["abc-1.2:3/4+5=", "abc-1.2:3/4+5="],
      ["a b", "ours"],
      ["x".repeat(129), "ours"],
    ] as const)
      assert.equal((await app.request("/", { headers: { "x-trace": given } })).headers.get("x-trace"), kept);
    const distrustful = withErrors(new App().use(requestId({ generate: () => "ours" })));
    const { headers } = await distrustful.request("/", { headers: { "x-request-id": "abc" } });
    assert.equal(headers.get("x-request-id"), "ours");
  });
});

describe("Context.addLastingHeader()", () => {
  test("throws for what belongs to one answer", async () => {
    const app = new App();
    app.get("/", (c) => {
      for (const name of ["content-type", "Content-Length", "connection"])
        assert.throws(() => c.addLastingHeader(name, "1"), TypeError);
      assert.throws(() => c.addLastingHeader("x-a", "a\nb"), TypeError);
      return c.text(c.getHeader("x-a") ?? "none");
    });
    assert.equal(await (await app.request("/")).text(), "none");
  });
});

describe("conditional()", () => {
  test("gives an ETag, and 304 without body and type to whoever has it", async () => {
    const app = withErrors(new App().use(conditional()));
    app.get("/json", async (c) => c.json({ a: 1 }));
    for (const path of ["/", "/json", "/response"]) {
      const first = await app.request(path);
      const etag = first.headers.get("etag") ?? "";
      assert.match(etag, /^"[\w-]+"$/);
      for (const sent of [etag, `"x", W/${etag}`, "*"]) {
        const again = await app.request(path, { headers: { "if-none-match": sent } });
        assert.equal(again.status, 304, `${path} ${sent}`);
        assert.equal(again.headers.get("etag"), etag);
        assert.equal(again.headers.get("content-type"), null);
        assert.equal(await again.text(), "");
      }
      assert.equal((await app.request(path, { headers: { "if-none-match": '"other"' } })).status, 200);
    }
  });

  test("looks at Last-Modified, which If-None-Match overrides", async () => {
    const app = new App().use(conditional({ etagBytesMax: 0 }));
    app.get("/", (c) => c.setHeader("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT").text("old"));
    for (const [headers, status] of [
      [{ "if-modified-since": "Sun, 06 Nov 1994 08:49:37 GMT" }, 304],
      [{ "if-modified-since": "Sun, 06 Nov 1994 08:49:36 GMT" }, 200],
      [{ "if-modified-since": "nonsense" }, 200],
      [{ "if-modified-since": "Sun, 06 Nov 1994 08:49:37 GMT", "if-none-match": '"x"' }, 200],
    ] as const)
      assert.equal((await app.request("/", { headers })).status, status);
  });

  test("leaves streams without a tag, failures and other methods alone, and ends a stream that a 304 replaces", async () => {
    let ended = false;
    const app = withErrors(new App().use(conditional()));
    app.get("/stream", (c) => {
      async function* source(): AsyncGenerator<string> {
        yield "a";
      }
      const iterator = source();
      const original = iterator.return.bind(iterator);
      iterator.return = (value) => {
        ended = true;
        return original(value);
      };
      return c.setHeader("etag", '"s"').stream(iterator);
    });
    app.post("/", (c) => c.text("posted"));
    assert.equal((await app.request("/", { method: "POST" })).headers.get("etag"), null);
    assert.equal((await app.request("/fails")).headers.get("etag"), null);
    const response = await app.request("/stream", { headers: { "if-none-match": '"s"' } });
    assert.deepEqual([response.status, ended], [304, true]);
  });
});
