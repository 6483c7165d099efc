/** What the tests of `ringloom/client` share. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer, type Server as HttpServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { HttpClient, type HttpClientOptions, RingloomError } from "../../src/client/index.js";
import { within } from "../support/signal.js";

/** Runs `body` with a client, and ends that; nothing of it may be left. */
export async function withClient(
  options: HttpClientOptions,
  body: (client: HttpClient) => Promise<void>,
): Promise<void> {
  const client = new HttpClient({ proxy: false, ...options });
  try {
    await within("the body of the test", body(client));
  } finally {
    client.destroy();
  }
  await within("the client to close", client.close());
  const { open, idle, connecting, pending, running } = client.stats;
  assert.deepEqual({ open, idle, connecting, pending, running }, NOTHING);
}

const NOTHING = { open: 0, idle: 0, connecting: 0, pending: 0, running: 0 };

/** Runs `body` with the URL of a server of node:http. */
export async function withHttpServer(
  listener: RequestListener,
  body: (url: string, server: HttpServer) => Promise<void>,
): Promise<void> {
  const server = createHttpServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await within("the body of the test", body(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, server));
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** A connection of a server that says what a test wants it to say. */
export interface RawConnection {
  readonly socket: Socket;
  /** How many were accepted before it. */
  readonly index: number;
  /** Resolves with the head of the next request, which ends with an empty line. */
  nextHead(): Promise<string>;
}

/** Runs `body` with the URL of a server whose connections run `script`. */
export async function withRawServer(
  script: (connection: RawConnection) => void | Promise<void>,
  body: (url: string, sockets: ReadonlySet<Socket>) => Promise<void>,
): Promise<void> {
  const sockets = new Set<Socket>();
  let count = 0;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    socket.on("end", () => socket.end());
    const index = count;
    count += 1;
    // A client that has gone leaves the script waiting, which is no failure.
    Promise.resolve(script({ socket, index, nextHead: headReader(socket) })).catch(() => {});
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await within("the body of the test", body(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets));
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

function headReader(socket: Socket): () => Promise<string> {
  let text = "";
  let look: (() => void) | undefined;
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
    look?.();
  });
  return () =>
    new Promise((resolve) => {
      look = () => {
        const end = text.indexOf("\r\n\r\n");
        if (end < 0) return;
        look = undefined;
        const head = text.slice(0, end + 4);
        text = text.slice(end + 4);
        resolve(head);
      };
      look();
    });
}

/** A server that says `answer` to each request. */
export function answering(answer: string | Buffer, then?: "end" | "destroy"): (raw: RawConnection) => Promise<void> {
  return async ({ socket, nextHead }) => {
    for (;;) {
      await nextHead();
      socket.write(answer);
      if (then === "end") socket.end();
      if (then === "destroy") setImmediate(() => socket.destroy());
    }
  };
}

/** The code with which a promise must reject. */
export async function rejection(promise: Promise<unknown>): Promise<RingloomError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof RingloomError, `a RingloomError, not ${String(error)}`);
    return error;
  }
  assert.fail("it was to reject");
}

/** Resolves when `holds` does. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  await within(
    what,
    (async () => {
      while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2));
    })(),
  );
}
