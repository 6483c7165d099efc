/** Uses up the descriptors of its process, has peers knock meanwhile, gives one back, and says how that went. */
import { closeSync, openSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { connect, listen } from "../../src/net/index.js";
import { threadDriver } from "../../src/runtime/thread-driver.js";

const listener = await listen({ port: 0 });
const held: number[] = [];
const first = await connect({ port: listener.port });
(await listener.accept()).destroy();
first.destroy();
await first.closed;
await setTimeout(20);
// One is left for a client, and none for the server's end of it.
try {
  for (;;) held.push(openSync("/dev/null", "r"));
} catch {
  closeSync(held.pop() ?? -1);
}
const client = await connect({ port: listener.port });
const before = threadDriver().driver.stats.turns;
const code = await connect({ port: listener.port }).then(
  () => "connected",
  (error: { code: string }) => error.code,
);
await setTimeout(300);
const turns = threadDriver().driver.stats.turns - before;
for (const descriptor of held) closeSync(descriptor);
const serving = listener.serve((stream) => stream.writeAll("hello"));
// libuv, under `portable`, turns away who waits while there is no descriptor; the other drivers accept later.
const read = (stream: typeof client): Promise<string> => stream.readExact(5).then((bytes) => bytes.toString());
const answered = await read(client).catch(async () => read(await connect({ port: listener.port })));
client.destroy();
await listener.close();
await serving;
process.stdout.write(JSON.stringify({ code, turns, answered }));
