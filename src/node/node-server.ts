/**
 * Node's own servers on a driver: the driver accepts, receives and sends, and each connection is handed to a `http.Server` (or any other
 * `net.Server`) as a stream, with the event that its own listener would have emitted. So everything that is built on that server runs unchanged: its
 * parser, its timeouts, its upgrades.
 *
 * The server itself never listens. `listening`, `address`, `listen`, `close` and `getConnections` are replaced on the object, so that what asks it gets true answers.
 */
import { Server as HttpServerOfNode, type IncomingMessage, type ServerResponse } from "node:http";
import type { Server as NetServer } from "node:net";
import { assert } from "../assert.js";
import type { Driver, DriverEvents, DriverOptions, ListenAddress, Listening } from "../driver/contract.js";
import { RingloomError } from "../errors.js";
import { type HttpDrainOptions, type HttpDrainReport, type HttpServerSizes, resolveSizes } from "../http/server.js";
import type { DriverSocket } from "../io/driver-socket.js";
import { DriverSockets } from "../io/driver-sockets.js";
import { listensItself } from "./listen-error.js";

/** What is replaced on a server while it is served. */
const REPLACED = ["listening", "address", "listen", "close", "getConnections", "ref", "unref"] as const;

/** How often a drain looks for connections that have become idle, in milliseconds. */
const IDLE_SCAN_MS = 50;

/**
 * Options of a {@link NodeServer}.
 * @experimental
 */
export interface NodeServerOptions {
  /** Makes the driver, so that the server knows no concrete one. */
  readonly createDriver: (options: DriverOptions, events: DriverEvents) => Driver;
  /** Sizes other than the defaults. */
  readonly sizes?: Partial<HttpServerSizes>;
}

/**
 * What a {@link NodeServer} counts. The counters only grow, except where a name says `Now`.
 * @experimental
 */
export interface NodeServerStats {
  connectionsNow: number;
  /** Requests that reached the server's `request` event. */
  requests: number;
  /** Connections that broke. */
  resets: number;
  /** Connections that the server's `maxConnections` refused. */
  rejected: number;
}

/** The connection of a response, as node:http keeps it. */
interface ServedSocket extends DriverSocket {
  server?: NetServer;
  /** The response that is being written. */
  _httpMessage?: ServerResponse | null;
  /** Absent once the connection belongs to another protocol. */
  parser?: unknown;
}

/**
 * Serves one of Node's servers on one driver, on the calling thread.
 * @experimental
 */
export class NodeServer {
  readonly server: NetServer;
  readonly driver: Driver;
  readonly #sockets: DriverSockets;
  readonly #stats: NodeServerStats = { connectionsNow: 0, requests: 0, resets: 0, rejected: 0 };
  /** By listener: whom to tell when it has stopped. */
  readonly #listeners = new Map<number, (() => void)[]>();
  /** Listeners that have not begun yet. */
  readonly #starting = new Set<Promise<Listening>>();
  readonly #onRequest = (_request: IncomingMessage, response: ServerResponse): void => this.#request(response);
  #isDraining = false;
  #hasListened = false;
  /** Whether the program has closed its server, as it would have without us. */
  #isClosed = false;
  /** Called when the last connection is gone. */
  #onEmpty: (() => void)[] = [];
  #finished = 0;
  #forced = 0;
  #drain: Promise<HttpDrainReport> | undefined;
  #closing: Promise<void> | undefined;

