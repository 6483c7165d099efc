// express in place: the one line is serveNode(app, { port }) instead of app.listen(port).
import express from "express";
import { serveNode } from "ringloom/node";

const app = express();
app.get("/", (_req, res) => res.send("Hello World!"));

const server = await serveNode(app, { port: 0 });
console.log(`listening ${server.url} ${server.kind}`);
process.once("SIGTERM", () => server.drain());
