/** HTTP over Unix sockets, on every driver: `serve({ path })` and `serveModule(…, { unix })`. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { App, type ServeOptions, serve, serveModule } from "../../src/http/index.js";
import { loadNative } from "../../src/native.js";
import { fixture } from "../cli/ringloom.js";
import { driversUnderTest } from "../support/drivers.js";
import { within } from "../support/signal.js";

const folder = mkdtempSync(join(tmpdir(), "ringloom-unix-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let names = 0;

function newPath(): string {
  names += 1;
  return join(folder, `s${names}`);
}

function application(): App {
  const app = new App();
  app.get("/", (c) => c.text(`hello ${c.remoteAddress ?? "nobody"}`));
  app.post("/echo", async (c) => c.body(await c.bytes()));
  return app;
}

async function ask(socketPath: string, path = "/", body?: Buffer): Promise<string> {
  const sent = request({ socketPath, path, method: body === undefined ? "GET" : "POST", agent: false });
  sent.end(body);
  const [response] = await within("the answer", once(sent, "response"));
  return text(response);
}

/** A socket file that nobody answers at, as a server leaves it that was killed. */
async function leaveStale(path: string): Promise<void> {
  const { unlinkSync, linkSync } = await import("node:fs");
  const server = createServer().listen(`${path}.living`);
  await once(server, "listening");
  linkSync(`${path}.living`, path);
  server.close();
  await once(server, "close");
  if (existsSync(`${path}.living`)) unlinkSync(`${path}.living`);
}

for (const { name, skip } of driversUnderTest) {
  describe(`HTTP over a Unix socket on the ${name} driver`, { skip, timeout: 60_000 }, () => {
    const start = (path: string, options: Partial<ServeOptions> = {}) =>
      serve({ path, app: application(), driver: name, ...options });

    test("answers at the path, and removes the file at the end", async () => {
      const path = newPath();
      const server = await start(path);
      assert.equal(server.url, `unix:${path}`);
      assert.deepEqual([server.path, server.host, server.port], [path, "", 0]);
      assert.equal(await ask(path), "hello nobody");
      assert.equal((await ask(path, "/echo", Buffer.alloc(300_000, "x"))).length, 300_000);
      const report = await within("the drain", server.drain());
      assert.equal(report.requestsFinished, 0);
      assert.equal(existsSync(path), false);
    });

    test("gives the file its mode", async () => {
      const path = newPath();
      const server = await start(path, { mode: 0o600 });
      assert.equal(statSync(path).mode & 0o777, 0o600);
      assert.equal(await ask(path), "hello nobody");
      await server.close();
      assert.equal(existsSync(path), false);
    });

    test("takes the place of a server that is dead, and of no other", async () => {
      const path = newPath();
      await leaveStale(path);
      assert.ok(existsSync(path), "a file is in the way");
      const server = await start(path);
      assert.equal(await ask(path), "hello nobody");
      await assert.rejects(start(path), { code: "EADDRINUSE" });
      await assert.rejects(start(path, { mode: 0o600 }), { code: "EADDRINUSE" });
      assert.equal(await ask(path), "hello nobody", "who was there is there still");
      await server.close();
      writeFileSync(path, "a file of somebody's");
      await assert.rejects(start(path), { code: "EADDRINUSE" });
      assert.ok(existsSync(path));
    });

    test("rejects a path or mode that cannot be", async () => {
      for (const options of [{ path: "" }, { path: "x".repeat(200) }, { mode: 0o1000 }, { mode: -1 }])
        await assert.rejects(start(newPath(), options), { code: "ERR_RINGLOOM_INVALID_OPTION" });
      await assert.rejects(serve({ port: 0, mode: 0o600, app: application() }), {
        code: "ERR_RINGLOOM_INVALID_OPTION",
      });
      await assert.rejects(
        start(join(folder, "no-such-folder", "s")),
        (error: { code?: string }) => ["ENOENT", "EACCES"].includes(error.code ?? ""),
        "libuv says EACCES",
      );
    });
  });

  test(`shards on the ${name} driver share one Unix socket, through restarts, until the stop`, {
    skip: skip || (loadNative() === undefined && "no addon"),
    timeout: 60_000,
  }, async () => {
    const path = newPath();
    await leaveStale(path);
    const options = { unix: path, unixMode: "660", shards: 2, driver: name } as const;
    const server = await serveModule(pathToFileURL(fixture("plain.js")), options);
    try {
      assert.deepEqual([server.url, server.path], [`unix:${path}`, path]);
      assert.equal(statSync(path).mode & 0o777, 0o660);
      const kept = Array.from({ length: 8 }, () => connect(path).on("error", () => undefined));
      await Promise.all(kept.map((socket) => once(socket, "connect")));
      const ask40 = () => Promise.all(Array.from({ length: 40 }, () => ask(path, "/x")));
      assert.deepEqual(new Set(await ask40()), new Set(["at /x"]));
      const asking = ask40();
      await within("the restart", server.restart());
      assert.deepEqual(new Set(await asking), new Set(["at /x"]));
      assert.deepEqual(new Set(await ask40()), new Set(["at /x"]));
      for (const socket of kept) socket.destroy();
    } finally {
      const report = await within("the stop", server.stop());
      assert.equal(report.exitCode, 0);
    }
    assert.equal(existsSync(path), false);
  });
}
