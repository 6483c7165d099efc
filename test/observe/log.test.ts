/** The log of real servers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { portSharing } from "../../src/runtime/listeners.js";
import { type Ringloom, withServe } from "../cli/ringloom.js";

const BLOCKING = fileURLToPath(new URL("./fixtures/blocking.js", import.meta.url));
const shards = portSharing().isPossible ? "2" : "1";
const ARGS = [BLOCKING, "--port", "0", "--shards", shards];

function records(text: string): Record<string, unknown>[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

async function urlOf(server: Ringloom): Promise<string> {
  const [, url = ""] = await server.said(/(http:\/\/127\.0\.0\.1:\d+)/);
  return url;
}

test("--log json prints nothing but records on descriptor 1, from every thread, whole lines", async () => {
  await withServe([...ARGS, "--log", "json"], {}, async (server) => {
    const url = await urlOf(server);
    const calls = Array.from({ length: 16 }, () => fetch(`${url}/say/200`).then((response) => response.text()));
    assert.ok((await Promise.all(calls)).every((text) => text === "said"));
    assert.equal(await server.stop(), 0);
    const all = records(server.stdout);
    const said = all.filter((record) => record.msg === "said");
    assert.equal(said.length, 16 * 200);
    assert.ok(said.every((record) => record.pid === server.child.pid && typeof record.shard === "number"));
    assert.deepEqual(
      all.filter((record) => record.event !== undefined).map((record) => record.event),
      ["listening", "signal", "stopped"],
    );
    assert.equal(server.stderr, "");
  });
});

test("the last words of a dying shard are not lost", async () => {
  await withServe([...ARGS, "--log", "json"], {}, async (server) => {
    const url = await urlOf(server);
    await fetch(`${url}/die`).catch(() => undefined);
    const [line] = await server.said(/^.*"last words".*$/m);
    assert.match(line, /"level":"error".*"message":"dying"/);
    await server.stop();
  });
});

test("--access-log on logs each request with method, path without query, status, bytes and duration", async () => {
  await withServe([...ARGS, "--log", "json", "--access-log", "on"], {}, async (server) => {
    const url = await urlOf(server);
    await (await fetch(`${url}/say/0?token=secret`)).text();
    await (await fetch(`${url}/nothing`, { method: "POST", body: "x" })).text();
    assert.equal(await server.stop(), 0);
    const requests = records(server.stdout).filter((record) => record.msg === "request");
    assert.deepEqual(
      requests.map(({ method, path, status }) => [method, path, status]),
      [
        ["GET", "/say/0", 200],
        ["POST", "/nothing", 404],
      ],
    );
    assert.ok(requests.every(({ bytes, durationMs }) => Number(bytes) > 50 && Number(durationMs) > 0));
    assert.ok(!server.stdout.includes("secret"));
  });
});

test("elsewhere than on a terminal, records are JSON on descriptor 2 and the listening line stays on descriptor 1", async () => {
  await withServe(ARGS, {}, async (server, url) => {
    await (await fetch(`${url}/say/1`)).text();
    await server.complained(/"msg":"said"/);
    assert.equal(await server.stop(), 0);
    assert.match(server.stdout, /^listening http:\/\/127\.0\.0\.1:\d+$/m);
  });
});

test("--log text and --log-level choose the form and leave out what is less important", async () => {
  await withServe([...ARGS, "--log", "text", "--log-level", "error"], {}, async (server, url) => {
    await (await fetch(`${url}/say/1`)).text();
    await fetch(`${url}/die`).catch(() => undefined);
    await server.complained(/^\d\d:\d\d:\d\d\.\d{3} error shard \d: last words\n {2}Error: dying$/m);
    assert.ok(!server.stderr.includes("said"));
    await server.stop();
  });
});
