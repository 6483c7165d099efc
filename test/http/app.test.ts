/** Routes, middleware, the context and its answers, over a server in memory. */
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { afterEach, describe, test } from "node:test";
import { App, type Context, HttpError } from "../../src/http/index.js";
import type { HttpLimits } from "../../src/http/limits.js";
import { headerOf, parseAnswers, type WireAnswer } from "../support/http-wire.js";
import { MemoryServer } from "../support/test-server.js";

let server: MemoryServer | undefined;

afterEach(async () => {
  await server?.settle();
  assert.equal(server?.leftover(), undefined);
  await server?.close();
  server = undefined;
});

/** Sends raw requests on one connection, ends it, and returns the answers. */
async function send(app: App, text: string, limits: Partial<HttpLimits> = {}): Promise<WireAnswer[]> {
  server = await MemoryServer.start(app, { inSlab: true, limits });
  const peer = server.open();
  peer.send(Buffer.from(text, "latin1"));
  await server.settle();
  peer.end();
  await server.settle();
  const methods = [...text.matchAll(/^([A-Z]+) \S+ HTTP/gm)].map((match) => match[1]);
  return parseAnswers(peer.bytes, (index) => methods[index] === "HEAD");
}

async function get(app: App, target: string, headers = "", method = "GET"): Promise<WireAnswer> {
  const [answer] = await send(app, `${method} ${target} HTTP/1.1\r\nHost: example.org\r\n${headers}\r\n`);
  assert.ok(answer !== undefined);
  return answer;
}

