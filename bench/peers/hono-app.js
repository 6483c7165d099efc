// The routes of the subjects that are Hono's.
import { Hono } from "hono";

const app = new Hono();
app.get("/hello/:name", (c) => c.text(`hello ${c.req.param("name")}`));
app.get("/static", (c) => c.text("hello static"));
app.get("/json", (c) => c.json({ message: "hello", id: 42, tags: ["a", "b", "c"], nested: { ok: true, ratio: 0.5 } }));
app.post("/echo-length", async (c) => c.text(String((await c.req.arrayBuffer()).byteLength)));

export default app;
