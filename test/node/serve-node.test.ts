/** What may be served through Node's own server, and what people are told about the rest. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { serveNode } from "../../src/node/index.js";
import { nodeTargetOf } from "../../src/node/node-target.js";
import { run, withServe } from "../cli/ringloom.js";

/** A folder with one module, served by the command. */
let folder = "";
before(() => (folder = mkdtempSync(join(tmpdir(), "ringloom-node-"))));
after(() => rmSync(folder, { recursive: true }));

function moduleOf(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const ARGS = ["--port", "0", "--shards", "1"];
const LISTENER = '(_request, response) => response.end("served")';

describe("ringloom serve", () => {
  const served: readonly (readonly [string, string, string])[] = [
    ["a listener", "listener.mjs", `export default ${LISTENER};`],
    ["a http.Server", "server.mjs", `import http from "node:http"; export default http.createServer(${LISTENER});`],
    ["a promise, from CommonJS", "promise.cjs", `module.exports = Promise.resolve(${LISTENER});`],
    ["a factory", "factory.mjs", `export default async () => ${LISTENER};`],
  ];
  for (const [what, name, text] of served) {
    test(`serves ${what}`, async () => {
      await withServe([moduleOf(name, text), ...ARGS], {}, async (server, url) => {
        assert.equal(await (await fetch(url)).text(), "served");
        assert.equal(await server.stop(), 0, server.stderr);
      });
    });
  }

  const refused: readonly (readonly [string, string, string, RegExp])[] = [
    [
      "a module that listens itself",
      "listens.mjs",
      `import http from "node:http"; http.createServer(${LISTENER}).listen(1); export default ${LISTENER};`,
      /remove the call of listen and export the app instead .*\[ERR_RINGLOOM_LISTENS_ITSELF\]/,
    ],
    [
      "a module that listens and waits for it",
      "waits.mjs",
      `import http from "node:http"; const server = http.createServer(${LISTENER});
       await new Promise((resolve, reject) => { try { server.listen(0, resolve); } catch (error) { reject(new Error("wrapped")); } });
       export default server;`,
      /\[ERR_RINGLOOM_LISTENS_ITSELF\]/,
    ],
    [
      "a function of one parameter",
      "one.mjs",
      'export default (request) => new Response("x");',
      /its default export is a function of 1 parameter.*\[ERR_RINGLOOM_NOT_AN_APP\]/,
    ],
    ["a factory of nothing", "nothing.mjs", "export default () => 42;", /\[ERR_RINGLOOM_NOT_AN_APP\]/],
    [
      "a limit that node:http does not have",
      "limit.mjs",
      `export const limits = { bodyBytesMax: 5 }; export default ${LISTENER};`,
      /Cannot use the limit bodyBytesMax.*\[ERR_RINGLOOM_INVALID_OPTION\]/,
    ],
  ];
  for (const [what, name, text, message] of refused) {
    test(`refuses ${what} and says why`, async () => {
      const { code, stderr } = await run(["serve", moduleOf(name, text), ...ARGS]);
      assert.ok(code === 1 || code === 2);
      assert.match(stderr, message);
    });
  }

  test("lets a module listen on something that is not HTTP", async () => {
    const text = `import net from "node:net";
      const other = net.createServer().listen(0, "127.0.0.1");
      await new Promise((resolve) => other.once("listening", resolve));
      export default (_request, response) => response.end(String(other.address().port));`;
    await withServe([moduleOf("other.mjs", text), ...ARGS], {}, async (_server, url) => {
      assert.ok(Number(await (await fetch(url)).text()) > 0);
    });
  });

  test("writes the access log, and keeps the write timeout, of an app that node:http serves", async () => {
    const args = [
      moduleOf("logged.mjs", `export default ${LISTENER};`),
      ...ARGS,
      "--access-log",
      "on",
      "--log",
      "text",
    ];
    await withServe([...args, "--write-timeout-ms", "1234"], {}, async (server, url) => {
      await (await fetch(`${url}/said?secret`)).text();
      await server.complained(/request.*method=GET.*path=\/said.*status=200/);
      assert.equal(await server.stop(), 0);
    });
  });

  test("gives limits to the server where node:http has them", async () => {
    const text = `import http from "node:http";
      const server = http.createServer((_request, response) => response.end(String(server.headersTimeout)));
      export default server;`;
    await withServe([moduleOf("timed.mjs", text), ...ARGS, "--header-timeout-ms", "1234"], {}, async (_server, url) => {
      assert.equal(await (await fetch(url)).text(), "1234");
    });
  });
});

test("serveNode() serves in place, and drain() ends it", async () => {
  const server = await serveNode((_request, response) => response.end("in place"), { port: 0 });
  assert.equal(server.kind, "listener");
  assert.equal(await (await fetch(server.url)).text(), "in place");
  assert.equal(server.stats.requests, 1);
  const report = await server.drain({ graceMs: 10 });
  assert.equal(report.connectionsForced, 0);
  assert.equal(server.server.listening, false);
});

test("serveNode() rejects what it cannot serve", async () => {
  await assert.rejects(serveNode({}), { code: "ERR_RINGLOOM_NOT_AN_APP" });
  await assert.rejects(
    serveNode(() => undefined),
    { code: "ERR_RINGLOOM_NOT_AN_APP" },
  );
  await assert.rejects(serveNode(createServer(), { port: -1 }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
  const listening = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => listening.once("listening", resolve));
  await assert.rejects(serveNode(listening), { code: "ERR_RINGLOOM_LISTENS_ITSELF" });
  const { port } = listening.address() as { port: number };
  const late = createServer();
  await assert.rejects(serveNode(late, { port }), { code: "EADDRINUSE" });
  // What could not be served is as it was.
  await new Promise<void>((resolve) => late.listen(0, "127.0.0.1", resolve));
  late.close();
  listening.close();
});

test("nodeTargetOf() knows no more than it says", async () => {
  class Service {}
  for (const value of [undefined, null, 1, "text", {}, [], Service, (one: unknown) => one])
    assert.equal(await nodeTargetOf(value), undefined, String(value));
  assert.equal((await nodeTargetOf(createHttp2Server()))?.kind, "http.Server");
});
