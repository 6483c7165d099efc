/** A write pool that is smaller than what its connections want: nobody waits for ever, and nothing is lost. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, connectMany, listen } from "../../src/net/index.js";
import { closeThreadDriver, configureThreadDriver, threadDriver } from "../../src/runtime/thread-driver.js";
import { within } from "../support/signal.js";

/** More than a pool of one block of 64 KiB has smallest blocks. */
const CONNECTIONS = 140;
const BYTES = 16 * 1024;

test("NetStream.writeAll() goes on when the write pool has room again, on each connection", {
  timeout: 60_000,
}, async () => {
  configureThreadDriver({ writePoolBytes: 64 * 1024 });
  const listener = await listen({ port: 0 });
  const accepting = Promise.all(Array.from({ length: CONNECTIONS }, () => listener.accept()));
  const clients = await connectMany(Array.from({ length: CONNECTIONS }, () => ({ port: listener.port })));
  const servers = await accepting;
  const sent = clients.map((_, index) => Buffer.alloc(BYTES, index % 251));
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

test("closeThreadDriver() ends every stream and who waits for it, and the next socket makes a new driver", async () => {
  const listener = await listen({ port: 0 });
  const [client, server] = await Promise.all([connect({ port: listener.port }), listener.accept()]);
  const waiting = [client.read(), server.readExact(4)].map((one) =>
    assert.rejects(one, { code: "ERR_RINGLOOM_CLOSED" }),
  );
  await within("the shutdown", closeThreadDriver());
  await within("those that wait", Promise.all(waiting));
  await assert.rejects(client.writeAll("late"), { code: "ERR_RINGLOOM_CLOSED" });
  client.close();
  const other = await listen({ port: 0 });
  const [again, accepted] = await Promise.all([connect({ port: other.port }), other.accept()]);
  await again.writeAll("anew");
  assert.equal((await accepted.readExact(4)).toString(), "anew");
  for (const stream of [again, accepted]) stream.destroy();
  await other.close();
});
