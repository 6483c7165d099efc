// The subject `cluster`: node:http in two processes of node:cluster with its own round-robin; the work is done where the request came in.
import cluster from "node:cluster";
import { createServer } from "node:http";
import { burnMs, listener } from "./answer.js";

const PROCESSES = 2;

if (cluster.isPrimary) {
  let listening = 0;
  cluster.on("listening", (_worker, { port }) => {
    if (++listening === PROCESSES) process.stdout.write(`listening http://127.0.0.1:${port}\n`);
  });
  for (let i = 0; i < PROCESSES; i++) cluster.fork();
  process.on("SIGTERM", () => {
    for (const worker of Object.values(cluster.workers)) worker.process.kill("SIGKILL");
  });
  // Not before they have ended: else nobody awaits them, and they might still run beside the next subject.
  cluster.on("exit", () => {
    if (Object.keys(cluster.workers).length === 0) process.exit(0);
  });
} else {
  createServer(listener(burnMs)).listen(0, "127.0.0.1");
}
