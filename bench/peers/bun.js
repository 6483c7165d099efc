// The subject of `bun`: Bun.serve with its own router, run by the bun executable.
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  routes: {
    "/hello/:name": (request) =>
      new Response(`hello ${request.params.name}`, { headers: { "content-type": "text/plain" } }),
    "/static": () => new Response("hello static", { headers: { "content-type": "text/plain" } }),
    "/json": () => Response.json({ message: "hello", id: 42, tags: ["a", "b", "c"], nested: { ok: true, ratio: 0.5 } }),
    "/echo-length": {
      POST: async (request) => new Response(String((await request.arrayBuffer()).byteLength)),
    },
  },
  fetch: () => new Response("not found", { status: 404 }),
});
console.log(`listening http://127.0.0.1:${server.port}`);
