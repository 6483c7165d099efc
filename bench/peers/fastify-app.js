// fastify as its guide shows it, logging off, a response schema for JSON, bodies as buffers.
import Fastify from "fastify";

const app = Fastify();
app.addContentTypeParser("application/octet-stream", { parseAs: "buffer" }, (_request, body, done) => done(null, body));

const jsonSchema = {
  type: "object",
  properties: {
    message: { type: "string" },
    id: { type: "integer" },
    tags: { type: "array", items: { type: "string" } },
    nested: { type: "object", properties: { ok: { type: "boolean" }, ratio: { type: "number" } } },
  },
};

app.get("/hello/:name", (request, reply) => {
  reply.type("text/plain").send(`hello ${request.params.name}`);
});
app.get("/static", (_request, reply) => {
  reply.type("text/plain").send("hello static");
});
app.get("/json", { schema: { response: { 200: jsonSchema } } }, (_request, reply) => {
  reply.send({ message: "hello", id: 42, tags: ["a", "b", "c"], nested: { ok: true, ratio: 0.5 } });
});
app.post("/echo-length", (request, reply) => {
  reply.type("text/plain").send(String(request.body.length));
});

export default app;
