/** Compressed answers, decoded by what is not ours. */
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import * as zlib from "node:zlib";
import { App, type Server, serve } from "../../src/http/index.js";
import { type CompressOptions, compress, conditional } from "../../src/middleware/index.js";

const TEXT = "compress me, please. ".repeat(500);
const decode: Record<string, (bytes: Buffer) => Buffer> = {
  gzip: (bytes) => zlib.gunzipSync(bytes),
  br: (bytes) => zlib.brotliDecompressSync(bytes),
};
const hasZstd = "zstdCompress" in zlib;

function appWith(options?: CompressOptions): App {
  const app = new App().use(compress(options));
  app.get("/text", (c) => c.text(TEXT));
  app.get("/late", async (c) => c.json({ text: TEXT }));
  app.get("/short", (c) => c.text("short"));
  app.get("/picture", (c) => c.setHeader("content-type", "image/png").body(Buffer.alloc(5000)));
  app.get("/coded", (c) => c.setHeader("content-encoding", "gzip").text(TEXT));
  app.get("/kept", (c) => c.setHeader("cache-control", "public, no-transform").text(TEXT));
  app.get("/tagged", (c) => c.setHeader("etag", '"t"').text(TEXT));
  app.get("/response", () => new Response(TEXT));
  app.get("/empty", (c) => c.empty());
  app.get("/events", (c) => c.sse([{ data: TEXT }]));
  app.get("/stream", (c) => {
    async function* pieces(): AsyncGenerator<string> {
      for (let piece = 0; piece < 20; piece++) yield TEXT;
    }
    return c.stream(pieces(), { contentType: "text/plain", contentLength: TEXT.length * 20 });
  });
  app.get("/reused", (c) => {
    const buffer = Buffer.alloc(100_000);
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for (let piece = 0; piece < 10; piece++) yield buffer.fill(`${piece} is the piece. `);
    }
    return c.stream(pieces(), { contentType: "text/plain" });
  });
  app.get("/broken", (c) => {
    async function* pieces(): AsyncGenerator<string> {
      yield TEXT;
      throw new Error("the source broke");
    }
    return c.stream(pieces(), { contentType: "text/plain" });
  });
  return app;
}