  /** Throws what `createDriver` throws, and `ERR_RINGLOOM_INVALID_OPTION` for a server that listens or is served already. */
  constructor(server: NetServer, options: NodeServerOptions) {
    if (server.listening) throw listensItself("the server is listening already");
    this.server = server;
    const { receiveSlabBytes, ...sizes } = resolveSizes(options.sizes);
    this.#sockets = new DriverSockets({
      allowHalfOpen: (server as { allowHalfOpen?: boolean }).allowHalfOpen ?? true,
      connection: (socket) => this.#connection(socket),
      closed: (errno) => this.#closed(errno),
      listenerStopped: (listener) => this.#listenerStopped(listener),
    });
    const receiveSlab = { bytes: new Uint8Array(receiveSlabBytes), offset: 0, length: receiveSlabBytes };
    this.driver = options.createDriver({ ...sizes, receiveSlab }, this.#sockets);
    this.#sockets.attach(this.driver);
    this.#takeOver();
  }

  /** Counters and gauges, current. */
  get stats(): NodeServerStats {
    this.#stats.connectionsNow = this.#sockets.count;
    return this.#stats;
  }

  /** Starts to accept; see `Driver.listen`. The server emits `listening`. Rejects with the kernel's code, such as `EADDRINUSE`. */
  async listen(target: number | ListenAddress): Promise<Listening> {
    if (this.#isStopping) throw stopping();
    const starting = this.driver.listen(target);
    this.#starting.add(starting);
    let listening: Listening;
    try {
      listening = await starting;
    } finally {
      this.#starting.delete(starting);
    }
    const { listener, host, port } = listening;
    this.#listeners.set(listener, []);
    this.#sockets.addresses.set(listener, { host, port });
    if (this.#isStopping) {
      this.driver.stopListening(listener);
      throw stopping();
    }
    this.#hasListened = true;
    // node:http starts to watch its connections' timeouts when it hears this.
    this.server.emit("listening");
    return listening;
  }

  /**
   * Serves a connection that somebody else has accepted on the same address, and owns its descriptor from then on. Returns false when there is no free slot; the
   * descriptor then stays the caller's. Throws the kernel's code when it is no stream socket.
   */
  adopt(descriptor: number): boolean {
    const slot = this.driver.adopt(descriptor);
    const [listener = -1] = this.#sockets.addresses.keys();
    if (slot >= 0) this.#sockets.accepted(slot, listener);
    return slot >= 0;
  }

  /**
   * Stops in order: accepts those who wait and no more; answers what has begun, with `Connection: close` where the head has not left; closes
   * idle connections after the grace time; cuts the rest at the deadline, connections of other protocols included. Calling it again returns
   * the same promise.
   */
  drain(options: HttpDrainOptions = {}): Promise<HttpDrainReport> {
    this.#drain ??= this.#drainOnce(options);
    return this.#drain;
  }

  /** Cuts every connection. A drain in progress then ends. */
  cut(): void {
    this.#forced += this.#sockets.closeAll();
  }

  /** Stops at once and resolves when the driver has let go of everything. */
  close(): Promise<void> {
    this.#closing ??= this.#closeOnce();
    return this.#closing;
  }

  get #isStopping(): boolean {
    return this.#isClosed || this.#drain !== undefined || this.#closing !== undefined;
  }

  #takeOver(): void {
    const { server } = this;
    define(server, "listening", { get: () => this.#listeners.size > 0 && !this.#isStopping });
    define(server, "address", { value: () => this.#address() });
    define(server, "listen", {
      value: () => {
        throw listensItself("Ringloom serves it");
      },
    });
    define(server, "close", { value: (done?: (error?: Error) => void) => this.#closeAsNode(done) });
    define(server, "ref", { value: () => this.#referenced(true) });
    define(server, "unref", { value: () => this.#referenced(false) });
    define(server, "getConnections", {
      value: (done: (error: Error | null, count: number) => void) => {
        process.nextTick(done, null, this.#sockets.count);
        return server;
      },
    });
    if (server instanceof HttpServerOfNode) {
      server.prependListener("request", this.#onRequest);
    }
  }

  #referenced(isReferenced: boolean): NetServer {
    if (isReferenced) this.driver.ref();
    else this.driver.unref();
    return this.server;
  }

  #address(): { address: string; family: string; port: number } | null {
    for (const listener of this.#listeners.keys()) {
      const address = this.#sockets.addresses.get(listener);
      if (address === undefined) continue;
      return { address: address.host, family: address.host.includes(":") ? "IPv6" : "IPv4", port: address.port };
    }
    return null;
  }

  /** What `server.close()` means: no new connections, those that are idle now end, and `close` is emitted when all are gone. */
  #closeAsNode(done?: (error?: Error) => void): NetServer {
    if (typeof done === "function") this.server.once("close", () => done());
    if (this.#isClosed) return this.server;
    this.#isClosed = true;
    this.#closeIdle();
    void this.#stopListening()
      .then(() => this.#untilEmpty())
      .then(() => this.close());
    return this.server;
  }

  #untilEmpty(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEmpty.push(resolve);
      if (this.#sockets.count === 0) resolve();
    });
  }

  #connection(socket: ServedSocket): void {
    const { server } = this;
    const { maxConnections } = server;
    if (maxConnections && this.#sockets.count > maxConnections) {
      this.#stats.rejected += 1;
      const { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily } = socket;
      socket.destroy();
      server.emit("drop", { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily });
      return;
    }
    socket.server = server;
    server.emit("connection", socket);
  }

  #closed(errno: number): void {
    if (errno !== 0) this.#stats.resets += 1;
    if (this.#sockets.count > 0) return;
    for (const resolve of this.#onEmpty.splice(0)) resolve();
  }

  #request(response: ServerResponse): void {
    this.#stats.requests += 1;
    if (this.#isDraining) this.#finishWith(response);
  }

  /** The connection ends with this response; a client that pipelined more behind it is told by `Connection: close` that it got no answer. */
  #finishWith(response: ServerResponse): void {
    if (!response.headersSent) response.shouldKeepAlive = false;
    response.once("finish", () => (this.#finished += 1));
  }

  async #drainOnce(options: HttpDrainOptions): Promise<HttpDrainReport> {
    const { graceMs = 250, deadlineMs = 30_000 } = options;
    const start = performance.now();
    await this.#stopListening();
    // A listener that was about to begin stops as soon as it has, and whom it accepted is drained too.
    await Promise.allSettled(this.#starting);
    await this.#stopListening();
    await options.listenerStopped?.();
    this.#isDraining = true;
    for (const socket of this.#sockets.live() as Iterable<ServedSocket>) {
      const response = socket._httpMessage;
      if (response !== undefined && response !== null) this.#finishWith(response);
    }
    let closedIdle = 0;
    let idleScan: NodeJS.Timeout | undefined;
    // Not unref'd: the process must live until its last answer has left.
    const grace = setTimeout(() => {
      closedIdle += this.#closeIdle();
      // An answer whose head had left before cannot say that its connection ends, so that one ends when it is idle.
      idleScan = setInterval(() => this.#closeIdle(), IDLE_SCAN_MS);
    }, graceMs);
    const leftMs = Math.max(0, deadlineMs - (performance.now() - start));
    const deadline = Number.isFinite(leftMs) ? setTimeout(() => this.cut(), leftMs) : undefined;
    await this.#untilEmpty();
    clearTimeout(grace);
    clearInterval(idleScan);
    clearTimeout(deadline);
    return {
      requestsFinished: this.#finished,
      connectionsClosedIdle: closedIdle,
      connectionsForced: this.#forced,
      ms: Math.round(performance.now() - start),
    };
  }

  /** Closes the connections without a request. node:http knows which those are; their last answers still leave. */
  #closeIdle(): number {
    const { server } = this;
    if (!(server instanceof HttpServerOfNode)) return 0;
    const before = this.#sockets.openNow;
    this.#sockets.isClosingGently = true;
    try {
      server.closeIdleConnections();
    } finally {
      this.#sockets.isClosingGently = false;
    }
    return before - this.#sockets.openNow;
  }

  #stopListening(): Promise<unknown> {
    const stopped = [...this.#listeners].map(
      ([listener, waiting]) =>
        new Promise<void>((resolve) => {
          waiting.push(resolve);
          this.driver.stopListening(listener);
        }),
    );
    return Promise.all(stopped);
  }

  #listenerStopped(listener: number): void {
    const waiting = this.#listeners.get(listener);
    assert(waiting !== undefined, "a listener that stops was started");
    this.#listeners.delete(listener);
    for (const resolve of waiting) resolve();
  }

  /** The server never listened itself, but this ends its timer and emits "close". Nobody is idle any more, so that it does not have to look. */
  #finishServer(): void {
    const { server } = this;
    const own = Object.getOwnPropertyDescriptor(server, "closeIdleConnections");
    Object.defineProperty(server, "closeIdleConnections", { value: () => undefined, configurable: true });
    server.close();
    Reflect.deleteProperty(server, "closeIdleConnections");
    if (own !== undefined) Object.defineProperty(server, "closeIdleConnections", own);
  }

  async #closeOnce(): Promise<void> {
    this.#sockets.closeAll();
    await this.driver.shutdown();
    this.#sockets.timeouts.stop();
    for (const name of REPLACED) Reflect.deleteProperty(this.server, name);
    this.server.removeListener("request", this.#onRequest);
    if (this.#hasListened) this.#finishServer();
  }
}

function define(server: NetServer, name: (typeof REPLACED)[number], descriptor: PropertyDescriptor): void {
  Object.defineProperty(server, name, { ...descriptor, configurable: true });
}

function stopping(): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", "Cannot listen: the server is stopping", { operation: "listen" });
}
