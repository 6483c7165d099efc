// The subject `node-net` of the suite `net`: a node:net client with writes that wait for `drain` and reads out of `data` events.
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { Inbox, measure } from "./shapes.js";

async function open(port) {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  const inbox = new Inbox();
  socket.on("data", (chunk) => inbox.push(chunk));
  return {
    write: (bytes) => (socket.write(bytes) ? undefined : once(socket, "drain")),
    readExact: (target) => inbox.readExact(target),
    close: () => socket.destroy(),
  };
}

async function openServer() {
  const server = createServer((socket) => socket.end().resume()).listen(0, "127.0.0.1", 511);
  await once(server, "listening");
  const { port } = server.address();
  const visit = () =>
    new Promise((resolve, reject) => {
      connect({ port, host: "127.0.0.1", noDelay: true }).on("error", reject).on("close", resolve).resume();
    });
  return { visit, close: () => server.close() };
}

await measure(open, { openServer });
