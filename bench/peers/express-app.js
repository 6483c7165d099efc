// express as its guide shows it, bodies as buffers.
import express from "express";

const app = express();
app.disable("x-powered-by");
app.set("etag", false);

app.get("/hello/:name", (request, response) => {
  response.type("text/plain").send(`hello ${request.params.name}`);
});
app.get("/json", (_request, response) => {
  response.json({ message: "hello", id: 42, tags: ["a", "b", "c"], nested: { ok: true, ratio: 0.5 } });
});
app.post("/echo-length", express.raw({ type: () => true }), (request, response) => {
  response.type("text/plain").send(String(request.body.length));
});

export default app;
