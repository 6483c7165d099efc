// The subject of `hono`: Hono on Node through @hono/node-server.
import { serve } from "@hono/node-server";
import app from "./hono-app.js";

serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, (info) => {
  process.stdout.write(`listening http://127.0.0.1:${info.port}\n`);
});
