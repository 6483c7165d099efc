/** Node's own HTTP server behind the same echo, as a second opinion on each protocol case. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pairsOf, SEEN_HEADER, writeSeen } from "./seen.js";

export interface NodeOracle {
  readonly port: number;
  close(): Promise<void>;
}

/** Starts `node:http` with its strict parser, and with timeouts long enough to play no part. */
export async function startNodeOracle(): Promise<NodeOracle> {
  const server = createServer({ insecureHTTPParser: false, requireHostHeader: true, keepAliveTimeout: 60_000 });
  server.on("request", echo);
  server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
    response.writeContinue();
    echo(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, close: () => closeServer(server) };
}

function echo(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const seen = writeSeen({
      method: request.method ?? "",
      target: request.url ?? "",
      version: request.httpVersion,
      headers: pairsOf(request.rawHeaders),
      trailers: pairsOf(request.rawTrailers),
      body: Buffer.concat(chunks).toString("latin1"),
    });
    if (request.method === "HEAD") response.setHeader(SEEN_HEADER, seen);
    response.end(seen);
  });
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}
