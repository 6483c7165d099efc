/**
 * The demo that `npm start` runs, and a tour of the API: one module, of which every shard has an instance of its own.
 *
 *     npm start                              on every core
 *     npx ringloom serve examples/demo/app.js --shards 2 --port 8080
 */
import { readFileSync } from "node:fs";
import { runtimeStats, tasks } from "ringloom";
import { App } from "ringloom/http";
import { addChat } from "./chat.js";
import { addRoom } from "./room.js";

const page = readFileSync(new URL("./page.html", import.meta.url), "utf8");
const app = new App();

// A page. It polls /stats.
app.get("/", (c) => c.html(page));

// A parameter of the route. A handler that needs not wait is a plain function: it costs no promise.
app.get("/hello/:name", (c) => c.text(`hello ${c.param("name")}`));

app.get("/json", (c) => c.json({ message: "hello", from: "ringloom" }));

// Streams the body back as it arrives. A client that reads slowly slows its own upload down; nothing piles up here.
app.post("/echo", (c) => c.stream(c.request, { contentType: c.header("content-type") ?? "application/octet-stream" }));

// A WebSocket that sends every message back.
app.ws("/ws", { message: (ws, message) => ws.send(message) });

// A chat at /chat, over topics and an actor, and a game at /room, over rooms.
addChat(app);
addRoom(app);

// Burns CPU on a thread of its own, so that nobody else's request waits for it.
const work = tasks(new URL("./work.js", import.meta.url));
app.get("/work", async (c) => {
  const ms = Number(c.query("ms") ?? 20);
  if (!(ms >= 0 && ms <= 10_000)) return c.status(400).text("ms: a number from 0 to 10000\n");
  return c.json(await work.burn(ms));
});

// What all shards did, whichever of them answers.
app.get("/stats", (c) => {
  const { shards, totals, compute, ...rest } = runtimeStats();
  c.setHeader("cache-control", "no-store");
  return c.json({
    ...rest,
    requests: totals.service.requests,
    connections: totals.driver.connectionsNow,
    // What the shards have spawned, and what each thread that runs tasks has done.
    tasks: { ...totals.tasks, threads: compute },
    shards: shards.map(({ shard, heapUsedBytes, loop, driver, service }) => ({
      shard,
      utilization: loop.utilization1s,
      lagMsP99: loop.lagMsP99,
      blockedCount: loop.blockedCount,
      requests: service.requests,
      connections: driver.connectionsNow,
      receivedBytes: driver.receivedBytes,
      sentBytes: driver.sentBytes,
      heapUsedBytes,
    })),
  });
});

export default app;
