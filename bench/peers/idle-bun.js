// The subject `bun` of the suite memory: Bun.serve. `GET /__gc` collects all garbage first.
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  idleTimeout: 255,
  fetch(request, self) {
    const { pathname } = new URL(request.url);
    if (pathname === "/ws") return self.upgrade(request) ? undefined : new Response("no WebSocket", { status: 400 });
    if (pathname === "/__gc") Bun.gc(true);
    return new Response("hello");
  },
  websocket: {
    perMessageDeflate: false,
    idleTimeout: 600,
    message: (socket, message) => void socket.send(message),
  },
});
console.log(`listening http://127.0.0.1:${server.port}`);
