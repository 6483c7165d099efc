// What services do, with fastify: a plugin, a schema, streams, an error handler, hooks.
import { Readable } from "node:stream";
import Fastify from "fastify";

const app = Fastify({ bodyLimit: 20_000_000 });
app.addContentTypeParser("application/octet-stream", (_request, payload, done) => done(null, payload));
app.register(async (plugin) => {
  plugin.post("/json", { schema: { body: { type: "object", required: ["a"] } } }, async (request, reply) =>
    reply.code(201).send(request.body),
  );
});
app.post("/upload", async (request) => {
  let length = 0;
  for await (const chunk of request.body) length += chunk.length;
  return String(length);
});
app.get("/stream", (_request, reply) => reply.send(Readable.from(["one ", "two ", "three"])));
app.get("/large", (_request, reply) => reply.type("text/plain").send("x".repeat(2_000_000)));
app.get("/slow", async () => {
  await new Promise((resolve) => setTimeout(resolve, 700));
  return "slow";
});
app.get("/error", async () => {
  throw new Error("fastify caught it");
});
app.setErrorHandler((error, _request, reply) => reply.code(error.statusCode ?? 500).send({ error: error.message }));
app.addHook("onClose", async () => console.log("fastify closed"));

export default app;
