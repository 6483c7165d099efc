/** Other frameworks' programs under `ringloom serve`, on every driver: their getting-started programs but for the one line, and small services. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { Ringloom, withServe } from "../cli/ringloom.js";
import { driversUnderTest } from "../support/drivers.js";
import { Peer } from "../support/peer.js";
import { frameworksMissing, program } from "./installed.js";

const missing = frameworksMissing();

/** Program and what GET / answers. */
const STARTS: readonly (readonly [string, string])[] = [
  ["express-start.cjs", "Hello World!"],
  ["fastify-start.js", '{"hello":"world"}'],
  ["hono-start.js", "Hello Hono!"],
  ["koa-start.cjs", "Hello World"],
  ["nest-start.js", "Hello World!"],
  ["nest-fastify-start.js", "Hello World!"],
  ["h3-start.js", "Hello World!"],
  ["itty-start.js", '"Hello World!"'],
  ["node-start.js", "Hello World"],
];
const SERVICES: readonly (readonly [string, string])[] = [
  ["express-service.js", "express caught it"],
  ["fastify-service.js", "fastify caught it"],
  ["koa-service.js", "koa caught it"],
  ["mixed-service.js", "express caught it"],
];

for (const { name: driver, skip } of driversUnderTest) {
  describe(`frameworks on the ${driver} driver`, { skip: skip || missing }, () => {
    const args = ["--port", "0", "--driver", driver, "--shards", "1"];

    for (const [file, hello] of STARTS) {
      test(`${file} says hello and ends with code 0`, async () => {
        await withServe([program(file), ...args], {}, async (server, url) => {
          const response = await fetch(url);
          assert.deepEqual([response.status, await response.text()], [200, hello]);
          assert.equal(await (await fetch(url)).text(), hello);
          assert.equal(await server.stop(), 0, server.stderr);
          assert.equal(server.stderr.replace(/^SIGTERM: .*\n/, ""), "");
        });
      });
    }

    for (const [file, failure] of SERVICES) {
      test(`${file} takes and gives bodies, streams, fails and finishes what it began`, async () => {
        await withServe([program(file), ...args], {}, async (server, url) => {
          await exercise(url, failure);
          const slow = fetch(`${url}/slow`);
          // The request is on its way once a later one has been answered.
          await (await fetch(`${url}/large`)).text();
          const stopped = server.stop();
          const answer = await slow;
          assert.deepEqual([answer.status, await answer.text()], [200, "slow"]);
          assert.equal(await stopped, 0, server.stderr);
          if (file === "fastify-service.js") assert.match(server.stdout, /^fastify closed$/m);
        });
      });
    }

    test("mixed-service.js answers both kinds of routes on one connection", async () => {
      await withServe([program("mixed-service.js"), ...args], {}, async (_server, url) => {
        const peer = await Peer.open(Number(new URL(url).port));
        const json = "POST /json HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n";
        peer.send(`GET /hot HTTP/1.1\r\nhost: x\r\n\r\n${json}{"a":1}`);
        peer.send("GET /hot HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        await peer.ended();
        assert.match(peer.text, /\r\n\r\nhot[\s\S]*201 Created[\s\S]*\r\n\r\n\{"a":1\}[\s\S]*\r\n\r\nhot$/);
        peer.socket.destroy();
      });
    });

    test("ws-echo.js speaks WebSocket beside its route", async () => {
      await withServe([program("ws-echo.js"), ...args], {}, async (_server, url) => {
        assert.equal(await (await fetch(url)).text(), "plain");
        const { WebSocket } = createRequire(program("ws-echo.js"))("ws");
        const socket = new WebSocket(`${url.replace("http", "ws")}/chat`);
        const said: string[] = [];
        socket.on("message", (data: Buffer) => said.push(data.toString()));
        await once(socket, "open");
        const large = "ringloom ".repeat(200_000);
        socket.send("one");
        socket.send(large);
        socket.send("last");
        while (said.length < 4) await once(socket, "message");
        assert.deepEqual(said, ["hello /chat", "one", large, "last"]);
        socket.close();
        await once(socket, "close");
      });
    });

    test("in-place.js moves with serveNode() alone", async () => {
      const environment = { ...process.env, RINGLOOM_DRIVER: driver };
      const child = spawn(process.execPath, [program("in-place.js")], {
        env: environment,
        stdio: ["ignore", "pipe", "inherit"],
      });
      try {
        const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
        const [, url, kind] = /^listening (\S+) (\S+)$/.exec(line) ?? [];
        assert.equal(kind, "express");
        assert.equal(await (await fetch(url ?? "")).text(), "Hello World!");
        child.kill("SIGTERM");
        const [code] = (await once(child, "exit")) as [number | null];
        assert.equal(code, 0);
      } finally {
        child.kill("SIGKILL");
      }
    });
  });
}

test("express-start.cjs runs on two shards", { skip: missing }, async () => {
  const server = new Ringloom(["serve", program("express-start.cjs"), "--port", "0", "--shards", "2"]);
  try {
    const url = await server.listening();
    for (let round = 0; round < 20; round++) assert.equal(await (await fetch(url)).text(), "Hello World!");
    assert.equal(await server.stop(), 0);
    assert.match(server.stdout, /^stopped: 2 shards drained in/m);
  } finally {
    server.child.kill("SIGKILL");
  }
});

async function exercise(url: string, failure: string): Promise<void> {
  const json = await fetch(`${url}/json`, {
    method: "POST",
    body: '{"a":[1,"é"]}',
    headers: { "content-type": "application/json" },
  });
  assert.deepEqual([json.status, await json.json()], [201, { a: [1, "é"] }]);
  const upload = await fetch(`${url}/upload`, {
    method: "POST",
    body: "y".repeat(3_000_000),
    headers: { "content-type": "application/octet-stream" },
  });
  assert.deepEqual([upload.status, await upload.text()], [200, "3000000"]);
  const stream = await fetch(`${url}/stream`);
  assert.equal(stream.headers.get("transfer-encoding"), "chunked");
  assert.equal(await stream.text(), "one two three");
  assert.equal((await (await fetch(`${url}/large`)).text()).length, 2_000_000);
  const error = await fetch(`${url}/error`);
  assert.deepEqual([error.status, await error.json()], [500, { error: failure }]);
}
