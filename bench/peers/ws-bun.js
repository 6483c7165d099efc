// The subject `bun` of the suite ws: Bun.serve with a WebSocket handler, run by the bun executable.
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch(request, self) {
    const isBroadcast = new URL(request.url).pathname === "/broadcast";
    return self.upgrade(request, { data: isBroadcast }) ? undefined : new Response("no WebSocket", { status: 400 });
  },
  websocket: {
    perMessageDeflate: false,
    open: (socket) => void (socket.data && socket.subscribe("all")),
    message: (socket, message) => void (socket.data ? server.publish("all", message) : socket.send(message)),
  },
});
console.log(`listening http://127.0.0.1:${server.port}`);
