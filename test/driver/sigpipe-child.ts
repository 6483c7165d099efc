/**
 * Sends on many connections at once whose peers are gone, so that the kernel has a SIGPIPE for each, and prints how they closed. The second argument: `main`, `thread`
 * (on a worker thread), or `default` (a process that does not ignore the signal any more).
 */
import { once } from "node:events";
import { connect } from "node:net";
import { setImmediate as immediate } from "node:timers/promises";
import { isMainThread, Worker } from "node:worker_threads";
import { childDriver } from "./child-driver.js";

const CONNECTIONS = 16;

const where = process.argv[3];
if (where === "default") {
  const listener = () => {};
  process.on("SIGPIPE", listener).off("SIGPIPE", listener);
}
if (where === "thread" && isMainThread) new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) });
else await sendToNobody();

async function sendToNobody(): Promise<void> {
  const ended: number[] = [];
  const errnos: number[] = [];
  const driver = childDriver({
    ended: (slot) => ended.push(slot),
    closed: (_, errno) => errnos.push(errno),
  });
  const { port, listener } = await driver.listen({ host: "127.0.0.1", port: 0, backlog: 64, reusePort: false });
  for (let index = 0; index < CONNECTIONS; index++) {
    const peer = connect(port, "127.0.0.1");
    await once(peer, "connect");
    peer.destroy();
  }
  while (ended.length < CONNECTIONS) await immediate();
  // The first send is answered by a reset, the next one fails: the connection has been closed on both sides (tcp_reset in the kernel says EPIPE then).
  while (errnos.length < CONNECTIONS) {
    for (const slot of ended) {
      const at = driver.reserve(slot, 1);
      if (at >= 0) driver.commit(slot, 1);
    }
    await immediate();
  }
  driver.stopListening(listener);
  const { batched } = driver.stats;
  await driver.shutdown();
  process.stdout.write(JSON.stringify({ errnos: [...new Set(errnos)], wasBatched: batched > 0 }));
}
