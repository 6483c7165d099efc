/** Node's own HTTP server behind the same echo, as a second opinion on each protocol case. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import type { HttpCase } from "./http-cases.js";
import { collect, parseAnswers } from "./http-wire.js";
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

/**
 * Sends a case to Node and returns the statuses of its final answers. The client half-closes when as many have come as
 * the verdict of the case speaks of, or at once where Node is said to wait for more.
 */
export async function askNode(port: number, from: HttpCase): Promise<number[]> {
  const isHead = headsOf(from);
  const counts = from.node?.statuses.map((list) => list.length) ?? [finalsOf(from).length];
  const count = Math.max(...counts, from.node?.waits === true ? 0 : 1);
  const socket = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on("connect", () => {
    socket.write(from.bytes);
    if (from.clientEnds || from.node?.waits === true || finalsOf(from).length === 0) socket.end();
  });
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    if (countFinals(Buffer.concat(chunks), isHead) >= count) socket.end();
  });
  socket.on("end", () => socket.end());
  const { bytes } = await collect(socket);
  return statusesOf(bytes, isHead);
}

/**
 * What Node was expected to answer and did not; undefined where it agrees with the case, or differs as the case says.
 */
export function oracleProblem(from: HttpCase, statuses: readonly number[]): string | undefined {
  const ours = finalsOf(from).join(", ");
  const nodes = statuses.join(", ");
  const verdict = from.node;
  if (verdict === undefined)
    return nodes === ours
      ? undefined
      : `Node answers ${nodes || "nothing"}, we ${ours || "nothing"}, and the case does not say why`;
  if (verdict.waits) return nodes === ours ? "Node agrees, although the case says that it waits" : undefined;
  const isKnown = verdict.statuses.some((list) => list.join(", ") === nodes);
  return isKnown ? undefined : `Node answers ${nodes || "nothing"}, which the case does not mention`;
}

function finalsOf(from: HttpCase): number[] {
  return from.answers.map(({ status }) => status).filter((status) => status >= 200);
}

function headsOf(from: HttpCase): (index: number) => boolean {
  const finals = from.answers.filter(({ status }) => status >= 200);
  return (index) => finals[index]?.request?.method === "HEAD";
}

function statusesOf(bytes: Buffer, isHead: (index: number) => boolean): number[] {
  return parseAnswers(bytes, isHead)
    .map(({ status }) => status)
    .filter((status) => status >= 200);
}

/** Complete answers so far; a last one that is still incomplete does not count. */
function countFinals(bytes: Buffer, isHead: (index: number) => boolean): number {
  try {
    return statusesOf(bytes, isHead).length;
  } catch {
    return 0;
  }
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
