// The subjects `ws` and `ws26`: the package ws on node:http, compression off, sending every message back, or at /broadcast to everybody.
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false });
server.on("connection", (socket, request) => {
  if (request.url === "/broadcast") {
    // The package has no topics; this is the loop of its documentation.
    socket.on("message", (message, isBinary) => {
      for (const client of server.clients) if (client.readyState === 1) client.send(message, { binary: isBinary });
    });
    return;
  }
  socket.on("message", (message, isBinary) => socket.send(message, { binary: isBinary }));
});
server.on("listening", () => console.log(`listening http://127.0.0.1:${server.address().port}`));
