/** Servers for the tests of what shards share by a key. */
import { type ModuleServer, serveModule } from "../../src/http/serve-module.js";
import { portSharing } from "../../src/runtime/listeners.js";

/** As many shards as can share a port here. */
export const SHARDS = portSharing().isPossible ? 3 : 1;

/** Serves a fixture on {@link SHARDS} shards while `use` runs. */
export async function withShards(
  fixture: string,
  use: (server: ModuleServer) => Promise<void>,
  drainMs = 30_000,
): Promise<void> {
  const server = await serveModule(new URL(`./fixtures/${fixture}.js`, import.meta.url), {
    port: 0,
    shards: SHARDS,
    connections: 256,
    receiveSlabMib: 1,
    writePoolMib: 1,
    restartsMax: 100,
    drainMs,
  });
  try {
    await use(server);
  } finally {
    await server.stop();
  }
}

/** The numbers of all shards. */
export function shardNumbers(): number[] {
  return Array.from({ length: SHARDS }, (_, shard) => shard);
}

/** Asks a shard that may be between two threads, until one answers. */
export async function persistently<Value>(ask: () => Promise<Value>): Promise<Value> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if ((error as { code?: string }).code !== "ERR_RINGLOOM_THREAD_LOST") throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
