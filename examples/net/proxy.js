/**
 * A TCP proxy with backpressure: each direction reads only what the other side has taken, so a slow client holds back a fast server, and memory stays bounded. The end of one
 * direction is passed on, and the other goes on.
 *
 *     TARGET=127.0.0.1:8080 PORT=7002 node examples/net/proxy.js
 */
import { connect, listen } from "ringloom/net";

const CONNECT_MS_MAX = 5_000;

const [host, port] = (process.env.TARGET ?? "127.0.0.1:8080").split(":");
const listener = await listen({ host: "127.0.0.1", port: Number(process.env.PORT ?? 7002) });
console.log(`proxy on tcp://127.0.0.1:${listener.port} to ${host}:${port}`);
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => listener.close());

await listener.serve(
  async (client) => {
    const server = await connect({ host, port: Number(port) }, { timeoutMs: CONNECT_MS_MAX });
    try {
      await Promise.all([pass(client, server), pass(server, client)]);
    } catch (error) {
      // One side is gone, so the other has nobody to talk to.
      client.destroy();
      throw error;
    } finally {
      server.close();
    }
  },
  { connectionsMax: 10_000, onError: (error) => console.error(error.message) },
);

async function pass(from, to) {
  for await (const bytes of from) await to.writeAll(bytes);
  await to.end();
}