function post(path: string, body: string, headers = ""): string {
  return `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
}

function textOf(answer: WireAnswer | undefined): string {
  return answer?.body.toString() ?? "no answer";
}

describe("routing", () => {
  test("App.get() gives typed, decoded parameters", async () => {
    const app = new App();
    app.get("/users/:id/files/*path", (c) => c.json([c.param("id"), c.param("path"), c.params()]));
    const answer = await get(app, "/users/%C3%A9/files/a%2Fb/c");
    assert.deepEqual(JSON.parse(textOf(answer)), ["é", "a/b/c", { id: "é", path: "a/b/c" }]);
  });

  test("Context.param() does not compile, and throws, for a name that the route does not have", async () => {
    const app = new App();
    // @ts-expect-error The route has no such parameter.
    app.get("/:id", (c) => c.text(c.param("nmae")));
    app.onError((error, c) => c.text(String(error), 500));
    assert.match(textOf(await get(app, "/1")), /TypeError: Cannot read parameter "nmae"/);
  });

  test("App matches normalised paths: escapes of unreserved characters mean the characters", async () => {
    const app = new App();
    app.get("/hello~/:name", (c) => c.text(`${c.param("name")} ${c.path}`));
    assert.equal(textOf(await get(app, "/%68ello%7E/x%41%2f")), "xA/ /%68ello%7E/x%41%2f");
  });

  test("App answers a broken escape in the path with 400, and one that is no UTF-8 when it is read", async () => {
    const app = new App();
    app.get("/:a", (c) => c.text(c.param("a")));
    assert.equal((await get(app, "/%zz")).status, 400);
    await server?.close();
    assert.equal((await get(app, "/%ff")).status, 400);
  });

  test("App answers 405 with Allow, and 404 where no method would do", async () => {
    const app = new App();
    app.get("/a", (c) => c.text("a")).put("/a", (c) => c.text("a"));
    const [notAllowed, missing] = await send(
      app,
      "POST /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert.equal(notAllowed?.status, 405);
    assert.equal(notAllowed === undefined ? "" : headerOf(notAllowed, "allow"), "GET, HEAD, PUT");
    assert.equal(missing?.status, 404);
  });

  test("App answers OPTIONS by itself when it is told to, and OPTIONS * always", async () => {
    const app = new App({ automaticOptions: true });
    app.get("/a", (c) => c.text("a"));
    const [own, star] = await send(app, "OPTIONS /a HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal(own?.status, 204);
    assert.equal(own === undefined ? "" : headerOf(own, "allow"), "GET, HEAD, OPTIONS");
    assert.equal(star?.status, 204);
  });

  test("App.on() routes any method of the parser, in any case, and refuses others", async () => {
    const app = new App();
    app.on(["purge", "QUERY"], "/a", (c) => c.text(c.method));
    assert.equal(textOf(await get(app, "/a", "", "PURGE")), "PURGE");
    assert.throws(() => app.on("NONSENSE", "/a", (c) => c.text("")), TypeError);
    assert.throws(() => app.on("CONNECT", "/a", (c) => c.text("")), TypeError);
  });

  test("App.group() and App.route() put routes under prefixes", async () => {
    const app = new App();
    app.group("/api/:version", (api) => {
      api.get("/", (c) => c.text(`root ${c.param("version")}`));
      api.group("/users", (users) => users.get("/:id", (c) => c.text(`${c.param("version")} ${c.param("id")}`)));
    });
    const other = new App();
    other.get("/x", (c) => c.text("mounted"));
    app.route("/other", other);
    const texts: string[] = [];
    for (const path of ["/api/v1", "/api/v1/users/7", "/other/x"]) {
      texts.push(textOf(await get(app, path)));
      await server?.close();
    }
    assert.deepEqual(texts, ["root v1", "v1 7", "mounted"]);
    server = undefined;
  });

  test("App throws at registration for handlers that are no functions, and for none", () => {
    const app = new App();
    assert.throws(() => app.get("/", "text" as unknown as () => undefined), /string is not a function/);
    assert.throws(() => (app.get as unknown as (path: string) => void).call(app, "/"), /it has no handler/);
    assert.throws(() => app.use("/:a", () => undefined), /its path has parameters/);
  });
});

describe("middleware", () => {
  test("App.use() wraps the routes added after it, the first outermost, without a promise where all is synchronous", async () => {
    const order: string[] = [];
    const app = new App();
    app.get("/before", (c) => c.text("before"));
    app.use((c, next) => {
      order.push("one in");
      const result = next();
      order.push(result instanceof Promise ? "a promise" : "one out");
      c.setHeader("x-one", "1");
      return result;
    });
    app.use((_c, next) => {
      order.push("two in");
      return next();
    });
    app.get("/after", (c) => c.text("after"));
    const [before, after] = await send(
      app,
      "GET /before HTTP/1.1\r\nHost: a\r\n\r\nGET /after HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert.deepEqual(order, ["one in", "two in", "one out"]);
    assert.equal(before === undefined ? "" : headerOf(before, "x-one"), undefined);
    assert.equal(after === undefined ? "" : headerOf(after, "x-one"), "1");
  });

  test("App.use() with a path applies at that path and below it", async () => {
    const app = new App();
    app.use("/admin/*", (c) => c.text("no", 403));
    for (const path of ["/admin", "/admin/x", "/administrator", "/:any/y"]) app.get(path, (c) => c.text("yes"));
    const paths = ["/admin", "/admin/x", "/admin/y", "/administrator", "/other/y"];
    const answers = await send(app, paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join(""));
    assert.deepEqual(answers.map(textOf), ["no", "no", "no", "yes", "yes"]);
  });

  test("middleware may be asynchronous, return nothing after next(), and see the answer", async () => {
    const app = new App();
    app.use(async (c, next) => {
      await next();
      c.setHeader("x-status", c.statusCode);
    });
    app.get("/", (c) => c.text("made", 201));
    const answer = await get(app, "/");
    assert.equal(headerOf(answer, "x-status"), "201");
    assert.equal(answer.status, 201);
  });

  test("middleware of one route runs for that route only, and next() works once", async () => {
    const app = new App();
    app.get(
      "/a",
      (c, next) => (c.header("x-token") === undefined ? c.text("who?", 401) : next()),
      (c) => c.text("in"),
    );
    app.get(
      "/twice",
      (_c, next) => {
        next();
        return next();
      },
      (c) => c.text("x"),
    );
    app.onError((error, c) => c.text(String(error), 500));
    const [out, twice] = await send(app, "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /twice HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal(out?.status, 401);
    assert.match(textOf(twice), /next\(\) was called before/);
  });

  test("middleware runs for requests without a route too", async () => {
    const app = new App();
    app.use((c, next) => {
      c.setHeader("x-seen", "1");
      return next();
    });
    app.notFound((c) => c.text(`nothing at ${c.path}`, 404));
    const answer = await get(app, "/nowhere");
    assert.equal(headerOf(answer, "x-seen"), "1");
    assert.equal(textOf(answer), "nothing at /nowhere");
  });
});

describe("the request", () => {
  test("Context shows method, path, URL, query, headers and cookies", async () => {
    const app = new App();
    app.get("/a/b", (c) =>
      c.json({
        method: c.method,
        path: c.path,
        url: c.url,
        q: c.query("q"),
        all: c.queries("q"),
        record: c.queries(),
        none: c.query("zz") ?? null,
        agent: c.header("User-Agent"),
        accept: c.headers().get("accept"),
        cookie: c.cookie("b"),
        cookies: c.cookies(),
      }),
    );
    const answer = await get(
      app,
      "/a/b?q=1+2&q=%C3%A9",
      "user-agent: test\r\nAccept: a\r\nAccept: b\r\nCookie: a=1; b=2\r\n",
    );
    assert.deepEqual(JSON.parse(textOf(answer)), {
      method: "GET",
      path: "/a/b",
      url: "http://example.org/a/b?q=1+2&q=%C3%A9",
      q: "1 2",
      all: ["1 2", "é"],
      record: { q: "é" },
      none: null,
      agent: "test",
      accept: "a, b",
      cookie: "2",
      cookies: { a: "1", b: "2" },
    });
  });

  test("Context reads the head after an await, when the receive memory has other bytes", async () => {
    const app = new App();
    app.get("/:name", async (c) => {
      await new Promise((resolve) => setImmediate(resolve));
      return c.text(`${c.param("name")} ${c.path} ${c.header("x-a")} ${c.query("q")}`);
    });
    const answers = await send(
      app,
      "GET /one?q=1 HTTP/1.1\r\nHost: a\r\nX-A: first\r\n\r\nGET /two?q=2 HTTP/1.1\r\nHost: a\r\nX-A: second\r\n\r\n",
    );
    assert.deepEqual(answers.map(textOf), ["one /one first 1", "two /two second 2"]);
  });

  test("Context.bytes() and Context.request read the body once", async () => {
    const app = new App();
    app.post("/bytes", async (c) => c.body(await c.bytes()));
    app.post("/json", async (c) => c.json(await c.request.json()));
    app.post("/twice", async (c) => {
      await c.bytes();
      return c.text(await c.request.text());
    });
    const [bytes, json, twice] = await send(
      app,
      post("/bytes", "abc") + post("/json", '{"a":[1]}') + post("/twice", "x"),
    );
    assert.equal(textOf(bytes), "abc");
    assert.equal(textOf(json), '{"a":[1]}');
    assert.equal(twice?.status, 500);
  });

  test("Context.bytes() of a request without a body is empty", async () => {
    const app = new App();
    app.get("/", async (c) => c.text(String((await c.bytes()).length)));
    assert.equal(textOf(await get(app, "/")), "0");
  });

  test("Context.trailers shows what came behind a chunked body", async () => {
    const app = new App();
    app.post("/", async (c) => c.text(`${await c.request.text()} ${c.trailers["x-sum"]}`));
    const [answer] = await send(
      app,
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7 \r\n\r\n",
    );
    assert.equal(textOf(answer), "abc 7");
  });

  test("a body that nobody reads is dropped, and the connection goes on; a long one closes it", async () => {
    const app = new App();
    app.post("/", (c) => c.text("answered"));
    const [first, second] = await send(app, post("/", "x".repeat(1000)) + post("/", "y"), {
      bodyDiscardBytesMax: 2000,
    });
    assert.equal(textOf(first), "answered");
    assert.equal(textOf(second), "answered");
    await server?.close();
    const answers = await send(app, post("/", "x".repeat(3000)) + post("/", "y"), { bodyDiscardBytesMax: 2000 });
    assert.equal(answers.length, 1);
    assert.equal(answers[0] === undefined ? "" : headerOf(answers[0], "connection"), "close");
  });

  test("a context that is kept says that its request is over, and cannot touch the next one", async () => {
    const app = new App();
    let kept: Context | undefined;
    app.get("/keep", (c) => {
      kept = c;
      return c.text("kept");
    });
    app.get("/next", (c) => {
      assert.throws(() => kept?.header("host"), { code: "ERR_RINGLOOM_ALREADY_ANSWERED" });
      assert.throws(() => kept?.param("x"), { code: "ERR_RINGLOOM_ALREADY_ANSWERED" });
      kept?.text("late");
      return c.text("next");
    });
    const answers = await send(app, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.deepEqual(answers.map(textOf), ["kept", "next"]);
  });
});

describe("the answer", () => {
  test("Context has an answer for each kind of body", async () => {
    const app = new App();
    app.get("/text", (c) => c.text("täxt"));
    app.get("/html", (c) => c.html("<p>"));
    app.get("/json", (c) => c.json({ a: 1 }, 201));
    app.get("/body", (c) => c.body(new Uint8Array([1, 2])));
    app.get("/buffer", (c) => c.body(new Uint8Array([1, 2, 3]).buffer));
    app.get("/null", (c) => c.body(null));
    app.get("/empty", (c) => c.empty());
    app.get("/redirect", (c) => c.redirect("/ö", 307));
    app.get("/missing", (c) => c.notFound());
    const paths = ["text", "html", "json", "body", "buffer", "null", "empty", "redirect", "missing"];
    const answers = await send(app, paths.map((path) => `GET /${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join(""));
    const seen = answers.map((answer) => [
      answer.status,
      headerOf(answer, "content-type"),
      answer.body.toString("latin1"),
    ]);
    assert.deepEqual(seen, [
      [200, "text/plain; charset=utf-8", "t\xc3\xa4xt"],
      [200, "text/html; charset=utf-8", "<p>"],
      [201, "application/json", '{"a":1}'],
      [200, "application/octet-stream", "\x01\x02"],
      [200, "application/octet-stream", "\x01\x02\x03"],
      [200, undefined, ""],
      [204, undefined, ""],
      [307, undefined, ""],
      [404, "text/plain; charset=utf-8", "Not Found\n"],
    ]);
    assert.equal(answers[7] === undefined ? "" : headerOf(answers[7], "location"), "/%C3%B6");
  });

  test("Context sets, appends and removes headers; a type that was set wins over that of the answering method", async () => {
    const app = new App();
    app.get("/", (c) =>
      c
        .setHeader("X-A", "1")
        .setHeader("x-a", 2)
        .appendHeader("x-b", "1")
        .appendHeader("x-b", "2")
        .setHeader("x-c", "gone")
        .removeHeader("x-c")
        .setCookie("s", "1", { httpOnly: true })
        .setCookie("t", "2")
        .setHeader("Content-Type", "text/x-own")
        .text("body"),
    );
    const answer = await get(app, "/");
    const all = answer.headers.filter(([name]) => name !== "date");
    assert.deepEqual(all, [
      ["content-type", "text/x-own"],
      ["content-length", "4"],
      ["x-a", "2"],
      ["x-b", "1"],
      ["x-b", "2"],
      ["set-cookie", "s=1; HttpOnly"],
      ["set-cookie", "t=2"],
    ]);
  });

  test("Context.setHeader() throws for what the server itself writes", async () => {
    const app = new App();
    app.get("/", (c) => {
      for (const [name, value] of [
        ["date", "x"],
        ["transfer-encoding", "chunked"],
        ["keep-alive", "timeout=5"],
        ["connection", "upgrade"],
        ["content-length", "ten"],
      ] as const) {
        assert.throws(() => c.setHeader(name, value), TypeError);
      }
      return c.setHeader("connection", "close").text("bye");
    });
    const answers = await send(app, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal(answers.length, 1);
    assert.equal(answers[0] === undefined ? "" : headerOf(answers[0], "connection"), "close");
  });

  test("HEAD is answered with the length and without the body", async () => {
    const app = new App();
    app.get("/", (c) => c.text("hello"));
    app.get("/long", (c) => c.body(new Uint8Array(200_000)));
    app.head("/told", (c) => c.setHeader("content-length", 77).body(null));
    app.get("/stream", (c) => c.stream(["a", "b"]));
    const answers = await send(
      app,
      ["/", "/long", "/told", "/stream"].map((path) => `HEAD ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join(""),
    );
    assert.deepEqual(
      answers.map((answer) => [headerOf(answer, "content-length"), answer.body.length]),
      [
        ["5", 0],
        ["200000", 0],
        ["77", 0],
        [undefined, 0],
      ],
    );
  });

  test("answers longer than a write block arrive whole and in order", async () => {
    const app = new App();
    app.get("/:size", (c) => c.text("0123456789".repeat(Number(c.param("size")))));
    const sizes = [6_000, 7_000, 50_000, 1, 20_000];
    const answers = await send(app, sizes.map((size) => `GET /${size} HTTP/1.1\r\nHost: a\r\n\r\n`).join(""));
    assert.deepEqual(
      answers.map(({ body }) => body.length),
      sizes.map((size) => size * 10),
    );
    for (const { body } of answers) assert.equal(body.toString(), "0123456789".repeat(body.length / 10));
  });

  test("Context.stream() sends iterables, web and Node streams, and the request's own body", async () => {
    const app = new App();
    app.get("/iterable", (c) => c.stream(["a", Buffer.from("b")], { contentType: "text/plain" }));
    app.get("/node", (c) => c.stream(Readable.from(["c", "d"])));
    app.get("/web", (c) => c.stream(new Blob(["ef"]).stream() as unknown as ReadableStream<Uint8Array>));
    app.get("/length", (c) => c.stream(["gh"], { contentLength: 2 }));
    app.get("/trailers", (c) => c.stream(["ij"], { trailers: () => ({ "X-Sum": "9" }) }));
    app.post("/echo", (c) => c.stream(c.request));
    const paths = ["iterable", "node", "web", "length", "trailers"];
    const answers = await send(
      app,
      paths.map((path) => `GET /${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join("") + post("/echo", "kl"),
    );
    assert.deepEqual(answers.map(textOf), ["ab", "cd", "ef", "gh", "ij", "kl"]);
    assert.deepEqual(
      answers.map((answer) => headerOf(answer, "transfer-encoding")),
      ["chunked", "chunked", "chunked", undefined, "chunked", "chunked"],
    );
    assert.deepEqual(answers[4]?.trailers, [["x-sum", "9"]]);
  });

  test("a stream may read the request while it runs", async () => {
    const app = new App();
    app.get("/:name", (c) =>
      c.stream(
        (async function* () {
          await new Promise((resolve) => setImmediate(resolve));
          yield c.param("name");
          yield c.header("host") ?? "";
        })(),
      ),
    );
    assert.equal(textOf(await get(app, "/ada")), "adaexample.org");
  });

  test("a stream to an HTTP/1.0 client ends with the connection", async () => {
    const app = new App();
    app.get("/", (c) => c.stream(["a", "b"]));
    server = await MemoryServer.start(app, { inSlab: true });
    const peer = server.open();
    peer.send(Buffer.from("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    await server.settle();
    assert.match(peer.bytes.toString(), /Connection: close\r\n\r\nab$/);
    assert.doesNotMatch(peer.bytes.toString(), /chunked/);
    assert.equal(peer.hasEnd, true);
    peer.end();
  });

  test("Context.sse() sends events", async () => {
    const app = new App();
    app.get("/", (c) => c.sse([{ data: "one" }, { event: "e", data: { two: 2 } }]));
    const answer = await get(app, "/");
    assert.equal(headerOf(answer, "content-type"), "text/event-stream");
    assert.equal(textOf(answer), 'data: one\n\nevent: e\ndata: {"two":2}\n\n');
  });

  test("a handler of an App may return a web-standard Response", async () => {
    const app = new App();
    app.use((c, next) => {
      c.setHeader("x-from", "middleware");
      return next();
    });
    app.get("/", async () => Response.json({ a: 1 }, { status: 202, headers: { "x-own": "1" } }));
    const answer = await get(app, "/");
    assert.equal(answer.status, 202);
    assert.equal(textOf(answer), '{"a":1}');
    assert.equal(headerOf(answer, "x-from"), "middleware");
    assert.equal(headerOf(answer, "x-own"), "1");
  });

  test("Context.status() and the answering methods refuse statuses that a handler cannot answer", async () => {
    const app = new App();
    app.get("/", (c) => {
      for (const status of [100, 101, 199, 600, 200.5, Number.NaN]) assert.throws(() => c.status(status), RangeError);
      assert.throws(() => c.text("", 1), RangeError);
      assert.throws(() => c.redirect("/", 200), RangeError);
      return c.status(299).text("odd");
    });
    const answer = await get(app, "/");
    assert.equal(answer.status, 299);
    assert.equal(answer.reason, "");
  });
});

describe("the source of an answer that is not sent", () => {
  /** A source that notes its end. */
  function source(ended: string[], name: string): AsyncIterable<string> {
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.resolve({ done: false, value: "a" }),
        return() {
          ended.push(name);
          return Promise.resolve({ done: true, value: undefined });
        },
      }),
    };
  }

  test("is ended when another answer or a failure replaces it", async () => {
    const ended: string[] = [];
    const app = new App();
    app.get("/replaced", (c) => {
      c.stream(source(ended, "replaced"));
      return c.text("short");
    });
    app.get("/failed", (c) => {
      c.stream(source(ended, "failed"));
      throw new HttpError("ERR_TEST", 409, "no");
    });
    assert.equal(textOf(await get(app, "/replaced")), "short");
    await server?.close();
    assert.equal((await get(app, "/failed")).status, 409);
    assert.deepEqual(ended, ["replaced", "failed"]);
  });

  test("is ended when the client has gone before the handler answers, or before it is sent", async () => {
    const ended: string[] = [];
    const app = new App();
    let go = (): void => {};
    const gone = new Promise<void>((resolve) => {
      go = resolve;
    });
    app.get("/late", async (c) => {
      await gone;
      return c.stream(source(ended, "late"));
    });
    app.get("/unsent", async (c) => {
      c.stream(source(ended, "unsent"));
      await gone;
    });
    app.get("/thrown", async (c) => {
      c.stream(source(ended, "thrown"));
      await gone;
      // As middleware does that asks a request which is over.
      c.header("a");
    });
    server = await MemoryServer.start(app, { inSlab: true });
    for (const path of ["/late", "/unsent", "/thrown"]) {
      const peer = server.open();
      peer.send(Buffer.from(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`));
      await server.settle();
      peer.reset();
    }
    await server.settle();
    go();
    await server.settle();
    assert.deepEqual(ended.sort(), ["late", "thrown", "unsent"]);
  });
});

describe("failures", () => {
  test("an HttpError answers with its status and, below 500, its message", async () => {
    const app = new App();
    app.get("/teapot", () => {
      throw new HttpError("ERR_TEAPOT", 418, "short and stout");
    });
    app.get("/inside", () => {
      throw new HttpError("ERR_INSIDE", 502, "secret");
    });
    const [teapot, inside] = await send(
      app,
      "GET /teapot HTTP/1.1\r\nHost: a\r\n\r\nGET /inside HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert.deepEqual([teapot?.status, textOf(teapot)], [418, "short and stout\n"]);
    assert.deepEqual([inside?.status, textOf(inside)], [502, "Bad Gateway\n"]);
  });

  test("App.onError() answers what handlers throw, headers of the failed answer are dropped, and its own failure is a 500", async () => {
    const app = new App();
    app.get("/a", (c) => {
      c.setHeader("x-half", "1");
      throw new Error("first");
    });
    app.get("/b", async () => {
      throw new Error("second");
    });
    app.onError(async (error, c) => {
      if ((error as Error).message === "second") throw new Error("third");
      return c.text(`handled ${(error as Error).message}`, 503);
    });
    const [a, b] = await send(app, "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.deepEqual([a?.status, textOf(a)], [503, "handled first"]);
    assert.equal(a === undefined ? "" : headerOf(a, "x-half"), undefined);
    assert.deepEqual([b?.status, textOf(b)], [500, "Internal Server Error\n"]);
    assert.equal(server?.stats.handlerErrors, 2);
  });

  test("c.signal is aborted when the client goes, also when it is first read afterwards", async () => {
    const app = new App();
    const signals: AbortSignal[] = [];
    let context: Context | undefined;
    app.get("/", (c) => {
      signals.push(c.signal);
      context = c;
      return new Promise<never>(() => undefined);
    });
    server = await MemoryServer.start(app, { inSlab: true });
    const peer = server.open();
    peer.send(Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    await server.settle();
    assert.equal(signals[0]?.aborted, false);
    peer.reset();
    await server.settle();
    assert.equal(signals[0]?.aborted, true);
    assert.equal(context?.signal.aborted, true);
    assert.throws(() => context?.path, { code: "ERR_RINGLOOM_ABORTED" });
    assert.equal(server.stats.aborted, 1);
  });

  test("an answer after the client has gone is counted, and reaches nobody", async () => {
    const app = new App();
    let answer: (() => void) | undefined;
    app.get("/slow", async (c) => {
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      return c.text("too late");
    });
    app.get("/quick", (c) => c.text("quick"));
    server = await MemoryServer.start(app, { inSlab: true });
    const first = server.open();
    first.send(Buffer.from("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"));
    await server.settle();
    first.reset();
    await server.settle();
    const second = server.open();
    assert.equal(second.slot, first.slot);
    second.send(Buffer.from("GET /quick HTTP/1.1\r\nHost: a\r\n\r\n"));
    await server.settle();
    answer?.();
    await server.settle();
    second.end();
    await server.settle();
    assert.deepEqual(parseAnswers(second.bytes).map(textOf), ["quick"]);
    assert.equal(server.stats.lateAnswers, 1);
  });
});
