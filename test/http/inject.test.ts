import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { App, HttpError, serve } from "../../src/http/index.js";
import type { LogEntry } from "../../src/http/log.js";
import { inject } from "../../src/testing/index.js";
import { within } from "../support/signal.js";

/** Headers that differ from one request to the next, or that each client chooses by its own wishes. */
const VOLATILE: readonly string[] = ["date", "connection"];

function exampleApp(): App {
  const app = new App();
  app.get("/hello/:name", (c) => c.text(`hello ${c.param("name")} ${c.query("n") ?? ""}`));
  app.post("/echo", async (c) => c.text(await c.request.text()));
  app.post("/stream", (c) => c.stream(c.request));
  app.get("/cookies", (c) => c.setCookie("a", "1").setCookie("b", "2").text("ok"));
  app.get("/throws", () => {
    throw new Error("planted");
  });
  app.get("/teapot", () => {
    throw new HttpError("ERR_TEAPOT", 418, "short and stout");
  });
  app.get("/empty", (c) => c.empty());
  app.get("/address", (c) => c.text(String(c.header("host"))));
  return app;
}

/** Collects what nobody holds. A WeakRef keeps its target to the end of the task, so each collection has a task of its own. */
async function collectGarbage(): Promise<void> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let round = 0; round < 5; round++) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
}

async function seen(response: Response) {
  const headers = [...response.headers].filter(([name]) => !VOLATILE.includes(name));
  return { status: response.status, statusText: response.statusText, headers, text: await response.text() };
}

const requests: [path: string, init?: RequestInit][] = [
  ["/hello/world?n=1"],
  ["/hello/world", { method: "HEAD" }],
  ["/hello/world", { method: "OPTIONS" }],
  ["/hello/world", { method: "DELETE" }],
  ["/missing"],
  ["/hello/%zz"],
  ["/echo", { method: "POST", body: "text" }],
  ["/echo", { method: "POST", body: new Uint8Array(100_000).fill(97) }],
  ["/echo", { method: "POST", body: new URLSearchParams({ a: "1" }) }],
  ["/stream", { method: "POST", body: "to and fro" }],
  ["/echo", { method: "POST", body: "x".repeat(2_000_000) }],
  ["/cookies"],
  ["/throws"],
  ["/teapot"],
  ["/empty"],
  ["/hello/x", { headers: { "x-long": "y".repeat(20_000) } }],
];

test("app.request() answers as a server does over a socket", async () => {
  const app = exampleApp();
  const quiet: LogEntry[] = [];
  const log = (entry: LogEntry) => void quiet.push(entry);
  const memory = inject(app, { log });
  const server = await serve({ app, port: 0, driver: "portable", log });
  try {
    for (const [path, init] of requests) {
      const inMemory = await seen(await memory.request(path, init));
      const overSocket = await seen(await fetch(server.url + path, init));
      assert.deepEqual(inMemory, overSocket, path);
    }
    // Both logged the one error that is the server's own fault.
    assert.equal(quiet.filter((entry) => (entry.error as Error).message === "planted").length, 2);
  } finally {
    await memory.close();
    await server.close();
  }
});

test("app.request() takes a path, a URL and a Request", async () => {
  const app = exampleApp();
  assert.equal(await (await app.request("/address")).text(), "localhost");
  assert.equal(await (await app.request(new URL("http://a.example:81/address"))).text(), "a.example:81");
  const request = new Request("http://b.example/echo", { method: "POST", body: "whole" });
  assert.equal(await (await app.request(request)).text(), "whole");
});

test("app.request() sees routes that were added after the first request", async () => {
  const app = new App();
  assert.equal((await app.request("/late")).status, 404);
  app.get("/late", (c) => c.text("here"));
  assert.equal((await app.request("/late")).status, 200);
});

test("app.request() streams both ways at once", async () => {
  let push: (text: string) => void = () => undefined;
  let finish: () => void = () => undefined;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      push = (text) => controller.enqueue(new TextEncoder().encode(text));
      finish = () => controller.close();
    },
  });
  push("first");
  const init = { method: "POST", body, duplex: "half" } as RequestInit;
  const response = await within("the head", exampleApp().request("/stream", init));
  const reader = (response.body ?? assert.fail("no body")).getReader();
  const decode = async () => new TextDecoder().decode((await within("a chunk", reader.read())).value as Uint8Array);
  assert.equal(await decode(), "first");
  push("second");
  assert.equal(await decode(), "second");
  finish();
  assert.equal((await reader.read()).done, true);
});

