// The subject of `deno`: Deno.serve, which has no router, with the same routing by hand as node-http.
const text = { headers: { "content-type": "text/plain" } };

async function handle(request) {
  const path = request.url.slice(request.url.indexOf("/", 8));
  if (request.method === "GET" && path.startsWith("/hello/")) return new Response(`hello ${path.slice(7)}`, text);
  if (request.method === "GET" && path === "/static") return new Response("hello static", text);
  if (request.method === "GET" && path === "/json") {
    return Response.json({ message: "hello", id: 42, tags: ["a", "b", "c"], nested: { ok: true, ratio: 0.5 } });
  }
  if (request.method === "POST" && path === "/echo-length") {
    return new Response(String((await request.arrayBuffer()).byteLength), text);
  }
  return new Response("not found", { status: 404 });
}

function listening({ port }) {
  console.log(`listening http://127.0.0.1:${port}`);
}

Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: listening }, handle);
