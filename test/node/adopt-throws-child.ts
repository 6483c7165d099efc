/** Adopts descriptor 3 for a server whose `connection` listener throws, and prints whose the descriptor is then. */
import { createServer } from "node:net";
import { createDriver } from "../../src/driver/choose.js";
import type { DriverName } from "../../src/driver/contract.js";
import { NodeServer } from "../../src/node/node-server.js";

const reported: string[] = [];
process.on("uncaughtException", (error) => reported.push(error.message));

const name = process.argv[2] as DriverName;
const server = createServer(() => {
  throw new Error("no guests");
});
const node = new NodeServer(server, {
  createDriver: (options, events) => createDriver(name, options, events),
  sizes: { connectionsMax: 16, writePoolBytes: 1024 * 1024, receiveSlabBytes: name === "portable" ? 0 : 1024 * 1024 },
});
let isTaken: boolean | string;
try {
  isTaken = node.adopt(3);
} catch (error) {
  isTaken = String(error);
}
const { connectionsNow } = node.stats;
// What is reported is thrown in a turn of its own.
await new Promise((resolve) => setTimeout(resolve, 10));
await node.close();
process.stdout.write(JSON.stringify({ isTaken, connectionsNow, reported }));
