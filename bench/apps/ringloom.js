// The subject of `ringloom`, `ringloom-epoll` and `ringloom-portable`: the router and the context, the way an application would use them.
import v8 from "node:v8";
import { App } from "ringloom/http";

const app = new App();

app.get("/hello/:name", (c) => c.text(`hello ${c.param("name")}`));
app.get("/static", (c) => c.text("hello static"));
app.get("/json", (c) => c.json({ message: "hello", id: 42, tags: ["a", "b", "c"], nested: { ok: true, ratio: 0.5 } }));
app.post("/echo-length", async (c) => c.text(String((await c.bytes()).byteLength)));

// Only when Node was started with --expose-gc: what lives on this thread's heap after a full collection.
if (typeof globalThis.gc === "function") {
  app.get("/__heap", (c) => {
    globalThis.gc();
    return c.json({ heapUsed: v8.getHeapStatistics().used_heap_size });
  });
}

export default app;
