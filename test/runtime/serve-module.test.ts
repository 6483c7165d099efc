import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { serveModule } from "../../src/http/serve-module.js";
import { tasks } from "../../src/scheduler/tasks.js";
import { fixture } from "../cli/ringloom.js";

const PLAIN = pathToFileURL(fixture("plain.js"));

test("serveModule() serves a module on several threads until it is stopped", async () => {
  const server = await serveModule(PLAIN, { port: 0 });
  try {
    assert.match(server.url, /^http:\/\/127\.0\.0\.1:\d+$/);
    assert.equal(await (await fetch(`${server.url}/x`)).text(), "at /x");
    assert.ok(server.shards >= 1 && server.driverReason !== "");
  } finally {
    const report = await server.stop();
    assert.equal(report.exitCode, 0);
    assert.equal(await server.stopped, report);
  }
  await assert.rejects(fetch(`${server.url}/x`), "nobody listens any more");
});

test("serveModule() prefers its own limits to those of the module", async () => {
  const server = await serveModule(PLAIN, { port: 0, shards: 1, limits: { bodyBytesMax: 2_000 } });
  try {
    const response = await fetch(server.url, { method: "POST", body: "x".repeat(1_500) });
    assert.equal(await response.text(), "1500");
  } finally {
    await server.stop();
  }
});

test("serveModule() rejects bad options, bad limits and modules that cannot serve", async () => {
  await assert.rejects(serveModule(PLAIN, { port: -1 }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
  await assert.rejects(serveModule(PLAIN, { port: 0, limits: { headersMax: 0 } }), {
    code: "ERR_RINGLOOM_INVALID_OPTION",
  });
  await assert.rejects(serveModule("no-such-module.js", { port: 0 }), { code: "ERR_RINGLOOM_MODULE_LOAD" });
  const unfit = pathToFileURL(fixture("not-an-app.js"));
  await assert.rejects(serveModule(unfit, { port: 0 }), {
    code: "ERR_RINGLOOM_NOT_AN_APP",
    message: /its default export is an object that is neither an App nor has a fetch method\.$/,
  });
});

test("tasks of the main thread run on the threads of the server that it supervises, and on none without", async () => {
  const work = tasks<typeof import("../scheduler/task-module.js")>(
    new URL("../scheduler/task-module.js", import.meta.url),
  );
  const server = await serveModule(pathToFileURL(fixture("tasks-app.js")), { port: 0, shards: 1, compute: 1 });
  try {
    // One thread runs them all, so there is one pool.
    const thread = await work.thread();
    assert.equal(await (await fetch(`${server.url}/add/1/2`)).text(), "3");
    const threads = new Set(await Promise.all(Array.from({ length: 100 }, () => work.thread())));
    assert.deepEqual(threads, new Set([thread]));
  } finally {
    await server.stop();
  }
  await assert.rejects(work.thread(), { code: "ERR_RINGLOOM_CLOSED" });
  const without = await serveModule(PLAIN, { port: 0, shards: 1, compute: 0 });
  try {
    await assert.rejects(work.thread(), { code: "ERR_RINGLOOM_WRONG_THREAD", message: /--compute/ });
  } finally {
    await without.stop();
  }
});
