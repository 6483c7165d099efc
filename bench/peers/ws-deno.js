// The subject `deno` of the suite ws: Deno.serve with Deno.upgradeWebSocket.
const everybody = new Set();
Deno.serve(
  {
    port: 0,
    hostname: "127.0.0.1",
    onListen: ({ port }) => console.log(`listening http://127.0.0.1:${port}`),
  },
  (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.binaryType = "arraybuffer";
    if (new URL(request.url).pathname === "/broadcast") {
      socket.onopen = () => everybody.add(socket);
      socket.onclose = () => everybody.delete(socket);
      socket.onmessage = ({ data }) => {
        for (const one of everybody) one.send(data);
      };
    } else {
      socket.onmessage = ({ data }) => socket.send(data);
    }
    return response;
  },
);
