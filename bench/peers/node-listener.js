// A listener of node:http alone, routed by hand, with the headers that a careful user sets.
import v8 from "node:v8";

function sendText(response, text) {
  response.setHeader("content-type", "text/plain");
  response.setHeader("content-length", Buffer.byteLength(text));
  response.end(text);
}

function sendJson(response, value) {
  const text = JSON.stringify(value);
  response.setHeader("content-type", "application/json");
  response.setHeader("content-length", Buffer.byteLength(text));
  response.end(text);
}

function answerLength(request, response) {
  let length = 0;
  request.on("data", (chunk) => {
    length += chunk.length;
  });
  request.on("end", () => sendText(response, String(length)));
}

export default function answer(request, response) {
  const { method, url } = request;
  if (method === "GET" && url.startsWith("/hello/")) {
    sendText(response, `hello ${url.slice(7)}`);
  } else if (method === "GET" && url === "/static") {
    sendText(response, "hello static");
  } else if (method === "GET" && url === "/json") {
    sendJson(response, { message: "hello", id: 42, tags: ["a", "b", "c"], nested: { ok: true, ratio: 0.5 } });
  } else if (method === "POST" && url === "/echo-length") {
    answerLength(request, response);
  } else if (url === "/__heap" && typeof globalThis.gc === "function") {
    globalThis.gc();
    sendJson(response, { heapUsed: v8.getHeapStatistics().used_heap_size });
  } else {
    response.statusCode = 404;
    sendText(response, "not found");
  }
}
