import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { serveModule } from "../../src/http/serve-module.js";
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
