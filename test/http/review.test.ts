/** Defects that a review found, over real sockets on each driver. */
import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { App, type FetchHandler } from "../../src/http/index.js";
import type { RequestBody } from "../../src/http/request-body.js";
import { driversUnderTest } from "../support/drivers.js";
import { exchange, headerOf, parseAnswers, saysClose, type WireAnswer } from "../support/http-wire.js";
import { Peer } from "../support/peer.js";
import { MemoryServer, type ServerSetup, SocketServer } from "../support/test-server.js";

const KIB = 1024;
/** Timeouts that a test waits for. They decide how long it takes, and nothing else. */
const SHORT_MS = 60;
/** For what must not time out while a test runs. */
const LONG_MS = 600_000;
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

function request(method: string, path: string, headers = "", body = ""): string {
  return `${method} ${path} HTTP/1.1\r\nHost: a\r\n${headers}\r\n${body}`;
}

function bodiesOf(answers: readonly WireAnswer[]): string[] {
  return answers.map(({ body }) => body.toString());
}

for (const driver of driversUnderTest) {
  describe(`reviewed defects on ${driver.name}`, { skip: driver.skip }, () => {
    let server: SocketServer;
    const peers: Peer[] = [];

    async function start(app: App | FetchHandler, setup: ServerSetup = {}): Promise<void> {
      server = await SocketServer.start(driver, app, setup);
    }

    async function send(text: string, isHead: (index: number) => boolean = () => false): Promise<WireAnswer[]> {
      const { bytes } = await exchange(server.port, [Buffer.from(text, "latin1")]);
      return parseAnswers(bytes, isHead);
    }

    async function open(): Promise<Peer> {
      const peer = await Peer.open(server.port);
      peers.push(peer);
      return peer;
    }

    test("a connection whose request was answered before its body came is idle after the body", async () => {
      await start(
        new App().post("/", (c) => c.text("early")),
        { limits: { bodyTimeoutMs: 0, idleTimeoutMs: SHORT_MS } },
      );
      const peer = await open();
      peer.socket.write(request("POST", "/", "Content-Length: 4\r\n"));
      await peer.received(1);
      peer.socket.write("body");
      // The idle timeout ends it; without one this waits for ever.
      await peer.ended();
    });

    afterEach(async () => {
      for (const peer of peers.splice(0)) peer.socket.destroy();
      await server.settle();
      const leftover = server.leftover();
      await server.close();
      assert.equal(leftover, undefined);
    });

    test("a Response of the platform that a handler returns at once keeps its place among pipelined answers", async () => {
      const app = new App();
      app.get("/whole", () => new Response("first"));
      app.get("/stream", () => new Response(ReadableStream.from([Buffer.from("sec"), Buffer.from("ond")])));
      app.get("/slow", () => new Response(ReadableStream.from(slowly("third"))));
      app.get("/text", (c) => c.text("text"));
      await start(app);
      const answers = await send(
        request("GET", "/whole") +
          request("GET", "/text") +
          request("GET", "/stream") +
          request("GET", "/text") +
          request("GET", "/slow") +
          request("GET", "/text", "Connection: close\r\n"),
      );
      assert.deepEqual(bodiesOf(answers), ["first", "text", "second", "text", "third", "text"]);
      assert.equal(server.stats.lateAnswers, 0);
    });

    test("HEAD on a source that cannot be read is answered 500, as GET is, and the server goes on", async () => {
      const app = new App();
      const broken = {
        [Symbol.iterator](): Iterator<string> {
          throw new Error("secret");
        },
      };
      app.get("/broken", (c) => c.stream(broken));
      app.get("/text", (c) => c.text("text"));
      await start(app);
      const answers = await send(
        request("HEAD", "/broken") + request("GET", "/broken") + request("GET", "/text", "Connection: close\r\n"),
        (index) => index === 0,
      );
      assert.deepEqual(
        answers.map(({ status }) => status),
        [500, 500, 200],
      );
    });

    for (const end of ["destroy", "return"]) {
      test(`HEAD on a source whose ${end}() throws is answered, and the server goes on`, async () => {
        const fail = (): never => {
          throw new Error("secret");
        };
        const app = new App();
        app.get("/broken", (c) =>
          c.stream({
            [Symbol.iterator]: () => ({ next: () => ({ done: true, value: undefined }), return: fail }),
            ...(end === "destroy" ? { destroy: fail } : {}),
          } as Iterable<string>),
        );
        app.get("/text", (c) => c.text("text"));
        await start(app);
        const answers = await send(
          request("HEAD", "/broken") + request("GET", "/text", "Connection: close\r\n"),
          (index) => index === 0,
        );
        assert.deepEqual(
          answers.map(({ status }) => status),
          [200, 200],
        );
      });
    }

    test("a handler that neither reads a large body nor answers is answered 503 after handlerTimeoutMs", async () => {
      const app = new App();
      app.post("/", () => new Promise<never>(() => undefined));
      await start(app, { limits: { handlerTimeoutMs: SHORT_MS, bodyTimeoutMs: LONG_MS } });
      const peer = await open();
      peer.send(request("POST", "/", `Content-Length: ${300 * KIB}\r\n`, "x".repeat(100 * KIB)));
      await peer.ended();
      assert.match(peer.text, /^HTTP\/1\.1 503 /);
      assert.equal(server.stats.handlerTimeouts, 1);
    });

    test("a reader that is abandoned when the answer is complete gives its connection up after bodyTimeoutMs", async () => {
      const app = new App();
      const readers: unknown[] = [];
      app.post("/", async (c) => {
        const reader = c.request.stream().getReader();
        readers.push(reader);
        await reader.read();
        return c.text("enough");
      });
      await start(app, { limits: { bodyTimeoutMs: SHORT_MS } });
      const peer = await open();
      peer.send(request("POST", "/", `Content-Length: ${3000 * KIB}\r\n`, "x".repeat(2000 * KIB)));
      await peer.signal.until("the connection to end", () => peer.hasEnded || peer.isClosed);
      assert.equal(parseAnswers(peer.bytes).length, 1);
      assert.equal(server.stats.bodyTimeouts, 1);
    });

    const echoes: Record<string, App | FetchHandler> = {
      "c.stream(c.request)": new App().post("/", (c) => c.stream(c.request)),
      "c.stream(c.request.stream())": new App().post("/", (c) => c.stream(c.request.stream())),
      "new Response(request.body)": { fetch: (incoming) => new Response(incoming.body) },
    };
    for (const [name, app] of Object.entries(echoes)) {
      test(`${name} asks for the body with 100 Continue, and the connection goes on`, async () => {
        await start(app);
        const peer = await open();
        peer.send(request("POST", "/", "Content-Length: 4\r\nExpect: 100-continue\r\n"));
        await peer.received(CONTINUE.length);
        assert.equal(peer.text.startsWith(CONTINUE), true);
        peer.send("body");
        await peer.signal.until("the end of the answer", () => /0\r\n\r\n$/.test(peer.text));
        peer.send(request("POST", "/", "Connection: close\r\nContent-Length: 4\r\n", "more"));
        await peer.ended();
        const answers = parseAnswers(peer.bytes);
        assert.deepEqual(bodiesOf(answers), ["", "body", "more"]);
        assert.deepEqual(answers.slice(1).map(saysClose), [false, true]);
      });

      test(`${name} of a body that is longer than what may be dropped keeps the connection`, async () => {
        await start(app, { limits: { bodyDiscardBytesMax: KIB } });
        const body = "x".repeat(300 * KIB);
        const answers = await send(
          request("POST", "/", `Content-Length: ${body.length}\r\n`, body) +
            request("POST", "/", "Connection: close\r\nContent-Length: 4\r\n", "more"),
        );
        assert.deepEqual(bodiesOf(answers), [body, "more"]);
      });
    }

    test("a client that waits for 100 Continue is answered 503 after handlerTimeoutMs when the handler does nothing", async () => {
      const app = new App();
      app.post("/", () => new Promise<never>(() => undefined));
      await start(app, { limits: { handlerTimeoutMs: SHORT_MS, bodyTimeoutMs: LONG_MS } });
      const answers = await send(request("POST", "/", "Content-Length: 4\r\nExpect: 100-continue\r\n"));
      assert.deepEqual(
        answers.map(({ status }) => status),
        [503],
      );
      assert.equal(server.stats.handlerTimeouts, 1);
    });

    test("a client that was told 100 Continue and sends nothing is answered 408 after bodyTimeoutMs", async () => {
      const app = new App();
      app.post("/", async (c) => c.text(await c.request.text()));
      await start(app, { limits: { handlerTimeoutMs: LONG_MS, bodyTimeoutMs: SHORT_MS } });
      const answers = await send(request("POST", "/", "Content-Length: 4\r\nExpect: 100-continue\r\n"));
      assert.deepEqual(
        answers.map(({ status }) => status),
        [100, 408],
      );
    });

    test("a body that is first read behind the head of its answer times out after bodyTimeoutMs", async () => {
      let body: RequestBody | undefined;
      const app = new App();
      app.post("/", (c) => {
        body = c.request;
        return c.stream(later(() => body));
      });
      await start(app, { limits: { bodyTimeoutMs: SHORT_MS } });
      const peer = await open();
      peer.send(request("POST", "/", "Content-Length: 4\r\nExpect: 100-continue\r\n"));
      await peer.signal.until("the connection to end", () => peer.hasEnded || peer.isClosed);
      assert.equal(server.stats.bodyTimeouts, 1);
    });

    test("the answer to a failure has nothing of the answer that failed", async () => {
      const app = new App();
      app.get("/", (c) => {
        c.setHeader("connection", "close").setHeader("content-length", "77");
        c.stream(["x"], { contentLength: 55, trailers: () => ({ "x-sum": "1" }) });
        throw new Error("secret");
      });
      app.get("/replaced", (c) => {
        c.stream(["x"], { contentLength: 55 });
        return c.stream(["whole"]);
      });
      app.onError((_error, c) => c.stream(["failed"]));
      await start(app);
      const answers = await send(request("GET", "/") + request("GET", "/replaced", "Connection: close\r\n"));
      assert.deepEqual(bodiesOf(answers), ["failed", "whole"]);
      assert.deepEqual(answers.map(saysClose), [false, true]);
      assert.deepEqual(answers[0]?.trailers, []);
      assert.equal(answers[0] === undefined ? "" : headerOf(answers[0], "content-length"), undefined);
    });

    for (const name of ["Content-Length", "Transfer-Encoding", "Host", "Connection", "Trailer", "TE", "Content-Type"]) {
      test(`${name} is not sent as a trailer: the answer is cut`, async () => {
        const app = new App();
        app.get("/", (c) => c.stream(["x"], { trailers: () => ({ [name]: "1" }) }));
        await start(app);
        const { bytes } = await exchange(server.port, [Buffer.from(request("GET", "/"), "latin1")]);
        assert.equal(bytes.includes("0\r\n"), false);
        assert.equal(server.stats.responseStreamErrors, 1);
        assert.match(String(server.log[0]?.error), /Cannot send trailers/);
      });
    }

    for (const how of ["drain", "close"] as const) {
      test(`HttpServer.listen() that a ${how}() overtakes rejects, and nobody listens`, async () => {
        await start(new App());
        const listening = server.server.listen({ host: "127.0.0.1", port: 0, backlog: 1, reusePort: false });
        const rejected = assert.rejects(listening, { code: "ERR_RINGLOOM_CLOSED" });
        await server.server[how]();
        await rejected;
        assert.equal(server.stats.connectionsNow, 0);
      });
    }
  });
}

