// The subject of `ringloom-fetch`: one web-standard handler that routes by itself, written like the ones for Bun and Deno.
import v8 from "node:v8";

const text = { headers: { "content-type": "text/plain" } };

export default {
  async fetch(request) {
    const path = request.url.slice(request.url.indexOf("/", 8));
    if (request.method === "GET" && path.startsWith("/hello/")) return new Response(`hello ${path.slice(7)}`, text);
    if (request.method === "GET" && path === "/static") return new Response("hello static", text);
    if (request.method === "GET" && path === "/json") {
      return Response.json({ message: "hello", id: 42, tags: ["a", "b", "c"], nested: { ok: true, ratio: 0.5 } });
    }
    if (request.method === "POST" && path === "/echo-length") {
      return new Response(String((await request.arrayBuffer()).byteLength), text);
    }
    if (path === "/__heap" && typeof globalThis.gc === "function") {
      globalThis.gc();
      return Response.json({ heapUsed: v8.getHeapStatistics().used_heap_size });
    }
    return new Response("not found", { status: 404 });
  },
};
