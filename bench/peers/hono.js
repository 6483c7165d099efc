// The subject of `hono`: Hono on Node through @hono/node-server.
import { serve } from "@hono/node-server";
import { Hono } from "hono";

const app = new Hono();
app.get("/hello/:name", (c) => c.text(`hello ${c.req.param("name")}`));
app.get("/static", (c) => c.text("hello static"));
app.get("/json", (c) => c.json({ message: "hello", id: 42, tags: ["a", "b", "c"], nested: { ok: true, ratio: 0.5 } }));
app.post("/echo-length", async (c) => c.text(String((await c.req.arrayBuffer()).byteLength)));

serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, (info) => {
  process.stdout.write(`listening http://127.0.0.1:${info.port}\n`);
});
