/** A write pool that is smaller than what its connections want: nobody waits for ever, and nothing is lost. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connectMany, listen } from "../../src/net/index.js";
import { configureThreadDriver, threadDriver } from "../../src/runtime/thread-driver.js";
import { within } from "../support/signal.js";

const CONNECTIONS = 12;
const BYTES = 1024 * 1024;

test("NetStream.writeAll() goes on when the write pool has room again, on each connection", {
  timeout: 60_000,
}, async () => {
  configureThreadDriver({ writePoolBytes: 128 * 1024 });
  const listener = await listen({ port: 0 });
  const accepting = Promise.all(Array.from({ length: CONNECTIONS }, () => listener.accept()));
  const clients = await connectMany(Array.from({ length: CONNECTIONS }, () => ({ port: listener.port })));
  const servers = await accepting;
  const sent = clients.map((_, index) => Buffer.alloc(BYTES, index + 1));
  const writing = clients.map(async (client, index) => {
    await client.writeAll(sent[index]!);
    await client.end();
  });
  const sums = await within(
    "everything to arrive",
    Promise.all(servers.map((server) => server.fold(0, (sum, bytes) => sum + bytes.length))),
  );
  await within("the writers", Promise.all(writing));
  assert.deepEqual(sums, Array(CONNECTIONS).fill(BYTES));
  assert.ok(threadDriver().driver.stats.writeStarved > 0, "the pool was too small");
  for (const stream of [...clients, ...servers]) stream.close();
  await within("the end", Promise.all([...clients, ...servers].map((stream) => stream.closed)));
  await listener.close();
  assert.deepEqual([threadDriver().driver.stats.connectionsNow, threadDriver().driver.stats.writeBlocksNow], [0, 0]);
});

test("configureThreadDriver() says when it is too late", () => {
  assert.throws(() => configureThreadDriver({ connectionsMax: 1 }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
});
