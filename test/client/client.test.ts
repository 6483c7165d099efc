/** Requests and responses against servers that behave: node:http and our own. `RINGLOOM_DRIVER` says which driver the client runs on. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { App, serve } from "../../src/http/index.js";
import { rejection, until, withClient, withHttpServer } from "./client-rig.js";

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

describe("request()", () => {
  test("sends method, path, fields and body, and reads status, fields and body", async () => {
    await withHttpServer(
      async (request, response) => {
        const body = await bodyOf(request);
        response.setHeader("set-cookie", ["a=1", "b=2"]);
        response.writeHead(201, "Made", { "x-seen": "yes", "content-type": "application/json" });
        response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body }));
      },
      async (url) => {
        await withClient({}, async (client) => {
          const response = await client.request(`${url}/a%20b?c=d#e`, {
            method: "post",
            headers: { "X-One": "1", "x-list": ["a", "b"], "x-none": undefined, "x-number": 7 },
            body: "grüß",
          });
          assert.equal(response.status, 201);
          assert.equal(response.statusText, "Made");
          assert.equal(response.headers.get("X-Seen"), "yes");
          assert.deepEqual(response.headers.getSetCookie(), ["a=1", "b=2"]);
          assert.equal(response.url, `${url}/a%20b?c=d`);
          const seen = await response.json<{
            method: string;
            url: string;
            body: string;
            headers: Record<string, string>;
          }>();
          assert.equal(seen.method, "POST");
          assert.equal(seen.url, "/a%20b?c=d");
          assert.equal(seen.body, "grüß");
          assert.equal(seen.headers["content-length"], "6");
          assert.equal(seen.headers["x-list"], "a, b");
          assert.equal(seen.headers["x-number"], "7");
          assert.equal(seen.headers["user-agent"], "ringloom");
          assert.equal(seen.headers.host, new URL(url).host);
          assert.ok(!("x-none" in seen.headers) && !("transfer-encoding" in seen.headers));
        });
      },
    );
  });

  test("sends json, form fields and bytes with their lengths, and none without a body", async () => {
    await withHttpServer(
      async (request, response) => {
        const body = await bodyOf(request);
        const { "content-type": type, "content-length": length } = request.headers;
        response.end(`${request.method} ${type} ${length} ${body}`);
      },
      async (url) => {
        await withClient({}, async (client) => {
          const text = async (options: Parameters<typeof client.request>[1]) =>
            (await client.request(url, options)).text();
          assert.equal(await text({ method: "PUT", json: { a: 1 } }), 'PUT application/json 7 {"a":1}');
          assert.equal(
            await text({ method: "POST", body: new URLSearchParams({ a: "b c" }) }),
            "POST application/x-www-form-urlencoded;charset=UTF-8 5 a=b+c",
          );
          assert.equal(await text({ method: "POST", body: new Uint8Array([104, 105]) }), "POST undefined 2 hi");
          assert.equal(await text({ method: "POST" }), "POST undefined 0 ");
          assert.equal(await text({}), "GET undefined undefined ");
          assert.equal(await text({ method: "DELETE" }), "DELETE undefined undefined ");
        });
      },
    );
  });

  test("keeps one connection for requests that follow each other, and opens no more than it may", async () => {
    let connections = 0;
    await withHttpServer(
      (_request, response) => void setImmediate(() => response.end("ok")),
      async (url, server) => {
        server.on("connection", () => connections++);
        await withClient({ connectionsMax: 3 }, async (client) => {
          for (let index = 0; index < 5; index++) assert.equal(await (await client.request(url)).text(), "ok");
          assert.equal(connections, 1);
          const many = Array.from({ length: 40 }, async () => (await client.request(url)).text());
          assert.ok(client.stats.pending > 0);
          assert.deepEqual(new Set(await Promise.all(many)), new Set(["ok"]));
          assert.equal(connections, 3);
          assert.deepEqual(
            { ...client.stats },
            { open: 3, idle: 3, connecting: 0, pending: 0, running: 0, requests: 45, errors: 0 },
          );
        });
      },
    );
  });

  test("HEAD, 204 and 304 have no body, and leave the connection usable", async () => {
    await withHttpServer(
      (request, response) => {
        if (request.url === "/204") response.writeHead(204);
        else if (request.url === "/304") response.writeHead(304, { etag: '"x"' });
        else response.writeHead(200, { "content-length": "5" });
        response.end(request.url === "/" && request.method === "GET" ? "hello" : undefined);
      },
      async (url, server) => {
        let connections = 0;
        server.on("connection", () => connections++);
        await withClient({}, async (client) => {
          const head = await client.request(url, { method: "HEAD" });
          assert.equal(head.headers.get("content-length"), "5");
          assert.equal(await head.text(), "");
          assert.equal(await (await client.request(`${url}/204`)).text(), "");
          assert.equal(await (await client.request(`${url}/304`)).text(), "");
          assert.equal(await (await client.request(url)).text(), "hello");
          assert.equal(connections, 1);
        });
      },
    );
  });

  test("streams both ways at once, with trailers", async () => {
    await withHttpServer(
      (request, response) => {
        response.writeHead(200, { trailer: "x-sum" });
        request.on("data", (chunk) => response.write(chunk));
        request.on("end", () => {
          response.addTrailers({ "x-sum": "42" });
          response.end();
        });
      },
      async (url) => {
        await withClient({}, async (client) => {
          const size = 3_000_000;
          async function* source() {
            for (let sent = 0; sent < size; sent += 50_000) yield Buffer.alloc(50_000, sent / 50_000);
          }
          const response = await client.request(`${url}/echo`, { method: "POST", body: source() });
          let length = 0;
          for await (const chunk of response.body) {
            for (const byte of [chunk[0], chunk.at(-1)]) assert.ok(byte !== undefined && byte <= 60);
            length += chunk.length;
          }
          assert.equal(length, size);
          assert.equal(response.trailers.get("x-sum"), "42");
          assert.equal(client.stats.idle, 1);
        });
      },
    );
  });

  test("asks our own server, which proxies by it", async () => {
    await withHttpServer(
      (_request, response) => response.end(Buffer.alloc(500_000, "x")),
      async (url) => {
        await withClient({}, async (client) => {
          const app = new App();
          app.get("/small", (c) => c.text("small"));
          app.get("/proxied", async (c) => c.stream((await client.request(url)).body));
          app.post("/length", async (c) => c.text(String((await c.bytes()).length)));
          const server = await serve({ app, port: 0, host: "127.0.0.1" });
          try {
            const own = `http://127.0.0.1:${server.port}`;
            assert.equal(await (await client.request(`${own}/small`)).text(), "small");
            assert.equal((await (await client.request(`${own}/proxied`)).bytes()).length, 500_000);
            const body = Readable.from([Buffer.alloc(200_000), Buffer.alloc(100_000)]);
            const length = await client.request(`${own}/length`, { method: "POST", body });
            assert.equal(await length.text(), "300000");
          } finally {
            await server.close();
          }
        });
      },
    );
  });

  test("a stream with a content-length is sent with it, and must keep it", async () => {
    await withHttpServer(
      async (request, response) => {
        const { "content-length": length, "transfer-encoding": coding } = request.headers;
        request.on("error", () => {});
        response.end(`${length} ${coding} ${(await bodyOf(request).catch(() => "")).length}`);
      },
      async (url) => {
        await withClient({}, async (client) => {
          const headers = { "content-length": "6" };
          const whole = await client.request(url, { method: "PUT", headers, body: Readable.from(["abc", "def"]) });
          assert.equal(await whole.text(), "6 undefined 6");
          for (const pieces of [["abc"], ["abc", "defg"]]) {
            const error = await rejection(client.request(url, { method: "PUT", headers, body: pieces }));
            assert.equal(error.code, "ERR_RINGLOOM_BODY_LENGTH");
          }
          await assert.rejects(client.request(url, { method: "PUT", headers, body: "abc" }), TypeError);
        });
      },
    );
  });

  test("a source that fails fails its request, and one whose request ends early is ended", async () => {
    await withHttpServer(
      (request, response) => {
        request.on("error", () => {});
        if (request.url === "/early") response.writeHead(413).end("no");
      },
      async (url) => {
        await withClient({}, async (client) => {
          async function* failing() {
            yield "one";
            throw new Error("no more");
          }
          await assert.rejects(client.request(url, { method: "POST", body: failing() }), /no more/);
          let ended = false;
          async function* endless() {
            try {
              for (;;) {
                yield Buffer.alloc(1_000);
                await new Promise((resolve) => setImmediate(resolve));
              }
            } finally {
              ended = true;
            }
          }
          const response = await client.request(`${url}/early`, { method: "POST", body: endless() });
          assert.equal(response.status, 413);
          assert.equal(await response.text(), "no");
          await until("the source to be ended", () => ended);
          assert.equal(client.stats.open, 0);
        });
      },
    );
  });

  test("a source of a request that never gets a connection is ended, too", async () => {
    await withClient({ connectAttemptsMax: 1 }, async (client) => {
      const source = new Readable({ read() {} });
      const error = await rejection(client.request("http://127.0.0.1:1/", { method: "POST", body: source }));
      assert.equal(error.code, "ECONNREFUSED");
      await until("the source to be destroyed", () => source.destroyed);
    });
  });

  test("unpacks gzip, br and both kinds of deflate, whole and in pieces, within a bound", async () => {
    const text = "packed ".repeat(20_000);
    const packed: Record<string, Buffer> = {
      gzip: gzipSync(text),
      br: brotliCompressSync(text),
      deflate: deflateSync(text),
      "deflate, gzip": gzipSync(deflateRawSync(text)),
    };
    await withHttpServer(
      (request, response) => {
        const coding = decodeURIComponent(request.url?.slice(1) ?? "");
        response.setHeader("x-accepted", request.headers["accept-encoding"] ?? "");
        if (coding === "cut") {
          response.setHeader("content-encoding", "gzip");
          return void response.end(packed.gzip?.subarray(0, 50));
        }
        if (coding === "empty") {
          response.setHeader("content-encoding", "gzip");
          return void response.end();
        }
        response.setHeader("content-encoding", coding);
        response.end(packed[coding] ?? "as it is");
      },
      async (url) => {
        await withClient({}, async (client) => {
          for (const coding of Object.keys(packed)) {
            const target = `${url}/${encodeURIComponent(coding)}`;
            const whole = await client.request(target);
            assert.equal(whole.headers.get("x-accepted"), "gzip, deflate, br");
            assert.equal(await whole.text(), text, coding);
            let pieces = "";
            for await (const chunk of (await client.request(target)).body) pieces += chunk.toString();
            assert.equal(pieces, text, coding);
            assert.equal(
              (await rejection((await client.request(target)).text(1_000))).code,
              "ERR_RINGLOOM_BODY_TOO_LARGE",
            );
          }
          const raw = await client.request(`${url}/gzip`, { decompress: false });
          assert.equal(raw.headers.get("x-accepted"), "");
          assert.deepEqual(await raw.bytes(), packed.gzip);
          assert.equal(await (await client.request(`${url}/snappy`)).text(), "as it is");
          assert.equal(await (await client.request(`${url}/empty`)).text(), "");
          assert.equal(
            (await rejection((await client.request(`${url}/cut`)).text())).code,
            "ERR_RINGLOOM_BAD_RESPONSE",
          );
        });
      },
    );
  });

  test("follows redirects by the rules of fetch", async () => {
    const seen: string[] = [];
    await withHttpServer(
      async (request, response) => {
        const body = await bodyOf(request);
        const { authorization = "-", cookie = "-", "content-type": type = "-" } = request.headers;
        seen.push(`${request.method} ${request.url} ${authorization} ${cookie} ${type} ${body}`);
        const [, status, place] = /^\/(\d+)\/(.*)$/.exec(request.url ?? "") ?? [];
        if (status === undefined) response.end("there");
        else response.writeHead(Number(status), { location: decodeURIComponent(place ?? "") }).end("go on");
      },
      async (url) => {
        const other = url.replace("127.0.0.1", "localhost");
        const headers = { authorization: "secret", cookie: "c", "content-type": "text/plain" };
        await withClient({}, async (client) => {
          const post = { method: "POST", headers, body: "b" };
          const response = await client.request(`${url}/302/${encodeURIComponent("/end?1")}`, post);
          assert.equal(await response.text(), "there");
          assert.equal(response.url, `${url}/end?1`);
          assert.equal(response.redirects, 1);
          await client.request(`${url}/307/${encodeURIComponent("/end?2")}`, post);
          await client.request(`${url}/308/${encodeURIComponent(`${other}/end?3`)}`, post);
          await client.request(`${url}/303/${encodeURIComponent("/end?4")}`, { method: "PUT", headers, body: "b" });
          assert.deepEqual(
            seen.filter((line) => line.includes(" /end?")),
            [
              "GET /end?1 secret c - ",
              "POST /end?2 secret c text/plain b",
              "POST /end?3 - - text/plain b",
              "GET /end?4 secret c - ",
            ],
          );
        });
      },
    );
  });
});

describe("redirects", () => {
  test("are bounded, can be refused, and need a body that is still there", async () => {
    await withHttpServer(
      (request, response) => {
        const { pathname, searchParams } = new URL(`http://x${request.url}`);
        request.resume();
        response.writeHead(pathname === "/307" ? 307 : 302, { location: searchParams.get("to") ?? "/" }).end();
      },
      async (url) => {
        await withClient({ redirectsMax: 3 }, async (client) => {
          assert.equal((await rejection(client.request(url))).code, "ERR_RINGLOOM_TOO_MANY_REDIRECTS");
          assert.equal(client.stats.requests, 4);
          const refused = await client.request(url, { redirectsMax: 0 });
          assert.equal(refused.status, 302);
          assert.equal(refused.headers.get("location"), "/");
          const streamed = client.request(`${url}/307`, { method: "POST", body: Readable.from(["x"]) });
          assert.equal((await rejection(streamed)).code, "ERR_RINGLOOM_BODY_USED");
          for (const place of ["ftp://x/", "http://[", "javascript:1"]) {
            const error = await rejection(client.request(`${url}/?to=${encodeURIComponent(place)}`));
            assert.equal(error.code, "ERR_RINGLOOM_BAD_RESPONSE", place);
          }
        });
      },
    );
  });
});

describe("HttpClient", () => {
  test("refuses what is no request before it connects", async () => {
    await withClient({}, async (client) => {
      const url = "http://127.0.0.1:1/";
      const bad: [string, Parameters<typeof client.request>[1]][] = [
        ["nonsense", {}],
        [url, { method: "A B" }],
        [url, { headers: { "a b": "c" } }],
        [url, { headers: { a: "b\r\nc: d" } }],
        [url, { headers: { a: "☃" } }],
        [url, { body: 7 as never }],
        [url, { body: "a", json: 1 }],
        [url, { headers: { "content-length": "x" }, body: Readable.from([]) }],
        [
          url,
          {
            headers: [
              ["host", "a"],
              ["host", "b"],
            ],
          },
        ],
        [url, { signal: {} as AbortSignal }],
      ];
      for (const [target, options] of bad) await assert.rejects(client.request(target, options), TypeError);
      await assert.rejects(client.request(url, { timeouts: { connectMs: -1 } }), RangeError);
      const unsupported: [string, Parameters<typeof client.request>[1]][] = [
        ["ftp://127.0.0.1/", {}],
        [url, { method: "CONNECT" }],
        [url, { headers: { upgrade: "websocket", connection: "upgrade" } }],
        [url, { headers: { expect: "100-continue" } }],
      ];
      for (const [target, options] of unsupported)
        assert.equal((await rejection(client.request(target, options))).code, "ERR_RINGLOOM_UNSUPPORTED");
      assert.equal(client.stats.requests, 0);
    });
  });

  test("close() lets what has begun come to its end, and takes nothing more", async () => {
    let release: (() => void) | undefined;
    await withHttpServer(
      (_request, response) => {
        response.write("a");
        release = () => response.end("b");
      },
      async (url) => {
        await withClient({}, async (client) => {
          const response = await client.request(url);
          let isClosed = false;
          const closing = client.close().then(() => {
            isClosed = true;
          });
          assert.equal((await rejection(client.request(url))).code, "ERR_RINGLOOM_CLOSED");
          assert.equal((await rejection(client.close({ timeoutMs: 5 }))).code, "ERR_RINGLOOM_TIMEOUT");
          assert.equal(isClosed, false);
          release?.();
          assert.equal(await response.text(), "ab");
          await closing;
        });
      },
    );
  });

  test("destroy() ends what has begun, and what waits", async () => {
    await withHttpServer(
      (_request, response) => void response.write("a"),
      async (url) => {
        await withClient({ connectionsMax: 1 }, async (client) => {
          const response = await client.request(url);
          const waiting = client.request(url);
          client.destroy();
          assert.equal((await rejection(waiting)).code, "ERR_RINGLOOM_CLOSED");
          assert.equal((await rejection(response.text())).code, "ERR_RINGLOOM_CLOSED");
        });
      },
    );
  });

  test("reads a body once", async () => {
    await withHttpServer(
      (_request, response) => response.end("once"),
      async (url) => {
        await withClient({}, async (client) => {
          const response = await client.request(url);
          assert.equal((await response.body.read())?.toString(), "once");
          assert.equal(await response.body.read(), undefined);
          assert.equal((await rejection(response.text())).code, "ERR_RINGLOOM_BODY_USED");
          const other = await client.request(url);
          assert.equal(await other.text(), "once");
          assert.equal((await rejection(other.body.read())).code, "ERR_RINGLOOM_BODY_USED");
          assert.throws(() => other.body.toWeb(), { code: "ERR_RINGLOOM_BODY_USED" });
        });
      },
    );
  });

  test("connects to a Unix socket", async () => {
    const folder = mkdtempSync(join(tmpdir(), "ringloom-client-"));
    const server = createServer((request, response) => response.end(request.headers.host)).listen(`${folder}/s`);
    await once(server, "listening");
    try {
      await withClient({ socketPath: `${folder}/s` }, async (client) => {
        assert.equal(await (await client.request("http://docker/containers")).text(), "docker");
      });
    } finally {
      server.closeAllConnections();
      server.close();
      rmSync(folder, { recursive: true });
    }
  });
});
