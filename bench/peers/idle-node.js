// The subjects `node-http` and `ws` of the suite memory: node:http, and the package ws on it with compression off. `GET /__gc` collects all garbage first.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const server = createServer((request, response) => {
  if (request.url === "/__gc") globalThis.gc?.();
  response.setHeader("Content-Length", 5);
  response.end("hello");
});
server.keepAliveTimeout = 600_000;
const sockets = new WebSocketServer({ server, path: "/ws", perMessageDeflate: false });
sockets.on("connection", (socket) => {
  socket.on("message", (message, isBinary) => socket.send(message, { binary: isBinary }));
});
server.listen(0, "127.0.0.1", () => console.log(`listening http://127.0.0.1:${server.address().port}`));