test("app.request() rejects when its body fails before anything was sent", async () => {
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      controller.enqueue(new Uint8Array(4_000));
      controller.error(new Error("the source broke"));
    },
  });
  const init = { method: "POST", body, duplex: "half" } as RequestInit;
  await assert.rejects(within("the end of the request", exampleApp().request("/stream", init)), {
    code: "ERR_RINGLOOM_ABORTED",
  });
});

test("app.request() holds an answer back that nobody reads", async () => {
  let produced = 0;
  const app = new App();
  app.get("/endless", (c) =>
    c.stream(
      (async function* () {
        for (;;) {
          produced += 65_536;
          yield new Uint8Array(65_536);
        }
      })(),
    ),
  );
  const abort = new AbortController();
  const response = await app.request("/endless", { signal: abort.signal });
  let before = -1;
  try {
    for (let quiet = 0; quiet < 20; ) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      quiet = produced === before ? quiet + 1 : 0;
      before = produced;
      assert.ok(produced < 64 * 1_048_576, "it is held back");
    }
  } finally {
    abort.abort(new Error("enough"));
  }
  await assert.rejects(response.arrayBuffer());
});

test("app.request() gives the handler's signal the abort of the client, and rejects with its reason", async () => {
  const app = new App();
  let wasAborted: () => void = () => undefined;
  const aborted = new Promise<void>((resolve) => {
    wasAborted = resolve;
  });
  let wasEntered: () => void = () => undefined;
  const entered = new Promise<void>((resolve) => {
    wasEntered = resolve;
  });
  app.get("/slow", async (c) => {
    wasEntered();
    await new Promise<void>((resolve) => c.signal.addEventListener("abort", () => resolve()));
    wasAborted();
    return c.text("late");
  });
  const abort = new AbortController();
  const rejected = assert.rejects(app.request("/slow", { signal: abort.signal }), { message: "planted reason" });
  await within("the handler", entered);
  abort.abort(new Error("planted reason"));
  await rejected;
  await within("the abort in the handler", aborted);
});

test("app.request() hears the abort of a signal whose Request has been collected", async () => {
  const app = new App();
  app.get("/endless", (c) => c.stream(new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(1_024)) })));
  for (const wrap of [
    (signal: AbortSignal) => app.request("/endless", { signal }),
    (signal: AbortSignal) => app.request(new Request("http://localhost/endless", { signal })),
  ]) {
    const abort = new AbortController();
    const response = await wrap(abort.signal);
    await collectGarbage();
    abort.abort(new Error("planted reason"));
    const body = response.body?.getReader() ?? assert.fail("no body");
    await assert.rejects(async () => {
      for (let read = 0; read < 4 * 1_048_576; ) read += (await body.read()).value?.byteLength ?? assert.fail("an end");
    });
  }
});

test("inject() serves a fetch handler, with limits of its own", async () => {
  const handler = { fetch: async (request: Request) => new Response(await request.text(), { status: 201 }) };
  const server = inject(handler, { limits: { bodyBytesMax: 4 }, overrideGlobals: false });
  const good = await server.request("/", { method: "POST", body: "four" });
  assert.deepEqual([good.status, await good.text()], [201, "four"]);
  assert.equal((await server.request("/", { method: "POST", body: "fives" })).status, 413);
  assert.equal(server.stats.requests, 2);
  await server.close();
  assert.equal(server.stats.connectionsNow, 0);
});

test("inject() leaves nothing behind after many requests at once", async () => {
  const server = inject(exampleApp());
  const answers = await Promise.all(
    Array.from({ length: 200 }, async (_, index) => (await server.request(`/hello/${index}`)).text()),
  );
  assert.deepEqual(answers[199], "hello 199 ");
  await server.close();
  assert.equal(server.stats.connectionsNow, 0);
  assert.equal(server.stats.requestsNow, 0);
});

test("inject() rejects what is no handler, and a signal that was aborted before", async () => {
  assert.throws(() => inject({} as never), { code: "ERR_RINGLOOM_NOT_AN_APP" });
  await assert.rejects(exampleApp().request("/empty", { signal: AbortSignal.abort(new Error("before")) }), {
    message: "before",
  });
});
