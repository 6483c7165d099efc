/** Handlers of a listener that fail, and who may connect to a Unix socket. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { connect as connectNode } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, mock, test } from "node:test";
import { connect, listen } from "../../src/net/index.js";
import { configureLog, logSettings } from "../../src/observe/log.js";
import { closeThreadDriver } from "../../src/runtime/thread-driver.js";
import { within } from "../support/signal.js";

const folder = mkdtempSync(join(tmpdir(), "ringloom-listener-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const posix = { skip: process.platform === "win32" };

test("NetListener.serve(): a handler that fails takes only its own connection", async () => {
  configureLog({ ...logSettings(), level: "silent" });
  const listener = await listen({ port: 0 });
  const serving = listener.serve(async (stream) => {
    await stream.writeAll(await stream.readExact(4));
  });
  // An unhandled rejection would fail the test.
  connectNode(listener.port, "127.0.0.1").end();
  const stream = await connect({ port: listener.port });
  await stream.writeAll("ping");
  assert.equal((await stream.readExact(4)).toString(), "ping");
  stream.close();
  await listener.close();
  await within("the handlers", serving);
});

test("listen() with a mode: the socket has it, works, and leaves nothing else behind", posix, async () => {
  const path = join(folder, "mode");
  const listener = await listen({ path }, { mode: 0o600 });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual([listener.address, readdirSync(folder)], [{ path }, ["mode"]]);
  const [client, server] = await Promise.all([connect({ path }), listener.accept()]);
  await client.writeAll("hello");
  assert.equal((await server.readExact(5)).toString(), "hello");
  for (const stream of [client, server]) stream.destroy();
  await assert.rejects(listen({ path }, { mode: 0o600 }), { code: "EADDRINUSE" });
  await listener.close();
  assert.deepEqual(readdirSync(folder), []);
});

test("listen() with a mode takes the place of a server that is gone", posix, async () => {
  const path = join(folder, "stale");
  const dies = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
  spawnSync(process.execPath, ["-e", dies]);
  assert.ok(existsSync(path), "the dead server's socket");
  const listener = await listen({ path }, { mode: 0o660 });
  assert.equal(statSync(path).mode & 0o777, 0o660);
  await listener.close();
});

test("listen() with a mode that is none makes no listener", posix, async () => {
  const path = join(folder, "none");
  for (const mode of [-1, 0o1000, 1.5]) await assert.rejects(listen({ path }, { mode }), RangeError);
  await assert.rejects(listen({ port: 0 }, { mode: 0o600 }), TypeError);
  assert.equal(existsSync(path), false);
  await (await listen({ path })).close();
});

test("closeThreadDriver() ends who waits for a connection", async () => {
  const listener = await listen({ port: 0 });
  const accepting = assert.rejects(listener.accept(), { code: "ERR_RINGLOOM_CLOSED" });
  const other = await listen({ port: 0 });
  const connecting = connect({ port: other.port }).then(
    (stream) => stream.closed,
    (error: { code: string }) => assert.equal(error.code, "ERR_RINGLOOM_CLOSED"),
  );
  await within("the shutdown", closeThreadDriver());
  await within("those that wait", Promise.all([accepting, connecting]));
  await assert.rejects(listener.accept(), { code: "ERR_RINGLOOM_CLOSED" });
  await Promise.all([listener.close(), other.close()]);
});

test("NetListener.serve() leaves nothing behind at a handler that runs long, however many connections come at capacity", async () => {
  const listener = await listen({ port: 0 });
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let first = true;
  const then = Promise.prototype.then;
  /** How often somebody has asked each promise for its result. */
  const asked = new WeakMap<object, number>();
  let most = 0;
  const spy = mock.method(
    Promise.prototype,
    "then",
    function (this: Promise<unknown>, ...args: Parameters<typeof then>) {
      const count = (asked.get(this) ?? 0) + 1;
      asked.set(this, count);
      most = Math.max(most, count);
      return then.apply(this, args);
    },
  );
  try {
    const serving = listener.serve(
      async (stream) => {
        if (!first) {
          await stream.writeAll("done");
          return;
        }
        first = false;
        await held;
      },
      { connectionsMax: 2 },
    );
    const holding = await connect({ port: listener.port });
    for (let round = 0; round < 50; round++) {
      const stream = await connect({ port: listener.port });
      assert.equal((await stream.readExact(4)).toString(), "done");
      stream.close();
    }
    assert.ok(most < 10, `one promise was asked ${most} times`);
    release();
    holding.close();
    await listener.close();
    await within("the handlers", serving);
  } finally {
    spy.mock.restore();
  }
});
