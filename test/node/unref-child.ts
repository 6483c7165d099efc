/** A server without `ref` beside nothing else that lives: an open connection keeps the process until it is answered, and `close()` until it is done. */
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import { createDriver } from "../../src/driver/choose.js";
import type { DriverName } from "../../src/driver/contract.js";
import { NodeServer } from "../../src/node/node-server.js";

const name = process.argv[2] as DriverName;
const steps: string[] = [];
process.on("exit", () => process.stdout.write(JSON.stringify(steps)));

const server = createServer((_, response) => setTimeout(() => response.end("late"), 50).unref());
const node = new NodeServer(server, {
  createDriver: (options, events) => createDriver(name, options, events),
  sizes: { connectionsMax: 16, writePoolBytes: 1024 * 1024, receiveSlabBytes: name === "portable" ? 0 : 1024 * 1024 },
});
const { host, port } = await node.listen({ host: "127.0.0.1", port: 0, backlog: 16, reusePort: false });
const socket = connect(port, host);
await once(socket, "connect");
socket.unref();
server.unref();
socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
const [answer] = (await once(socket, "data")) as [Buffer];
steps.push(answer.toString("latin1").split("\r\n", 1)[0] ?? "");
await once(socket, "close");
await new Promise<void>((resolve) => server.close(() => resolve()));
steps.push("closed");
