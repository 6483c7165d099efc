/**
 * An existing Node app, `node:http` on the main thread, that runs Ringloom beside itself and fans each request out to all shards with one deadline.
 *
 *     node examples/boundary/app.js
 *     curl 'http://127.0.0.1:3000/quotes?item=apple&within=200'
 */
import { createServer } from "node:http";
import { boundary } from "ringloom";
import { serveModule } from "ringloom/http";

const ringloom = await serveModule(new URL("./prices.js", import.meta.url), { port: 0 });
const shards = Array.from({ length: ringloom.shards }, (_, shard) => shard);
const ends = shards.map(() => undefined);
let isStopping = false;
await Promise.all(shards.map(attach));

// One boundary for each shard. When its thread is gone, in a restart or by a crash, the next thread gets a new one.
async function attach(shard) {
  const end = boundary({ capacity: 64, waiting: 256, timeoutMs: 1_000 });
  ends[shard] = end;
  void end.closed.then(() => {
    if (!isStopping) setTimeout(attach, 50, shard);
  });
  await ringloom.invokeOnShard("attach", { shard, transfer: [end.port] }, end.port, shard).catch(() => end.close());
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://app");
  const item = url.searchParams.get("item") ?? "apple";
  const within = Number(url.searchParams.get("within") ?? 200);
  if (!(within > 0 && within <= 10_000)) return response.writeHead(400).end("within: milliseconds, up to 10000\n");
  // All calls have the same deadline, and it travels: a shard stops working when the answer is too late.
  const deadline = Date.now() + within;
  const results = await Promise.allSettled(ends.map((end) => end.call(item, { deadline })));
  const quotes = results.filter((result) => result.status === "fulfilled").map((result) => result.value);
  const missed = results.filter((result) => result.status === "rejected").map((result) => result.reason.code);
  response.writeHead(quotes.length > 0 ? 200 : 504, { "content-type": "application/json" });
  response.end(JSON.stringify({ quotes, missed }));
});

server.listen(Number(process.env.PORT ?? 3_000), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/quotes?item=apple, Ringloom itself at ${ringloom.url}`);
});

process.once("SIGTERM", async () => {
  isStopping = true;
  server.close();
  for (const end of ends) end.close();
  await ringloom.stop();
});
