// What services do, with express.
import { Readable } from "node:stream";
import express from "express";

const app = express();
app.use(express.json());
app.post("/json", (req, res) => res.status(201).json(req.body));
app.post("/upload", (req, res) => {
  let length = 0;
  req.on("data", (chunk) => (length += chunk.length));
  req.on("end", () => res.send(String(length)));
});
app.get("/stream", (_req, res) => Readable.from(["one ", "two ", "three"]).pipe(res));
app.get("/large", (_req, res) => res.type("text").send("x".repeat(2_000_000)));
app.get("/slow", (_req, res) => setTimeout(() => res.send("slow"), 700));
app.get("/error", async () => {
  throw new Error("express caught it");
});
app.use((error, _req, res, _next) => res.status(500).json({ error: error.message }));

export default app;