describe("compress()", () => {
  let server: Server;
  before(async () => {
    server = await serve({ port: 0, app: appWith(), log: () => {} });
  });
  after(() => server.close());

  async function get(path: string, accepted: string | undefined, method = "GET") {
    const headers = accepted === undefined ? {} : { "accept-encoding": accepted };
    return await new Promise<{ status: number; headers: Record<string, unknown>; body: Buffer }>((resolve, reject) => {
      const request = httpRequest(new URL(path, server.url), { method, headers }, (response) => {
        buffer(response).then(
          (body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
          reject,
        );
      });
      request.on("error", reject).end();
    });
  }

  test("compresses text of every kind of answer, in the coding that was accepted", async () => {
    for (const path of ["/text", "/late", "/response", "/stream", "/reused"]) {
      const plain = await get(path, undefined);
      assert.equal(plain.headers["content-encoding"], undefined);
      assert.equal(plain.headers.vary, "accept-encoding");
      for (const encoding of ["gzip", "br"]) {
        const { headers, body } = await get(path, encoding);
        assert.equal(headers["content-encoding"], encoding, path);
        assert.equal(headers["content-type"], plain.headers["content-type"]);
        assert.ok(body.length < plain.body.length / 5, `${path}: ${body.length} of ${plain.body.length}`);
        assert.ok(decode[encoding]?.(body).equals(plain.body), `${path} ${encoding}`);
      }
    }
  });

  test("chooses its own favourite among those that the client likes equally, and what it likes best otherwise", async () => {
    for (const [accepted, chosen] of [
      ["gzip, br", "br"],
      ["gzip;q=1, br;q=0.5", "gzip"],
      ["gzip;q=0, br;q=0", undefined],
      ["identity, gzip;q=0.5", undefined],
      ["deflate", undefined],
      ["", undefined],
      ["*", hasZstd ? "zstd" : "br"],
    ] as const)
      assert.equal((await get("/text", accepted)).headers["content-encoding"], chosen, accepted);
  });

  test("leaves alone what is short, compressed, coded, empty, forbidden, or events", async () => {
    for (const path of ["/short", "/picture", "/kept", "/empty", "/events"])
      assert.equal((await get(path, "gzip")).headers["content-encoding"], undefined, path);
    assert.equal((await get("/coded", "gzip")).body.toString(), TEXT);
    const head = await get("/text", "gzip", "HEAD");
    assert.deepEqual([head.headers["content-encoding"], head.headers.vary], [undefined, "accept-encoding"]);
  });

  test("a strong ETag becomes a weak one", async () => {
    assert.equal((await get("/tagged", "gzip")).headers.etag, 'W/"t"');
    assert.equal((await get("/tagged", undefined)).headers.etag, '"t"');
  });

  test("a source that breaks cuts the answer", async () => {
    await assert.rejects(get("/broken", "gzip"));
    assert.equal((await get("/text", "gzip")).status, 200);
  });

  test("leaves the header of a Response as it is without middleware", async () => {
    for (const app of [new App(), new App().use(compress())]) {
      app.get("/", () => new Response(TEXT, { headers: { upgrade: "h2c", "x-own": "1" } }));
      const { status, headers } = await app.request("/");
      assert.deepEqual([status, headers.get("upgrade"), headers.get("x-own")], [200, "h2c", "1"]);
    }
  });

  test("ends a source that breaks, and one that nobody will read", async () => {
    const ended: string[] = [];
    const sourceOf = (name: string): AsyncIterable<string> => ({
      [Symbol.asyncIterator]: () => ({
        async next() {
          if (name === "broken") throw new Error("the source broke");
          return { done: false, value: TEXT };
        },
        async return() {
          ended.push(name);
          return { done: true, value: undefined };
        },
      }),
    });
    const app = new App();
    app.use("/replaced", async (c, next) => {
      await next();
      return c.text("in its place");
    });
    app.use(compress({ encodings: ["gzip"] }));
    for (const name of ["broken", "replaced"])
      app.get(`/${name}`, async (c) => c.stream(sourceOf(name), { contentType: "text/plain" }));
    const headers = { "accept-encoding": "gzip" };
    await assert.rejects(async () => await (await app.request("/broken", { headers })).text());
    assert.equal(await (await app.request("/replaced", { headers })).text(), "in its place");
    for (let turn = 0; ended.length < 2 && turn < 1_000; turn++) await new Promise(setImmediate);
    assert.deepEqual(ended, ["broken", "replaced"]);
  });

  test("zstd is there where Node has it, and refused where not", async (t) => {
    if (!hasZstd) {
      assert.throws(() => compress({ encodings: ["zstd"] }), {
        code: "ERR_RINGLOOM_INVALID_OPTION",
        message: /22\.15/,
      });
      t.diagnostic("this Node has no zstd");
      return;
    }
    const { headers, body } = await get("/text", "zstd");
    assert.equal(headers["content-encoding"], "zstd");
    const { zstdDecompressSync } = zlib as unknown as { zstdDecompressSync: (bytes: Buffer) => Buffer };
    assert.equal(zstdDecompressSync(body).toString(), TEXT);
  });

  test("refuses options that it does not have", () => {
    assert.throws(() => compress({ encodings: ["deflate" as "gzip"] }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    assert.throws(() => compress({ bytesMin: 1.5 }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    assert.throws(() => compress({ level: 3 } as object), { code: "ERR_RINGLOOM_INVALID_OPTION" });
  });

  test("inside conditional(), the tag is that of the compressed bytes", async () => {
    const app = new App().use(conditional(), compress({ encodings: ["gzip"] }));
    app.get("/", (c) => c.text(TEXT));
    const headers = { "accept-encoding": "gzip" };
    const etag = (await app.request("/", { headers })).headers.get("etag") ?? "";
    const again = await app.request("/", { headers: { ...headers, "if-none-match": etag } });
    assert.deepEqual([again.status, again.headers.get("content-encoding")], [304, null]);
    const plain = await app.request("/", { headers: { "if-none-match": etag, "accept-encoding": "identity" } });
    assert.equal(plain.status, 200);
  });
});