test("a connection has nothing of a chunked body that the one before it in its slot left unfinished", async () => {
  const app = new App();
  app.post("/", async (c) => c.text(await c.request.text()));
  app.get("/", async (c) => c.text(await Promise.resolve("fine")));
  const server = await MemoryServer.start(app, {
    inSlab: true,
    sizes: { connectionsMax: 1 },
    limits: { headerBytesMax: 10 * KIB },
  });
  const first = server.open();
  first.send(Buffer.from(request("POST", "/", "Transfer-Encoding: chunked\r\n", `5;${"x".repeat(9 * KIB)}\r\nhel`)));
  await server.settle();
  first.reset();
  await server.settle();
  const second = server.open();
  assert.equal(second.slot, first.slot);
  // Together with the framing of the first body, more than any body may have.
  second.send(Buffer.from(request("GET", "/", `X-Long: ${"x".repeat(3 * KIB)}\r\n`)));
  await server.settle();
  second.send(Buffer.from(request("GET", "/", `X-Long: ${"x".repeat(3 * KIB)}\r\n`)));
  second.end();
  await server.settle();
  assert.deepEqual(
    parseAnswers(second.bytes).map(({ status }) => status),
    [200, 200],
  );
  await server.close();
});

async function* slowly(text: string): AsyncGenerator<Uint8Array> {
  for (const character of text) {
    await new Promise((resolve) => setImmediate(resolve));
    yield Buffer.from(character);
  }
}

async function* later(body: () => RequestBody | undefined): AsyncGenerator<Uint8Array> {
  yield Buffer.from("begun");
  const bytes = await body()?.bytes();
  if (bytes !== undefined) yield bytes;
}
