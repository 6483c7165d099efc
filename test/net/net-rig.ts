/** What the tests of `ringloom/net` share. */

import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { setTimeout } from "node:timers/promises";
import { type ConnectOptions, connect, listen, type NetListener, type NetStream } from "../../src/net/index.js";
import { within } from "../support/signal.js";

export interface Pair {
  readonly listener: NetListener;
  readonly client: NetStream;
  readonly server: NetStream;
}

/** Runs `body` with both ends of a connection, and ends them. */
export async function withPair(body: (pair: Pair) => Promise<void>, options: ConnectOptions = {}): Promise<void> {
  const listener = await listen({ host: "127.0.0.1", port: 0 }, options);
  const [client, server] = await Promise.all([connect({ port: listener.port }, options), listener.accept()]);
  try {
    await within("the body of the test", body({ listener, client, server }));
  } finally {
    client.destroy();
    server.destroy();
    await within("the streams to close", Promise.all([client.closed, server.closed, listener.close()]));
  }
}

/** Runs `body` with a server of node:net. */
export async function withNodeServer(
  handler: (socket: Socket) => void,
  body: (port: number, server: Server) => Promise<void>,
): Promise<void> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    handler(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await within("the body of the test", body((server.address() as AddressInfo).port, server));
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

/** A port of the loopback address where nobody listens. */
export async function unusedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Resolves when `holds` does. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  await within(
    what,
    (async () => {
      while (!holds()) await setTimeout(1);
    })(),
  );
}
