// fastify's "Your first server" (fastify.dev); its last statement was await fastify.listen({ port: 3000 }).
import Fastify from "fastify";

const fastify = Fastify();

fastify.get("/", async function handler(_request, _reply) {
  return { hello: "world" };
});

export default fastify;
