// The subject `bun` of the suite `mixed`: Bun.serve, the work on its only thread, run by the bun executable.
import { burnMs, millisecondsOf } from "./answer.js";

const text = { headers: { "content-type": "text/plain" } };

const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  routes: { "/hello": () => new Response("hello", text) },
  fetch(request) {
    const ms = millisecondsOf(request.url.slice(request.url.indexOf("/", 8)));
    return ms === undefined ? new Response("not found", { status: 404 }) : new Response(String(burnMs(ms)), text);
  },
});
console.log(`listening http://127.0.0.1:${server.port}`);
