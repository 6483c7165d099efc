/**
 * Node's own servers on a driver: the driver accepts, receives and sends, and each connection is handed to a `http.Server` (or any other
 * `net.Server`) as a stream, with the event that its own listener would have emitted. So everything that is built on that server runs unchanged: its
 * parser, its timeouts, its upgrades.
 *
 * The server itself never listens. `listening`, `address`, `listen`, `close` and `getConnections` are replaced on the object, so that what asks it gets true answers.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Server as NetServer } from "node:net";
import type { Duplex } from "node:stream";
import type { Driver, DriverEvents, DriverOptions, ListenAddress, Listening } from "../driver/contract.js";
import { reportError } from "../driver/report-error.js";
import { RingloomError } from "../errors.js";
import { resolveHttpLimits } from "../http/limits.js";
import { type HttpDrainOptions, type HttpDrainReport, type HttpServerSizes, resolveSizes } from "../http/server.js";
import type { DriverSocket } from "../io/driver-socket.js";
import { DriverSockets } from "../io/driver-sockets.js";
import { Listeners } from "../io/listeners.js";
import type { AccessLog } from "../observe/access-log.js";
import { AccessNotes } from "./access-notes.js";
import { isHttpServer, isTlsServer } from "./http-servers.js";
import { listensItself } from "./listen-error.js";

/** What is replaced on a server while it is served. */
const REPLACED = ["listening", "address", "listen", "close", "getConnections", "ref", "unref"] as const;

/** How often node:http looks for late requests unless it is told otherwise, and how often it does so here, in milliseconds. */
const CHECKING = "connectionsCheckingInterval";
const CHECKING_MS_OF_NODE = 30_000;
const CHECKING_MS = 1_000;

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
  /** Without the peer taking at least 240 bytes a second of what waits for it, in milliseconds; then the connection closes. 0 is no limit. Default 5,000, as in `HttpLimits`. */
  readonly writeTimeoutMs?: number;
  /** Gets each request that is over. @internal */
  readonly accessLog?: AccessLog;
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
  /** Connections that were cut because their peers took nothing of what waited for them. */
  writeTimeouts: number;
}

/** A connection as node:http keeps it: a {@link DriverSocket}, or the TLS socket around one. */
interface ServedSocket extends Duplex {
  readonly bytesRead: number;
  server?: NetServer;
  /** The response that is being written. */
  _httpMessage?: ServerResponse | null;
  /** Absent before the connection is encrypted, and once it belongs to another protocol. */
  parser?: unknown;
  destroySoon(): void;
}

/**
 * Serves one of Node's servers on one driver, on the calling thread.
 * @experimental
 */
