/** Streaming bodies over real connections: backpressure both ways, ends that come too early, and nothing left over. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { after, afterEach, before, describe, test } from "node:test";
import { App, type Context } from "../../src/http/index.js";
import type { RequestBody } from "../../src/http/request-body.js";
import { type DriverUnderTest, driversUnderTest } from "../support/drivers.js";
import { Peer } from "../support/peer.js";
import { turns } from "../support/signal.js";
import { SocketServer } from "../support/test-server.js";

const KIB = 1024;
const MIB = 1024 * 1024;
/** More than the kernel buffers on both sides of a loopback connection, together with ours, can hold. */
const ENDLESS_BYTES = 256 * MIB;

type Handler = (c: Context) => unknown;

for (const driver of driversUnderTest) {
  describe(`body streams on the ${driver.name} driver`, { skip: driver.skip }, () => {
    let server: SocketServer;
    let handler: Handler;

    before(async () => {
      server = await start(driver, (c) => handler(c));
    });
    afterEach(async () => {
      await server.settle();
      assert.equal(server.leftover(), undefined);
    });
    after(() => server.close());

    function upload(
      chunks: Iterable<Uint8Array>,
      headers: Record<string, string> = {},
    ): Promise<{ status: number; body: Buffer }> {
      return new Promise((resolve, reject) => {
        const client = httpRequest(
          { host: "127.0.0.1", port: server.port, method: "POST", headers, agent: false },
          (answer) => {
            buffer(answer).then((body) => resolve({ status: answer.statusCode ?? 0, body }), reject);
          },
        );
        client.on("error", reject);
        Readable.from(chunks).pipe(client);
      });
    }

    test("a slow reader stops the client, and gets every byte in the end", async () => {
      const arrived = deferred<RequestBody>();
      const release = deferred<void>();
      handler = async (c) => {
        arrived.resolve(c.request);
        await release.promise;
        const hash = createHash("sha256");
        for await (const chunk of c.request) hash.update(chunk);
        return c.text(hash.digest("hex"));
      };
      const sent = noise(32 * MIB);
      const answer = upload(pieces(sent, 64 * KIB));
      const body = await arrived.promise;
      await until(() => body.receivedBytes >= 64 * KIB);
      await turns(200);
      assert.ok(body.receivedBytes < MIB, `${body.receivedBytes} bytes were taken from a client that should wait`);
      release.resolve();
      const { body: text } = await answer;
      assert.equal(text.toString(), sha256(sent));
    });

    test("a request body is sent back as it comes, by every way to name it", async () => {
      const sent = noise(3 * MIB);
      const ways: Handler[] = [
        (c) => c.stream(c.request),
        (c) => c.stream(c.request.stream()),
        (c) => c.stream(c.request, { contentLength: sent.length }),
        (c) => c.stream(Readable.from(c.request)),
        (c) => c.stream(c.request.stream().pipeThrough(new TransformStream())),
        (c) => new Response(c.request.stream()),
      ];
      for (const [index, way] of ways.entries()) {
        handler = way;
        for (const headers of [{}, { "content-length": String(sent.length) }]) {
          const { status, body } = await upload(pieces(sent, 100_000), headers);
          assert.equal(status, 200);
          assert.ok(body.equals(sent), `way ${index}`);
        }
      }
    });

    test("a client that does not read stops the source, and its going cancels it", async () => {
      let producedBytes = 0;
      const returned = deferred<void>();
      async function* source() {
        const chunk = new Uint8Array(64 * KIB);
        try {
          while (producedBytes < ENDLESS_BYTES) {
            producedBytes += chunk.length;
            yield chunk;
          }
        } finally {
          returned.resolve();
        }
      }
      handler = (c) => c.stream(source());
      const peer = await Peer.open(server.port);
      peer.socket.pause();
      peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      await until(() => producedBytes > 0);
      await untilStill(() => producedBytes);
      assert.ok(
        producedBytes < ENDLESS_BYTES / 4,
        `${producedBytes} bytes were produced for a client that reads nothing`,
      );
      peer.socket.resetAndDestroy();
      await returned.promise;
    });

    test("a web stream and a Node stream are cancelled when the client goes", async () => {
      const cancelled = deferred<void>();
      const readable = new Readable({ read() {} });
      const destroyed = new Promise((resolve) => readable.once("close", resolve));
      const sources: [() => ReadableStream | Readable, Promise<unknown>][] = [
        [() => new ReadableStream({ cancel: () => cancelled.resolve() }), cancelled.promise],
        [() => readable, destroyed],
      ];
      for (const [source, gone] of sources) {
        handler = (c) => c.stream(source());
        const peer = await Peer.open(server.port);
        peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        await peer.signal.until("the head of the answer", () => peer.text.includes("\r\n\r\n"));
        peer.socket.resetAndDestroy();
        await gone;
      }
    });

    test("a source that fails after the head leaves a chunked body without its end, and is counted", async () => {
      for (const options of [{}, { contentLength: 1000 }]) {
        handler = (c) =>
          c.stream(
            (async function* () {
              yield "part";
              await turns(2);
              throw new Error("source is broken");
            })(),
            options,
          );
        const before = server.stats.responseStreamErrors;
        const { error, text } = await download(server.port);
        assert.equal((error as NodeJS.ErrnoException | undefined)?.code, "ECONNRESET");
        assert.ok(text === "part" || text === "", "nothing but what was sent arrives");
        assert.equal(server.stats.responseStreamErrors, before + 1);
      }
    });

    test("a source of another length than announced never reaches the next answer", async () => {
      for (const chunk of ["short", "much too long"]) {
        handler = (c) => c.stream([chunk], { contentLength: 8 });
        const { error } = await download(server.port);
        assert.ok(error instanceof Error);
      }
    });

    test("a client that goes in the middle of its upload rejects the reader", async () => {
      const readers: ((body: RequestBody) => Promise<unknown>)[] = [
        (body) => body.bytes(),
        (body) => body.text(),
        async (body) => {
          for await (const _ of body);
        },
        async (body) => {
          for await (const _ of body.stream());
        },
      ];
      for (const read of readers) {
        const started = deferred<void>();
        const failed = deferred<unknown>();
        handler = async (c) => {
          started.resolve();
          await read(c.request).catch(failed.resolve);
          return c.text("too late");
        };
        const peer = await Peer.open(server.port);
        peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\nbeginning");
        await started.promise;
        peer.socket.resetAndDestroy();
        assert.equal(((await failed.promise) as { code?: string }).code, "ERR_RINGLOOM_ABORTED");
      }
    });

    test("100 Continue is sent when the body is first read, and not to who never reads", async () => {
      const release = deferred<void>();
      handler = async (c) => {
        if (c.path === "/refuse") return c.text("no", 403);
        await release.promise;
        return c.text(await c.request.text());
      };
      const head = (path: string) =>
        `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n`;
      const peer = await Peer.open(server.port);
      peer.send(head("/take"));
      await turns(20);
      assert.equal(peer.receivedBytes, 0);
      release.resolve();
      await peer.signal.until("100 Continue", () => peer.text === "HTTP/1.1 100 Continue\r\n\r\n");
      peer.send("body");
      await peer.signal.until("the answer", () => peer.text.endsWith("body"));
      peer.socket.destroy();

      const refused = await Peer.open(server.port);
      refused.send(head("/refuse"));
      await refused.signal.until("the answer", () => refused.text.endsWith("no"));
      assert.match(refused.text, /^HTTP\/1\.1 403 /);
      refused.socket.destroy();
    });

    test("trailers arrive with the end of a chunked body, and leave with one", async () => {
      handler = async (c) => {
        const text = await c.request.text();
        return c.stream([text], { trailers: () => ({ "x-back": c.trailers["x-sum"] ?? "" }) });
      };
      const peer = await Peer.open(server.port);
      peer.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
      peer.send("3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n");
      await peer.signal.until("the trailers", () => /\r\n0\r\nx-back: 6\r\n\r\n$/i.test(peer.text));
      assert.match(peer.text, /\r\n3\r\nabc\r\n/);
      peer.socket.destroy();
    });

    test("a small body that nobody read is dropped, and the connection goes on", async () => {
      handler = (c) => c.text(`answer ${c.path}`);
      const peer = await Peer.open(server.port);
      peer.send(
        "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789GET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
      );
      await peer.signal.until("two answers", () => peer.text.includes("answer /2"));
      peer.socket.destroy();
    });

    test("large bodies give their places back, whatever becomes of them", async () => {
      handler = async (c) => c.text(String((await c.request.bytes()).length));
      const sent = noise(200_000);
      const answers = await Promise.all(Array.from({ length: 8 }, () => upload(pieces(sent, 30_000))));
      for (const { body } of answers) assert.equal(body.toString(), "200000");
      assert.equal(server.stats.largeBodiesNow, 0);
    });

    test("a body arrives whole however it is cut", async () => {
      handler = async (c) => c.text(await c.request.text());
      const whole =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n world!\r\n0\r\n\r\n";
      for (let cut = 1; cut < whole.length; cut++) {
        const peer = await Peer.open(server.port);
        peer.send(whole.slice(0, cut));
        await turns(1);
        peer.send(whole.slice(cut));
        await peer.signal.until("the answer", () => peer.text.endsWith("hello world!"));
        peer.socket.destroy();
      }
    });
  });
}

