// The subject `bun` of the suite ws: Bun.serve with a WebSocket handler, run by the bun executable.
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: (request, self) => (self.upgrade(request) ? undefined : new Response("no WebSocket", { status: 400 })),
  websocket: { perMessageDeflate: false, message: (socket, message) => void socket.send(message) },
});
console.log(`listening http://127.0.0.1:${server.port}`);
