// The subjects `ws` and `ws26`: the package ws on node:http, compression off, sending every message back.
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false });
server.on("connection", (socket) => {
  socket.on("message", (message, isBinary) => socket.send(message, { binary: isBinary }));
});
server.on("listening", () => console.log(`listening http://127.0.0.1:${server.address().port}`));
