/**
 * The port of `ringloom dev`, which stays open while shards come and go: whoever connects in between waits and is served by the next one.
 *
 * With the addon the listening socket is the main thread's and each shard accepts from it, so that the queue of connections
 * outlives the shard. Without the addon no descriptor can be shared between threads; then the main thread listens
 * itself and passes bytes on to a shard on a port of its own.
 */
import { createServer, connect as openConnection, type Server, type Socket } from "node:net";
import type { DriverName, ListenAddress } from "../driver/contract.js";
import { errnoError, RingloomError } from "../errors.js";
import { checkNative, loadNative, type NativeAddon } from "../native.js";
import { Listeners } from "../runtime/listeners.js";

/** A port that outlives the shards behind it. */
export interface DevPort {
  readonly host: string;
  readonly port: number;
  /** What the next shard listens on. */
  target(): number | ListenAddress;
  /** The shard serves, on that port of its own where it has one. */
  ready(port: number): void;
  /** The shard is about to be told to stop accepting: nobody may be on the way to its queue when it closes that. */
  draining(): void;
  /** The shard is gone. */
  gone(): void;
  close(): void;
}

/** Where to listen. */
export interface DevPortRequest {
  readonly host: string;
  readonly port: number;
  readonly backlog: number;
  readonly driver: DriverName;
}

/** Opens the port. Rejects with the kernel's code, such as `EADDRINUSE`. */
export async function openDevPort(request: DevPortRequest): Promise<DevPort> {
  const native = loadNative();
  if (native === undefined) return RelayPort.open(request);
  const listeners = await Listeners.open({ ...request, count: 1, reusePort: false });
  const descriptor = listeners.targetFor(0);
  if (typeof descriptor !== "number") throw new RingloomError("ERR_RINGLOOM_CLOSED", "Cannot listen: no descriptor");
  try {
    return new SharedPort(listeners, native, descriptor);
  } catch (error) {
    listeners.closeAll();
    throw error;
  }
}

class SharedPort implements DevPort {
  readonly host: string;
  readonly port: number;
  readonly #listeners: Listeners;
  readonly #descriptor: number;

  constructor(listeners: Listeners, native: NativeAddon, descriptor: number) {
    this.#listeners = listeners;
    this.#descriptor = descriptor;
    const name = checkNative(native.socketName(descriptor), "listen");
    this.host = name.host;
    this.port = name.port;
  }

  target(): number {
    return this.#descriptor;
  }

  ready(): void {}

  draining(): void {}

  gone(): void {}

  close(): void {
    this.#listeners.closeAll();
  }
}

class RelayPort implements DevPort {
  readonly host: string;
  readonly port: number;
  readonly #server: Server;
  readonly #clients = new Set<Socket>();
  /** Clients that have sent something, and that no shard has taken yet. */
  readonly #waiting = new Set<Socket>();
  #shardPort: number | undefined;

  private constructor(server: Server, host: string, port: number) {
    this.#server = server;
    this.host = host;
    this.port = port;
    server.on("connection", (client: Socket) => this.#connected(client));
  }

  static open({ host, port, backlog }: DevPortRequest): Promise<RelayPort> {
    return new Promise((resolve, reject) => {
      const server = createServer({ allowHalfOpen: true, noDelay: true });
      server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)));
      server.listen({ host, port, backlog }, () => {
        const address = server.address();
        const isInet = typeof address === "object" && address !== null;
        resolve(new RelayPort(server, isInet ? address.address : host, isInet ? address.port : port));
      });
    });
  }

  target(): ListenAddress {
    return { host: "127.0.0.1", port: 0, backlog: 511, reusePort: false };
  }

  ready(port: number): void {
    this.#shardPort = port;
    for (const client of this.#waiting) this.#pass(client, port);
  }

  draining(): void {
    this.#shardPort = undefined;
  }

  gone(): void {
    this.#shardPort = undefined;
  }

  close(): void {
    this.#server.close();
    for (const client of this.#clients) client.destroy();
  }

  #connected(client: Socket): void {
    this.#clients.add(client);
    client.on("error", () => client.destroy());
    client.on("close", () => {
      this.#clients.delete(client);
      this.#waiting.delete(client);
    });
    // Not before it has said something: a shard that ends closes connections on which no request has come, and the client would lose the one that it is about to send.
    client.once("readable", () => {
      if (this.#shardPort !== undefined) this.#pass(client, this.#shardPort);
      else this.#waiting.add(client);
    });
  }

  #pass(client: Socket, port: number): void {
    this.#waiting.delete(client);
    const shard = openConnection({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
    let isConnected = false;
    shard.on("connect", () => {
      isConnected = true;
      client.pipe(shard);
      shard.pipe(client);
    });
    shard.on("error", () => {
      if (isConnected) client.destroy();
      else if (!client.destroyed) this.#waiting.add(client);
    });
    shard.on("close", () => {
      if (isConnected && !client.writableFinished) client.end();
    });
    client.on("close", () => shard.destroy());
  }
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): RingloomError {
  const { code, errno } = error;
  if (errno !== undefined && code !== undefined && !code.startsWith("ERR_") && errno < 0)
    return errnoError("listen", -errno, { host, port });
  return new RingloomError(code ?? "EUNKNOWN", `Cannot listen: ${error.message}`, {
    operation: "listen",
    details: { host, port },
    cause: error,
  });
}