async function start(driver: DriverUnderTest, handle: Handler): Promise<SocketServer> {
  const app = new App();
  app.all("/*", (c) => handle(c as unknown as Context) as ReturnType<Context["text"]>);
  return SocketServer.start(driver, app);
}

interface Downloaded {
  readonly text: string;
  readonly error: unknown;
}

/** One GET: what arrived, and how it failed. */
function download(port: number): Promise<Downloaded> {
  return new Promise((resolve) => {
    let text = "";
    const client = httpRequest({ host: "127.0.0.1", port, agent: false }, (answer: IncomingMessage) => {
      answer.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      answer.on("end", () => resolve({ text, error: answer.complete ? undefined : new Error("incomplete") }));
      answer.on("error", (error) => resolve({ text, error }));
    });
    client.on("error", (error) => resolve({ text, error }));
    client.end();
  });
}

/** Looks once a turn until `holds` does. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turns(1);
}

/** Waits until a count has not moved for many turns of the event loop. */
async function untilStill(count: () => number): Promise<void> {
  for (let before = -1; before !== count(); ) {
    before = count();
    await turns(500);
  }
}

function* pieces(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Bytes without a pattern that a mixed-up order could hide in. */
function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = 1;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[index] = state >>> 16;
  }
  return bytes;
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function deferred<Value>(): { promise: Promise<Value>; resolve: (value: Value) => void } {
  let resolve: (value: Value) => void = () => {};
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
