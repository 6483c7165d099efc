/** No request sees the async context of another one, however they are batched, and agents see each request as a resource of its own. */
import assert from "node:assert/strict";
import { AsyncLocalStorage, createHook, executionAsyncId } from "node:async_hooks";
import { subscribe, channel as toChannel, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { afterEach, describe, test } from "node:test";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { App, type Context, type FetchHandler, type RequestMessage } from "../../src/http/index.js";
import { driversUnderTest } from "../support/drivers.js";
import { exchange, parseAnswers } from "../support/http-wire.js";
import { Peer } from "../support/peer.js";
import { SocketServer } from "../support/test-server.js";

const CONNECTIONS = 20;
const BATCHES = 20;
const BATCH = 25;
const KINDS = ["enter", "enter-later", "run", "timer", "body", "throw", "microtask"] as const;
type Kind = (typeof KINDS)[number];

const store = new AsyncLocalStorage<string>();

/** What a request found: the store when it began, and at its end. */
function found(before: string | undefined): string {
  return `${before ?? "nothing"} ${store.getStore() ?? "nothing"}`;
}

/** Puts `id` into the context in one of the ways that programs have, and tells what was there before and is at the end. */
function visit(kind: Kind, id: string, readBody: () => Promise<unknown>): string | Promise<string> {
  const before = store.getStore();
  if (kind === "run") return store.run(id, () => nextTurn().then(() => found(before)));
  store.enterWith(id);
  switch (kind) {
    case "enter":
      return found(before);
    case "enter-later":
      return nextTurn().then(() => found(before));
    case "timer":
      return sleep(1).then(() => found(before));
    case "body":
      return readBody().then(() => found(before));
    case "microtask":
      return Promise.resolve().then(() => found(before));
    case "throw":
      throw new Error(found(before));
  }
}

function isKind(text: string): text is Kind {
  return (KINDS as readonly string[]).includes(text);
}

function appHandler(): App {
  const app = new App();
  app.onError((error, c) => c.text(error instanceof Error ? error.message : ""));
  app.all("/:kind/:id", (c) => {
    const kind = c.param("kind");
    if (!isKind(kind)) return c.notFound();
    const text = visit(kind, c.param("id"), () => c.bytes());
    return typeof text === "string" ? c.text(text) : text.then((value) => c.text(value));
  });
  return app;
}

const fetchHandler: FetchHandler = {
  fetch(request) {
    const [, kind = "", id = ""] = new URL(request.url).pathname.split("/");
    if (!isKind(kind)) return new Response(null, { status: 404 });
    try {
      const text = visit(kind, id, () => request.text());
      return typeof text === "string" ? new Response(text) : text.then((value) => new Response(value));
    } catch (error) {
      return new Response(error instanceof Error ? error.message : "");
    }
  },
};

/** Sends batches of pipelined requests on one connection, and returns what is wrong with their answers. */
async function visitOften(port: number, connection: number): Promise<string[]> {
  const wanted: string[] = [];
  const writes: Buffer[] = [];
  for (let batch = 0; batch < BATCHES; batch++) {
    let text = "";
    for (let index = 0; index < BATCH; index++) {
      const id = `${connection}-${batch}-${index}`;
      const kind = KINDS[(connection + batch * 3 + index) % KINDS.length]!;
      const isLast = batch === BATCHES - 1 && index === BATCH - 1;
      const method = kind === "body" ? "POST" : "GET";
      const length = kind === "body" ? "Content-Length: 2\r\n" : "";
      const close = isLast ? "Connection: close\r\n" : "";
      text += `${method} /${kind}/${id} HTTP/1.1\r\nHost: a\r\n${length}${close}\r\n${kind === "body" ? "ab" : ""}`;
      wanted.push(`nothing ${id}`);
    }
    writes.push(Buffer.from(text, "latin1"));
  }
  const { bytes } = await exchange(port, writes, { guardMs: 120_000 });
  const answers = parseAnswers(bytes).map(({ body }) => body.toString());
  assert.equal(answers.length, wanted.length);
  return answers.filter((answer, index) => answer !== wanted[index]);
}

for (const driver of driversUnderTest) {
  describe(`async context on ${driver.name}`, { skip: driver.skip }, () => {
    let server: SocketServer;
    afterEach(() => server.close());

    for (const [name, makeHandler] of [
      ["App", appHandler],
      ["fetch", () => fetchHandler],
    ] as const) {
      test(`no request of an ${name} handler sees another one's store, in ${CONNECTIONS * BATCHES * BATCH} pipelined ones`, async () => {
        server = await SocketServer.start(driver, makeHandler());
        const wrong = await Promise.all(
          Array.from({ length: CONNECTIONS }, (_, connection) => visitOften(server.port, connection)),
        );
        assert.deepEqual(wrong.flat(), []);
        assert.equal(store.getStore(), undefined);
      });
    }

    test("each request is an async resource of its own, entered and left in order", async () => {
      const ids: number[] = [];
      const kinds = new Map<number, string>();
      const open: number[] = [];
      const wrong: string[] = [];
      const hook = createHook({
        init: (id, type) => void kinds.set(id, type),
        before: (id) => void (kinds.has(id) && open.push(id)),
        after: (id) => void (kinds.has(id) && open.pop() !== id && wrong.push(`${id} was left out of order`)),
      });
      const app = new App();
      app.get("/", (c) => {
        ids.push(executionAsyncId());
        return c.text("");
      });
      server = await SocketServer.start(driver, app);
      hook.enable();
      await exchange(server.port, [Buffer.from(`${"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(50)}`)], { end: true });
      hook.disable();
      assert.equal(ids.length, 50);
      assert.equal(new Set(ids).size, 50);
      assert.deepEqual(new Set(ids.map((id) => kinds.get(id))), new Set(["RINGLOOM_REQUEST"]));
      assert.deepEqual(wrong, []);
    });

    test("a store bound to the start channel holds for the handler and what it starts, and both channels tell of each request", async () => {
      const bound = new AsyncLocalStorage<RequestMessage>();
      const start = toChannel("ringloom:http.request.start");
      const seen: string[] = [];
      const begun = (message: unknown): void => {
        seen.push(`start ${(message as RequestMessage).request.path}`);
      };
      const finished = (message: unknown): void => {
        const { request, isComplete } = message as RequestMessage;
        seen.push(`finish ${request.method} ${request.statusCode} ${isComplete ? "complete" : "incomplete"}`);
      };
      const answer = async (c: Context) => {
        await nextTurn();
        return c.text(bound.getStore()?.request === c ? "mine" : "not mine", 201);
      };
      server = await SocketServer.start(driver, new App().get("/a", answer).get("/b", answer));
      start.bindStore(bound);
      subscribe("ringloom:http.request.start", begun);
      subscribe("ringloom:http.request.finish", finished);
      try {
        const text = "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        const { bytes } = await exchange(server.port, [Buffer.from(text)]);
        assert.deepEqual(
          parseAnswers(bytes).map(({ body }) => body.toString()),
          ["mine", "mine"],
        );
      } finally {
        start.unbindStore(bound);
        unsubscribe("ringloom:http.request.start", begun);
        unsubscribe("ringloom:http.request.finish", finished);
      }
      assert.deepEqual(seen, ["start /a", "finish GET 201 complete", "start /b", "finish GET 201 complete"]);
    });

    test("a stream that is cancelled because its client went ends in its request's context, and leaves nothing behind", async () => {
      const app = new App();
      const seen: (string | undefined)[] = [];
      const finished = (): void => store.enterWith("of a subscriber");
      app.get("/stream/:id", (c) => {
        store.enterWith(c.param("id"));
        const stream = new ReadableStream<Uint8Array>({
          pull: (controller) => sleep(1).then(() => controller.enqueue(new Uint8Array(8))),
          cancel() {
            seen.push(store.getStore());
            store.enterWith("of a stream");
          },
        });
        return c.stream(stream);
      });
      app.get("/", (c) => c.text(String(store.getStore())));
      server = await SocketServer.start(driver, app);
      subscribe("ringloom:http.request.finish", finished);
      try {
        for (const id of ["one", "two"]) {
          const peer = await Peer.open(server.port);
          peer.socket.write(`GET /stream/${id} HTTP/1.1\r\nHost: a\r\n\r\n`);
          await once(peer.socket, "data");
          peer.socket.resetAndDestroy();
          await server.settle();
          const { bytes } = await exchange(server.port, [Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n")], {
            end: true,
          });
          assert.equal(parseAnswers(bytes)[0]?.body.toString(), "undefined");
        }
      } finally {
        unsubscribe("ringloom:http.request.finish", finished);
      }
      assert.deepEqual(seen, ["one", "two"]);
    });

    test("a listener of an aborted request's signal leaves nothing behind for others", async () => {
      const app = new App();
      let isWaiting = (): void => undefined;
      const aborted: string[] = [];
      app.get("/wait", async (c) => {
        const over = once(c.signal, "abort");
        c.signal.addEventListener("abort", () => {
          aborted.push(String(store.getStore()));
          store.enterWith("of the aborted one");
        });
        isWaiting();
        await over;
        return c.text("");
      });
      app.get("/", (c) => c.text(String(store.getStore())));
      server = await SocketServer.start(driver, app);
      const waiting = [await Peer.open(server.port), await Peer.open(server.port)];
      for (const peer of waiting) {
        const begun = new Promise<void>((resolve) => (isWaiting = resolve));
        peer.socket.write("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
        await begun;
      }
      const probe = exchange(server.port, [Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n")], { end: true });
      for (const peer of waiting) peer.socket.resetAndDestroy();
      const { bytes } = await probe;
      assert.equal(parseAnswers(bytes)[0]?.body.toString(), "undefined");
      await server.settle();
      assert.deepEqual(aborted, ["undefined", "undefined"]);
    });
  });
}
