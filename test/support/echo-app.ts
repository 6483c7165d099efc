/** An app that answers every request with what it saw of it. */
import { App, type Context } from "../../src/http/index.js";
import { pairsOf, SEEN_HEADER, type SeenRequest, writeSeen } from "./seen.js";

/**
 * Requests without a body are answered synchronously; the others after the body, so that their head is read after an
 * `await`.
 */
export function echoApp(): App {
  const app = new App();
  app.notFound((c) => {
    const head = c.liveHead();
    const hasBody = head.find("content-length", 0) >= 0 || head.find("transfer-encoding", 0) >= 0;
    return hasBody ? echoBody(c) : answer(c, "", []);
  });
  return app;
}

async function echoBody(c: Context): Promise<ReturnType<typeof answer>> {
  const body = await c.bytes();
  return answer(c, Buffer.from(body).toString("latin1"), c.request.trailers ?? []);
}

function answer(c: Context, body: string, trailers: readonly string[]): ReturnType<Context["text"]> {
  const head = c.liveHead();
  const headers: [string, string][] = [];
  for (let index = 0; index < head.headerCount; index++)
    headers.push([head.name(index).toLowerCase(), head.value(index)]);
  const seen: SeenRequest = {
    method: c.method,
    target: head.target(),
    version: `1.${head.minorVersion}`,
    headers,
    trailers: pairsOf(trailers),
    body,
  };
  const text = writeSeen(seen);
  if (c.method === "HEAD") c.setHeader(SEEN_HEADER, text);
  return c.text(text, 200);
}
