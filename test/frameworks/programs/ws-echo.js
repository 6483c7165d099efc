// ws's own server on a http.Server, beside an ordinary route.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const server = createServer((_request, response) => response.end("plain"));
const sockets = new WebSocketServer({ server, perMessageDeflate: true });
sockets.on("connection", (socket, request) => {
  socket.send(`hello ${request.url}`);
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});

export default server;
