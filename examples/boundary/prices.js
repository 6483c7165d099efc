/** What Ringloom serves: prices, by HTTP for everybody, and over a boundary for the app that it lives in. Each shard has an instance of this module. */
import { setTimeout as sleep } from "node:timers/promises";
import { boundary, shardFunction } from "ringloom";
import { App } from "ringloom/http";

const app = new App();
app.get("/price/:item", async (c) => c.json(await priceOf(c.param("item"), undefined)));

// The app hands each shard one end of a boundary, again when the shard has been replaced.
shardFunction("attach", (port, shard) => {
  boundary({ port, capacity: 64 }).serve(async (item, { signal }) => ({ shard, ...(await priceOf(item, signal)) }));
});

// Stands for a database that is slow for some items. The signal ends the wait when nobody wants the answer any more.
async function priceOf(item, signal) {
  await sleep(item.startsWith("slow") ? 10_000 : 1, undefined, { signal });
  return { item, price: item.length };
}

export default app;
