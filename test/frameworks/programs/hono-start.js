// Hono's "Hello World" (hono.dev); on Node its last statement was serve(app) of @hono/node-server.
import { Hono } from "hono";

const app = new Hono();
app.get("/", (c) => c.text("Hello Hono!"));

export default app;
