/** Peers that do not read leave room in the write pool for those that do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { connect, connectMany, listen } from "../../src/net/index.js";
import { configureThreadDriver, threadDriver } from "../../src/runtime/thread-driver.js";
import { within } from "../support/signal.js";

const SILENT = 12;
/** More than the kernel holds for one of them. */
const BYTES = 12 * 1024 * 1024;

test("NetStream.writeAll() reaches who reads, although more peers than the write pool has large shares do not", {
  timeout: 60_000,
}, async () => {
  configureThreadDriver({ writePoolBytes: 256 * 1024 });
  const { driver } = threadDriver();
  const listener = await listen({ port: 0 });
  const accepting = Promise.all(Array.from({ length: SILENT }, () => listener.accept()));
  const silent = await connectMany(Array.from({ length: SILENT }, () => ({ port: listener.port })));
  const servers = await accepting;
  const bytes = Buffer.alloc(BYTES);
  const writing = servers.map((server) => server.writeAll(bytes));
  // Until the kernel takes no more.
  for (let same = 0, sent = -1; same < 10; sent = driver.stats.sentBytes) {
    await setTimeout(10);
    same = driver.stats.sentBytes === sent ? same + 1 : 0;
  }
  const [client, server] = await Promise.all([connect({ port: listener.port }), listener.accept()]);
  await server.writeAll("hello");
  assert.equal((await within("the one that reads", client.readExact(5))).toString(), "hello");
  for (const stream of [...silent, ...servers, client, server]) stream.destroy();
  await within("the writers to be told", Promise.allSettled(writing));
  await listener.close();
});
