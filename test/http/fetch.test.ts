/** The web-standard handler over real connections: what travels, in which form, and that nothing is left over. */
import assert from "node:assert/strict";
import { type Agent, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { text as readText } from "node:stream/consumers";
import { after, afterEach, before, describe, test } from "node:test";
import type { FetchHandler } from "../../src/http/fetch-handler.js";
import { driversUnderTest } from "../support/drivers.js";
import { Peer } from "../support/peer.js";
import { SocketServer } from "../support/test-server.js";

/** Node's own, before a server with a fetch handler replaces the global. */
const NativeResponse = globalThis.Response;

interface Got {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

interface Sent {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array;
}

for (const driver of driversUnderTest) {
  describe(`fetch handlers on the ${driver.name} driver`, { skip: driver.skip }, () => {
    let server: SocketServer;
    let agent: Agent;
    let handler: FetchHandler["fetch"];

    before(async () => {
      const limits = { bodyBytesMax: 100_000, largeBodyBlocksMax: 1 };
      server = await SocketServer.start(driver, { fetch: (request, info) => handler(request, info) }, { limits });
      agent = new HttpAgent({ keepAlive: true });
    });
    afterEach(async () => {
      agent.destroy();
      await server.settle();
      assert.equal(server.leftover(), undefined);
    });
    after(() => server.close());

    function get(path: string, sent: Sent = {}): Promise<Got> {
      const { method = "GET", headers = {}, body } = sent;
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

    test("the global Response is the light one, and the request shows what was sent", async () => {
      assert.notEqual(Response, NativeResponse);
      handler = (request, info) =>
        Response.json([
          request.method,
          request.url,
          request.headers.get("X-A"),
          [...request.headers.keys()].sort(),
          info.remoteAddress,
        ]);
      const { status, headers, body } = await get("/a%20b/../c?d=%C3%A9&e", {
        headers: { "x-a": "1", host: "Example.org:80" },
      });
      assert.equal(status, 200);
      assert.equal(headers["content-type"], "application/json");
      assert.equal(headers["content-length"], String(Buffer.byteLength(body)));
      assert.ok(headers.date !== undefined);
      assert.deepEqual(JSON.parse(body), [
        "GET",
        "http://example.org/c?d=%C3%A9&e",
        "1",
        ["connection", "host", "x-a"],
        "127.0.0.1",
      ]);
    });

    test("the exact bytes of a small answer", async () => {
      handler = () => new Response("hello", { status: 201, headers: { "X-A": "1", "Content-Type": "text/html" } });
      const peer = await Peer.open(server.port);
      peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
      await peer.ended();
      const [head, body] = peer.text.split("\r\n\r\n");
      const lines = (head ?? "").split("\r\n").map((line) => line.toLowerCase());
      assert.equal(lines[0], "http/1.1 201 created");
      for (const line of ["x-a: 1", "content-type: text/html", "content-length: 5", "connection: close"])
        assert.ok(lines.includes(line), line);
      assert.equal(body, "hello");
      peer.socket.destroy();
    });

    test("a request stays readable after its answer, and after the next one on its connection", async () => {
      const kept: Request[] = [];
      handler = (request) => {
        kept.push(request);
        return new Response("ok");
      };
      for (const name of ["first", "second"]) await get(`/${name}`, { headers: { "x-name": name } });
      assert.deepEqual(
        kept.map((request) => request.url),
        [`http://127.0.0.1:${server.port}/first`, `http://127.0.0.1:${server.port}/second`],
      );
      assert.deepEqual(
        kept.map((request) => request.headers.get("x-name")),
        ["first", "second"],
      );
      assert.equal(kept[0]?.signal.aborted, false);
    });

    test("request bodies: text, JSON, bytes, form data, with and without a known length", async () => {
      handler = async (request) => {
        const url = new URL(request.url);
        if (url.pathname === "/json") return Response.json(await request.json());
        if (url.pathname === "/form")
          return Response.json([...(await request.formData())].map(([name, value]) => [name, String(value)]));
        if (url.pathname === "/buffer") return new Response(await request.arrayBuffer());
        return new Response(await request.text());
      };
      const large = "ä".repeat(40_000);
      for (const headers of [{}, { "transfer-encoding": "chunked" }]) {
        assert.equal((await get("/text", { method: "POST", body: "text", headers })).body, "text");
        assert.equal((await get("/text", { method: "POST", body: large, headers })).body, large);
        assert.equal((await get("/buffer", { method: "PUT", body: large, headers })).body, large);
        assert.equal((await get("/json", { method: "POST", body: '{"a":[1]}', headers })).body, '{"a":[1]}');
        assert.equal((await get("/text", { method: "POST", body: "", headers })).body, "");
      }
      const form = { "content-type": "application/x-www-form-urlencoded" };
      assert.equal(
        (await get("/form", { method: "POST", body: "a=1&b=2", headers: form })).body,
        '[["a","1"],["b","2"]]',
      );
    });

    test("a body over the limit is answered 413, and one that finds the pool taken 503", async () => {
      handler = async (request) => new Response(await request.text());
      assert.equal((await get("/", { method: "POST", body: "x".repeat(100_001) })).status, 413);
      const chunked = { "transfer-encoding": "chunked" };
      assert.equal((await get("/", { method: "POST", body: "x".repeat(100_001), headers: chunked })).status, 413);
      const peer = await Peer.open(server.port);
      peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n");
      await peer.signal.until("the large body to be expected", () => {
        setImmediate(() => peer.signal.notify());
        return server.stats.largeBodiesNow === 1;
      });
      assert.equal((await get("/", { method: "POST", body: "x".repeat(50_000) })).status, 503);
      peer.socket.destroy();
    });

    test("repeated Set-Cookie lines arrive as such, from light and real responses", async () => {
      for (const Class of [Response, NativeResponse]) {
        handler = () => {
          const response = new Class("ok");
          response.headers.append("set-cookie", "a=1");
          response.headers.append("set-cookie", "b=2; Path=/");
          return response;
        };
        assert.deepEqual((await get("/")).headers["set-cookie"], ["a=1", "b=2; Path=/"]);
      }
    });

    test("HEAD, 204 and 304 have no body, and the connection goes on", async () => {
      for (const Class of [Response, NativeResponse]) {
        handler = (request) => {
          if (request.method === "HEAD") return new Class("hello");
          const status = Number(new URL(request.url).pathname.slice(1));
          return new Class(status === 200 ? "hello" : null, { status });
        };
        const peer = await Peer.open(server.port);
        peer.send(
          "HEAD /200 HTTP/1.1\r\nHost: a\r\n\r\nGET /204 HTTP/1.1\r\nHost: a\r\n\r\nGET /304 HTTP/1.1\r\nHost: a\r\n\r\n",
        );
        peer.send("GET /200 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        await peer.ended();
        const statuses = [...peer.text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1]);
        assert.deepEqual(statuses, ["200", "204", "304", "200"]);
        assert.equal(peer.text.split("hello").length, 2, "one answer has a body");
        const noContent = peer.text.slice(peer.text.indexOf("HTTP/1.1 204"), peer.text.indexOf("HTTP/1.1 304"));
        assert.ok(!/content-length|transfer-encoding/i.test(noContent), "204 has no length");
        if (Class === Response) assert.match(peer.text.slice(0, peer.text.indexOf("204")), /content-length: 5\r\n/i);
        peer.socket.destroy();
      }
    });

    test("what a handler throws, rejects with or returns instead of a Response is 500, without its message", async () => {
      const failures: FetchHandler["fetch"][] = [
        () => {
          throw new Error("secret");
        },
        () => Promise.reject(new Error("secret")),
        () => undefined as unknown as Response,
        () => NativeResponse.error(),
      ];
      for (const failure of failures) {
        handler = failure;
        const { status, body } = await get("/");
        assert.equal(status, 500);
        assert.ok(!body.includes("secret"));
      }
      assert.ok(server.log.length >= failures.length);
    });

    test("a Host that makes no URL is 400 before the handler runs", async () => {
      let ran = false;
      handler = () => {
        ran = true;
        return new Response("");
      };
      const peer = await Peer.open(server.port);
      peer.send("GET / HTTP/1.1\r\nHost: 256.256.256.256\r\n\r\n");
      await peer.signal.until("an answer", () => peer.text.includes("\r\n\r\n"));
      assert.match(peer.text, /^HTTP\/1\.1 400 /);
      assert.equal(ran, false);
      peer.socket.destroy();
    });

    test("pipelined requests are answered in order, whichever is ready first", async () => {
      const release: (() => void)[] = [];
      handler = async (request) => {
        const { pathname } = new URL(request.url);
        if (pathname === "/0") await new Promise<void>((resolve) => release.push(resolve));
        return new Response(pathname);
      };
      const peer = await Peer.open(server.port);
      peer.send([0, 1, 2].map((index) => `GET /${index} HTTP/1.1\r\nHost: a\r\n\r\n`).join(""));
      await peer.signal.until("the first request", () => {
        setImmediate(() => peer.signal.notify());
        return release.length === 1;
      });
      assert.equal(peer.receivedBytes, 0);
      release[0]?.();
      await peer.signal.until(
        "three answers",
        () => peer.text.split("HTTP/1.1 200").length === 4 && peer.text.endsWith("/2"),
      );
      assert.deepEqual(
        [...peer.text.matchAll(/^\/\d/gm)].map(([path]) => path),
        ["/0", "/1", "/2"],
      );
      peer.socket.destroy();
    });

    test("the signal is aborted when the client goes before the answer", async () => {
      let aborted: (reason: unknown) => void = () => {};
      const gone = new Promise((resolve) => {
        aborted = resolve;
      });
      let started: () => void = () => {};
      const running = new Promise<void>((resolve) => {
        started = resolve;
      });
      handler = (request) => {
        request.signal.addEventListener("abort", () => aborted(request.signal.reason));
        started();
        return new Promise<Response>(() => {});
      };
      const peer = await Peer.open(server.port);
      peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      await running;
      peer.socket.resetAndDestroy();
      assert.ok((await gone) instanceof Error);
    });

    test("a real Response of unknown length, and one that fetch got, are sent on", async () => {
      handler = async (request) => {
        const url = new URL(request.url);
        // Without the close, the client of `fetch` keeps its connection, and this test, for four seconds.
        if (url.pathname === "/origin") return new Response("origin", { headers: { "x-a": "1", connection: "close" } });
        return fetch(new URL("/origin", url));
      };
      const { headers, body } = await get("/proxy");
      assert.equal(body, "origin");
      assert.equal(headers["x-a"], "1");
    });

    test("Request and fetch take the request of a handler", async () => {
      handler = async (request) => {
        if (request.headers.has("x-hop"))
          return new Response(`${request.method} ${await request.text()} ${request.headers.get("x-a")}`, {
            headers: { connection: "close" },
          });
        request.headers.set("x-hop", "1");
        return fetch(new URL(request.url).pathname === "/copy" ? new Request(request) : request);
      };
      for (const path of ["/copy", "/same"]) {
        assert.equal((await get(path, { method: "POST", body: "body", headers: { "x-a": "1" } })).body, "POST body 1");
        assert.equal((await get(path, { headers: { "x-a": "2" } })).body, "GET  2");
      }
    });
  });
}
