/** The shape of the platform's fetch: the same calls against both, with the same results. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { RingloomError } from "../../src/client/index.js";
import { answering, withClient, withHttpServer, withRawServer } from "./client-rig.js";

const platformFetch = globalThis.fetch;

describe("HttpClient.fetch()", () => {
  test("answers as the platform's fetch does", async () => {
    await withHttpServer(
      async (request, response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk as Buffer);
        const { pathname } = new URL(`http://x${request.url}`);
        if (pathname === "/redirect") return void response.writeHead(302, { location: "/there" }).end();
        if (pathname === "/204") return void response.writeHead(204).end();
        if (pathname === "/gzip") response.setHeader("content-encoding", "gzip");
        const { "content-type": type = "-", "content-length": length = "-", accept = "-" } = request.headers;
        const kind = type.replace(/boundary=.*/, "boundary");
        // What a Request was made of cannot be seen: its body is a stream to us, and a length to the platform.
        const size = type.startsWith("multipart") || pathname === "/from" ? "any" : length;
        const body = type.startsWith("multipart") ? "form" : Buffer.concat(chunks).toString();
        const text = `${request.method} ${pathname} ${kind} ${size} ${accept} ${body}`;
        response.writeHead(pathname === "/404" ? 404 : 200, { "set-cookie": ["a=1", "b=2"] });
        response.end(pathname === "/gzip" ? gzipSync(text) : text);
      },
      async (url) => {
        const form = new FormData();
        form.append("a", "b");
        const calls: readonly (() => [string | URL | Request, RequestInit?])[] = [
          () => [url],
          () => [new URL(`${url}/404`)],
          () => [`${url}/redirect`],
          () => [`${url}/redirect`, { redirect: "manual" }],
          () => [`${url}/204`],
          () => [`${url}/gzip`],
          () => [url, { method: "HEAD" }],
          () => [url, { method: "post", body: "text" }],
          () => [url, { method: "POST", body: new URLSearchParams({ a: "1" }) }],
          () => [url, { method: "POST", body: form }],
          () => [url, { method: "PUT", body: new Blob(["blob"], { type: "x/y" }) }],
          () => [new Request(`${url}/from`, { method: "POST", body: "inner", headers: { accept: "x/y" } })],
          () => [`${url}/redirect`, { method: "POST", body: "moved" }],
        ];
        await withClient({}, async (client) => {
          for (const call of calls) {
            const [ours, theirs] = [await client.fetch(...call()), await platformFetch(...call())];
            const label = JSON.stringify(call());
            assert.ok(ours instanceof Response);
            for (const name of ["status", "statusText", "ok", "url", "redirected"] as const)
              assert.equal(ours[name], theirs[name], `${label} ${name}`);
            assert.deepEqual(ours.headers.getSetCookie(), theirs.headers.getSetCookie());
            assert.equal(ours.body === null, theirs.body === null, label);
            assert.equal(await ours.text(), await theirs.text(), label);
          }
        });
      },
    );
  });

  test("streams a body with duplex: half", async () => {
    await withHttpServer(
      (request, response) => void request.pipe(response),
      async (url) => {
        await withClient({}, async (client) => {
          const body = new Blob(["one", "two"]).stream();
          const init = { method: "POST", body, duplex: "half" } as RequestInit;
          assert.equal(await (await client.fetch(url, init)).text(), "onetwo");
        });
      },
    );
  });

  test("rejects with a TypeError that has the cause, and with the signal's reason", async () => {
    await withRawServer(answering("nonsense\r\n"), async (url) => {
      await withClient({}, async (client) => {
        const failure = await client.fetch(url).catch((error: unknown) => error);
        assert.ok(failure instanceof TypeError && failure.cause instanceof RingloomError);
        assert.equal(failure.cause.code, "ERR_RINGLOOM_BAD_RESPONSE");
        await assert.rejects(client.fetch("nonsense"), TypeError);
        await assert.rejects(client.fetch(url, { method: "TRACE" }), TypeError);
        const reason = new Error("mine");
        await assert.rejects(client.fetch(url, { signal: AbortSignal.abort(reason) }), reason);
      });
    });
    await withRawServer(answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello"), async (url) => {
      await withClient({}, async (client) => {
        const controller = new AbortController();
        const response = await client.fetch(url, { signal: controller.signal });
        const reading = response.text();
        controller.abort();
        await assert.rejects(reading);
        assert.equal(client.stats.open, 0);
      });
    });
  });

  test("redirect: error rejects", async () => {
    await withRawServer(answering("HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n"), async (url) => {
      await withClient({}, async (client) => {
        await assert.rejects(client.fetch(url, { redirect: "error" }), TypeError);
        await assert.rejects(client.fetch(url), TypeError);
        assert.equal(client.stats.requests, 1 + 21);
      });
    });
  });
});
