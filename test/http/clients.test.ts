/** Real clients against `ringloom serve examples/demo/app.js`: curl, wrk, undici, node:http, fetch and Chromium. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { Client, Pool } from "undici";
import { driversUnderTest } from "../support/drivers.js";
import { findProgram, run, type ServeProcess, startServe } from "../support/serve-process.js";

const MIB = 1024 * 1024;
const curl = findProgram("curl");
const wrk = findProgram("wrk");
const chromium = findProgram("chromium", "chromium-browser", "google-chrome");

for (const driver of driversUnderTest) {
  describe(`clients of ringloom serve on the ${driver.name} driver`, { skip: driver.skip }, () => {
    let server: ServeProcess;
    before(async () => {
      server = await startServe("examples/demo/app.js", ["--driver", driver.name]);
    });
    after(async () => {
      assert.equal(await server.stop(), 0, "SIGTERM ends it with code 0");
    });

    describe("curl", { skip: curl === undefined ? "curl is not installed" : false }, () => {
      test("gets an answer over HTTP/1.1", async () => {
        const { code, stdout } = await run(curl ?? "", ["-sSi", `${server.url}/hello/ada`]);
        assert.equal(code, 0);
        const text = stdout.toString();
        assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
        assert.match(text, /\r\n\r\nhello ada$/);
      });

      test("gets an answer and the end over HTTP/1.0", async () => {
        const { code, stdout } = await run(curl ?? "", ["-sSi", "--http1.0", `${server.url}/hello/ada`]);
        assert.equal(code, 0);
        assert.match(stdout.toString(), /\r\nconnection: close\r\n/i);
      });

      test("uses one connection for three URLs", async () => {
        const urls = ["a", "b", "c"].map((name) => `${server.url}/hello/${name}`);
        const { code, stdout } = await run(curl ?? "", ["-sS", "-w", " %{num_connects}\n", ...urls]);
        assert.equal(code, 0);
        assert.equal(stdout.toString(), "hello a 1\nhello b 0\nhello c 0\n");
      });

      test("gets a head without a body with -I", async () => {
        const { code, stdout } = await run(curl ?? "", ["-sSI", `${server.url}/hello/ada`]);
        assert.equal(code, 0);
        assert.match(stdout.toString(), /\r\ncontent-length: 9\r\n/i);
      });

      test("uploads 3 MiB that it announces with Expect: 100-continue, and gets the same back", async () => {
        const sent = noise(3 * MIB);
        const args = ["-sS", "-X", "POST", "-H", "Expect: 100-continue", "--data-binary", "@-", `${server.url}/echo`];
        const { code, stdout } = await run(curl ?? "", args, { input: sent });
        assert.equal(code, 0);
        assert.equal(hash(stdout), hash(sent));
      });

      test("uploads 3 MiB in chunks, and gets the same back", async () => {
        const sent = noise(3 * MIB);
        const args = ["-sS", "-X", "POST", "-H", "Transfer-Encoding: chunked", "-T", "-", `${server.url}/echo`];
        const { code, stdout } = await run(curl ?? "", args, { input: sent });
        assert.equal(code, 0);
        assert.equal(hash(stdout), hash(sent));
      });

      test("is answered 404 for a path that nobody serves", async () => {
        const { stdout } = await run(curl ?? "", [
          "-sS",
          "-o",
          "/dev/null",
          "-w",
          "%{http_code}",
          `${server.url}/nowhere`,
        ]);
        assert.equal(stdout.toString(), "404");
      });
    });

    test("wrk sees no error and no status other than 2xx", {
      skip: wrk === undefined ? "wrk is not installed" : false,
    }, async () => {
      const { code, stdout } = await run(wrk ?? "", ["-t1", "-c32", "-d1s", `${server.url}/hello/ada`]);
      assert.equal(code, 0);
      const text = stdout.toString();
      assert.match(text, /[1-9]\d* requests in /);
      assert.doesNotMatch(text, /Socket errors|Non-2xx/);
    });

    test("undici gets 500 answers in order with 10 requests pipelined", async () => {
      const client = new Client(server.url, { pipelining: 10 });
      const numbers = Array.from({ length: 500 }, (_, index) => index);
      const texts = await Promise.all(
        numbers.map(async (number) => {
          const { body } = await client.request({ path: `/hello/${number}`, method: "GET" });
          return await body.text();
        }),
      );
      await client.close();
      assert.deepEqual(
        texts,
        numbers.map((number) => `hello ${number}`),
      );
    });

    test("undici streams 10 MiB up and down at once and finds every byte in place", async () => {
      const pool = new Pool(server.url, { connections: 2 });
      const sent = noise(10 * MIB);
      const exchange = async (body: Readable | Buffer): Promise<string> => {
        const answer = await pool.request({ path: "/echo", method: "POST", body });
        assert.equal(answer.statusCode, 200);
        return hash(Buffer.from(await answer.body.arrayBuffer()));
      };
      const [chunked, whole] = await Promise.all([exchange(Readable.from(pieces(sent))), exchange(sent)]);
      await pool.close();
      assert.equal(chunked, hash(sent));
      assert.equal(whole, hash(sent));
    });

    test("node:http reuses the sockets of a keep-alive agent", async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 2 });
      let reused = 0;
      for (let round = 0; round < 20; round++) {
        const answers = await Promise.all(["x", "y"].map((name) => get(`${server.url}/hello/${name}`, agent)));
        reused += answers.filter(({ isReused }) => isReused).length;
        assert.deepEqual(
          answers.map(({ text }) => text),
          ["hello x", "hello y"],
        );
      }
      agent.destroy();
      assert.equal(reused, 38, "all but the first two requests found an open socket");
    });

    test("node:http without keep-alive gets its connection closed", async () => {
      const { response, text } = await get(`${server.url}/hello/once`, new Agent({ keepAlive: false }));
      assert.equal(response.headers.connection, "close");
      assert.equal(text, "hello once");
    });

    test("fetch reads JSON and posts a stream", async () => {
      const json = await fetch(`${server.url}/json`);
      assert.match(json.headers.get("content-type") ?? "", /^application\/json/);
      assert.equal(typeof (await json.json()), "object");
      const echoed = await fetch(`${server.url}/echo`, { method: "POST", body: "grüße" });
      assert.equal(await echoed.text(), "grüße");
    });

    test("Chromium shows the landing page", {
      skip: chromium === undefined ? "Chromium is not installed" : false,
    }, async () => {
      const profile = await mkdtemp(join(tmpdir(), "ringloom-chromium-"));
      const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
      const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];
      const args = [...flags, ...quiet, `--user-data-dir=${profile}`, "--dump-dom", `${server.url}/`];
      const { code, stdout, stderr } = await run(chromium ?? "", args, { guardMs: 120_000 });
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
      assert.equal(code, 0, stderr);
      assert.match(stdout.toString(), /<title>[^<]*Ringloom[^<]*<\/title>/i);
    });
  });
}

interface Got {
  readonly response: IncomingMessage;
  readonly text: string;
  readonly isReused: boolean;
}

function get(url: string, agent: Agent): Promise<Got> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { agent }, (response) => {
      buffer(response).then(
        (body) => resolve({ response, text: body.toString(), isReused: request.reusedSocket }),
        reject,
      );
    });
    request.on("error", reject);
    request.end();
  });
}

/** Bytes without a pattern that a misplaced block could hide in, the same each time. */
function noise(length: number): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = 0x9e37_79b9;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return Buffer.from(words.buffer, 0, length);
}

function* pieces(bytes: Buffer): Generator<Buffer> {
  for (let from = 0; from < bytes.length; from += 40_000) yield bytes.subarray(from, from + 40_000);
}

function hash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