export class NodeServer {
  readonly server: NetServer;
  readonly driver: Driver;
  readonly #sockets: DriverSockets;
  readonly #stats: NodeServerStats = { connectionsNow: 0, requests: 0, resets: 0, rejected: 0, writeTimeouts: 0 };
  readonly #listeners: Listeners;
  /** Connections that are encrypted, of a TLS server: what node:http knows of a connection stands on these. */
  readonly #secure = new Set<ServedSocket>();
  readonly #access: AccessNotes | undefined;
  readonly #onRequest = (request: IncomingMessage, response: ServerResponse): void => this.#request(request, response);
  readonly #onSecure = (socket: ServedSocket): void => this.#secured(socket);
  #isReferenced = true;
  /** What the driver was told last. */
  #isHeld = true;
  #isCheckedOften = false;
  #isDraining = false;
  #hasListened = false;
  /** Whether the program has closed its server, as it would have without us. */
  #isClosed = false;
  /** Called when the last connection is gone. */
  #onEmpty: (() => void)[] = [];
  #finished = 0;
  #closedIdle = 0;
  #forced = 0;
  #drain: Promise<HttpDrainReport> | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Throws what `createDriver` throws, `ERR_RINGLOOM_LISTENS_ITSELF` for a server that listens or is served already, and `ERR_RINGLOOM_INVALID_OPTION` for
   * a timeout that is not allowed.
   */
  constructor(server: NetServer, options: NodeServerOptions) {
    if (server.listening) throw listensItself("the server is listening already");
    this.server = server;
    const { receiveSlabBytes, ...sizes } = resolveSizes(options.sizes);
    this.#sockets = new DriverSockets({
      allowHalfOpen: (server as { allowHalfOpen?: boolean }).allowHalfOpen ?? true,
      writeTimeoutMs: writeTimeoutMsOf(options),
      connection: (socket) => this.#connection(socket),
      closed: (errno) => this.#closed(errno),
      listenerStopped: (listener) => this.#listeners.stopped(listener),
    });
    const receiveSlab = { bytes: new Uint8Array(receiveSlabBytes), offset: 0, length: receiveSlabBytes };
    this.driver = options.createDriver({ ...sizes, receiveSlab }, this.#sockets);
    this.#sockets.attach(this.driver);
    this.#listeners = new Listeners(this.driver);
    this.#access = options.accessLog === undefined ? undefined : new AccessNotes(options.accessLog);
    this.#takeOver();
  }

  /** Counters and gauges, current. */
  get stats(): NodeServerStats {
    this.#stats.connectionsNow = this.#sockets.count;
    this.#stats.writeTimeouts = this.#sockets.writeTimeouts;
    return this.#stats;
  }

  /** Starts to accept; see `Driver.listen`. The server emits `listening`. Rejects with the kernel's code, such as `EADDRINUSE`. */
  async listen(target: number | ListenAddress): Promise<Listening> {
    const listening = await this.#listeners.start(target);
    const { listener, host, port } = listening;
    this.#sockets.addresses.set(listener, { host, port });
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
    if (slot < 0) return false;
    try {
      this.#sockets.accepted(slot, listener);
    } catch (error) {
      // As when the driver itself has accepted. The caller must not close a descriptor that is ours.
      reportError(error);
    }
    return true;
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

  /** Cuts every connection; the idle ones are not counted as cut. A drain in progress then ends. */
  cut(): void {
    const before = this.#sockets.count;
    const idle = this.#closeIdle() + this.#closeSilent();
    const goneAlready = before - this.#sockets.count;
    this.#closedIdle += idle;
    this.#forced += this.#sockets.closeAll() - (idle - goneAlready);
  }

  /** Stops at once and resolves when the driver has let go of everything. */
  close(): Promise<void> {
    this.#closing ??= this.#closeOnce();
    return this.#closing;
  }

  #takeOver(): void {
    const { server } = this;
    define(server, "listening", { get: () => this.#hasListened && !this.#listeners.isStopping });
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
    if (!isHttpServer(server)) return;
    server.prependListener("request", this.#onRequest);
    if (isTlsServer(server)) server.prependListener("secureConnection", this.#onSecure);
    // Read when it hears that it listens. A server that was told how often keeps that.
    if (Reflect.get(server, CHECKING) !== CHECKING_MS_OF_NODE) return;
    Reflect.set(server, CHECKING, CHECKING_MS);
    this.#isCheckedOften = true;
  }

  #referenced(isReferenced: boolean): NetServer {
    this.#isReferenced = isReferenced;
    this.#updateReference();
    return this.server;
  }

  /** As node:net has it: `unref()` is about the listener. Connections, and a server that is being closed, keep the process alive. */
  #updateReference(): void {
    const isHeld = this.#isReferenced || this.#isClosed || this.#sockets.count > 0;
    if (isHeld === this.#isHeld) return;
    this.#isHeld = isHeld;
    if (isHeld) this.driver.ref();
    else this.driver.unref();
  }

  #address(): { address: string; family: string; port: number } | null {
    for (const listener of this.#listeners.running) {
      const address = this.#sockets.addresses.get(listener);
      if (address === undefined) continue;
      return { address: address.host, family: address.host.includes(":") ? "IPv6" : "IPv4", port: address.port };
    }
    return null;
  }

  /** What `server.close()` means: no new connections, those that are idle now end, and `close` is emitted when all are gone. */
  #closeAsNode(done?: (error?: Error) => void): NetServer {
    const hasListened = this.#hasListened;
    if (typeof done === "function") this.server.once("close", () => (hasListened ? done() : done(notRunning())));
    if (this.#isClosed) return this.server;
    this.#isClosed = true;
    this.#updateReference();
    this.#closeIdle();
    void this.#listeners
      .stop()
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

  #connection(socket: DriverSocket & { server?: NetServer }): void {
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
    this.#updateReference();
    server.emit("connection", socket);
  }

  #closed(errno: number): void {
    if (errno !== 0) this.#stats.resets += 1;
    if (this.#sockets.count > 0) return;
    this.#updateReference();
    for (const resolve of this.#onEmpty.splice(0)) resolve();
  }

  #secured(socket: ServedSocket): void {
    this.#secure.add(socket);
    socket.once("close", () => this.#secure.delete(socket));
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    this.#stats.requests += 1;
    this.#access?.begun(request, response);
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
    await this.#listeners.stop();
    await options.listenerStopped?.();
    this.#isDraining = true;
    for (const { _httpMessage: response } of this.#served())
      if (response !== undefined && response !== null) this.#finishWith(response);
    let idleScan: NodeJS.Timeout | undefined;
    // Not unref'd: the process must live until its last answer has left.
    const grace = setTimeout(() => {
      this.#closedIdle += this.#closeIdle() + this.#closeSilent();
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
      connectionsClosedIdle: this.#closedIdle,
      connectionsForced: this.#forced,
      ms: Math.round(performance.now() - start),
    };
  }

  /** What node:http speaks on. */
  #served(): Iterable<ServedSocket> {
    return isTlsServer(this.server) ? this.#secure : this.#sockets.live();
  }

  /** Closes the connections without a request; their last answers still leave. Returns how many there were. */
  #closeIdle(): number {
    const { server } = this;
    if (!isHttpServer(server)) return 0;
    const spoken = [...this.#served()].filter(({ parser }) => parser);
    const idle = destroyedBy(spoken, () => server.closeIdleConnections());
    let count = 0;
    for (const socket of idle) {
      // It calls a response over that was ended, even where most of it has not left.
      if (!socket._httpMessage && closeSoon(socket)) count += 1;
    }
    return count;
  }

  /** Closes the connections that have sent nothing at all, which are not idle for node:http. Returns how many there were. */
  #closeSilent(): number {
    const { server } = this;
    if (!isHttpServer(server)) return 0;
    let count = 0;
    for (const socket of [...this.#secure, ...this.#sockets.live()])
      if (socket.bytesRead === 0 && closeSoon(socket)) count += 1;
    return count;
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
    this.#listeners.refuse();
    this.#sockets.closeAll();
    await this.driver.shutdown();
    this.#sockets.stop();
    for (const name of REPLACED) Reflect.deleteProperty(this.server, name);
    this.server.removeListener("request", this.#onRequest);
    this.server.removeListener("secureConnection", this.#onSecure);
    if (this.#isCheckedOften) Reflect.set(this.server, CHECKING, CHECKING_MS_OF_NODE);
    if (this.#hasListened || this.#isClosed) this.#finishServer();
  }
}

/** What node:net says of a server that is closed before it has listened. */
function notRunning(): RingloomError {
  return new RingloomError("ERR_SERVER_NOT_RUNNING", "Cannot close: the server is not running", { operation: "close" });
}

function writeTimeoutMsOf({ writeTimeoutMs }: NodeServerOptions): number {
  return resolveHttpLimits(writeTimeoutMs === undefined ? {} : { writeTimeoutMs }).writeTimeoutMs;
}

function define(server: NetServer, name: (typeof REPLACED)[number], descriptor: PropertyDescriptor): void {
  Object.defineProperty(server, name, { ...descriptor, configurable: true });
}

/** Ends a connection that is open still, behind what was written to it. Returns whether it was. */
function closeSoon(socket: ServedSocket): boolean {
  if (socket.writableEnded || socket.destroyed) return false;
  socket.destroySoon();
  return true;
}

/** Runs `work` and returns those of `sockets` that it would have destroyed, and has not. */
function destroyedBy(sockets: readonly ServedSocket[], work: () => void): Set<ServedSocket> {
  const found = new Set<ServedSocket>();
  function destroy(this: ServedSocket): ServedSocket {
    found.add(this);
    return this;
  }
  const own = sockets.map((socket) => Object.getOwnPropertyDescriptor(socket, "destroy"));
  for (const socket of sockets)
    Object.defineProperty(socket, "destroy", { value: destroy, configurable: true, writable: true });
  try {
    work();
  } finally {
    for (const [index, socket] of sockets.entries()) {
      Reflect.deleteProperty(socket, "destroy");
      const descriptor = own[index];
      if (descriptor !== undefined) Object.defineProperty(socket, "destroy", descriptor);
    }
  }
  return found;
}
