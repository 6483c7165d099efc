// The subject of `fastify`.
import app from "./fastify-app.js";

await app.listen({ port: 0, host: "127.0.0.1" });
process.stdout.write(`listening http://127.0.0.1:${app.server.address().port}\n`);
