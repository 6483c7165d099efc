/**
 * Listeners of the portable driver, over node:net.
 *
 * Stopping must deliver the connections that wait in the kernel's queue: closing the socket would reset them. libuv accepts one connection per
 * listener and poll (several in older versions), so the queue is known to be empty after a whole turn of the loop that accepted none.
 */
import { createServer, type ListenOptions, type Server, type Socket } from "node:net";
import { LISTENERS_MAX, PORTABLE_DESCRIPTOR_BACKLOG } from "../constants.js";
import { errnoError, RingloomError } from "../errors.js";
import type { TlsAcceptor } from "../tls/acceptor.js";
import { checkListenTarget, closedError } from "./arguments.js";
import type { ListenAddress, Listening, ListenPath } from "./contract.js";

/** Stopping ends after this many connections even if more keep coming: one full queue at the kernel's default limit. */
const ACCEPTED_WHILE_STOPPING_MAX = 4096;

/** Handshakes that are under way when their listener has stopped have so long to come to an end, in milliseconds. */
const HANDSHAKES_STOPPING_MS = 500;

/** What the listeners need of their driver. */
export interface ListenersOwner {
  /** Takes the socket, or destroys it. */
  socketAccepted(listener: number, socket: Socket): void;
  /** A connection has ended in its handshake. */
  handshakeFailed(): void;
  /** The kernel could not hand out a connection (out of descriptors, for instance). */
  acceptFailed(): void;
  /** The listener is closed. Called from the event loop, never from within `stop`. */
  listenerStopped(listener: number): void;
}

interface Listener {
  readonly server: Server;
  accepted: number;
  isStopping: boolean;
}

/** The listening sockets of one portable driver. */
export class PortableListeners {
  readonly #owner: ListenersOwner;
  readonly #tls: TlsAcceptor | undefined;
  readonly #listeners = new Map<number, Listener>();
  /** Listeners that are being opened. */
  readonly #opening = new Set<Promise<void>>();
  #nextId = 0;
  #isClosed = false;
  #isReferenced = true;

  constructor(owner: ListenersOwner, tls: TlsAcceptor | undefined) {
    this.#owner = owner;
    this.#tls = tls;
  }

  async listen(target: number | ListenAddress | ListenPath): Promise<Listening> {
    if (this.#isClosed) throw closedError("listen");
    checkTarget(target);
    if (this.#listeners.size === LISTENERS_MAX) {
      throw new RingloomError(
        "ERR_RINGLOOM_OVERLOADED",
        `Cannot listen: there are ${LISTENERS_MAX} listeners already`,
        { operation: "listen" },
      );
    }
    const id = this.#nextId++;
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const listener: Listener = { server, accepted: 0, isStopping: false };
    this.#listeners.set(id, listener);
    if (!this.#isReferenced) server.unref();
    const opening = startListening(server, target);
    this.#opening.add(opening);
    try {
      await opening;
    } catch (error) {
      this.#listeners.delete(id);
      throw error;
    } finally {
      this.#opening.delete(opening);
    }
    if (this.#isClosed) {
      server.close();
      this.#listeners.delete(id);
      throw closedError("listen");
    }
    server.on("error", () => this.#owner.acceptFailed());
    server.on("connection", (socket) => {
      listener.accepted += 1;
      this.accept(id, socket);
    });
    return listeningOf(id, server);
  }

  /** Hands a connection on, behind its handshake if there is one. */
  accept(listener: number, socket: Socket): void {
    if (this.#tls === undefined) return this.#owner.socketAccepted(listener, socket);
    this.#tls.accept(socket, {
      secured: (secured) => {
        if (this.#isClosed) secured.destroy();
        else this.#owner.socketAccepted(listener, secured);
      },
      failed: () => this.#owner.handshakeFailed(),
    });
  }

  stop(id: number): void {
    const listener = this.#listeners.get(id);
    if (listener === undefined || listener.isStopping) return;
    listener.isStopping = true;
    // The first turn may have polled already, so counting starts with the second.
    setImmediate(() => this.#stopWhenQueueEmpty(id, listener, listener.accepted));
  }

  /** Closes all listeners at once, connections in their queues are reset; resolves when none is left, not even one that was being opened. */
  async closeAll(): Promise<void> {
    this.#isClosed = true;
    for (const [id, listener] of this.#listeners) {
      if (listener.server.listening) this.#close(id, listener);
    }
    this.#tls?.cut();
    await this.#tls?.idle(HANDSHAKES_STOPPING_MS);
    await Promise.allSettled(this.#opening);
    // Behind the immediates that deliver `listenerStopped`.
    await new Promise((resolve) => setImmediate(resolve));
  }

  setReferenced(isReferenced: boolean): void {
    this.#isReferenced = isReferenced;
    for (const { server } of this.#listeners.values()) {
      if (isReferenced) server.ref();
      else server.unref();
    }
  }

  #stopWhenQueueEmpty(id: number, listener: Listener, acceptedAtStop: number): void {
    const acceptedBefore = listener.accepted;
    setImmediate(() => {
      if (!listener.server.listening) return;
      const isEmpty = listener.accepted === acceptedBefore;
      const isOver = listener.accepted - acceptedAtStop >= ACCEPTED_WHILE_STOPPING_MAX;
      if (isEmpty || isOver) this.#close(id, listener);
      else this.#stopWhenQueueEmpty(id, listener, acceptedAtStop);
    });
  }

  #close(id: number, listener: Listener): void {
    // The server's own 'close' event would wait for all its connections. The descriptor is closed when this returns.
    listener.server.close();
    this.#listeners.delete(id);
    const stopped = (): void => this.#owner.listenerStopped(id);
    if (this.#tls === undefined) setImmediate(stopped);
    else void this.#tls.idle(HANDSHAKES_STOPPING_MS).then(() => setImmediate(stopped));
  }
}

function checkTarget(target: number | ListenAddress | ListenPath): void {
  checkListenTarget(target);
  if (typeof target === "number" || "path" in target) return;
  if (target.reusePort && !nodeHasReusePort()) {
    const message = `Cannot listen: Node ${process.versions.node} cannot share a port between sockets (reusePort); Node 22.12 or newer can`;
    throw new RingloomError("ERR_RINGLOOM_INVALID_OPTION", message, {
      operation: "listen",
      details: { reusePort: true },
    });
  }
}

/** node:net has the `reusePort` option since 22.12 and 23.1; older versions ignore it in silence. */
function nodeHasReusePort(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major === 22) return minor >= 12;
  if (major === 23) return minor >= 1;
  return major > 23;
}

function startListening(server: Server, target: number | ListenAddress | ListenPath): Promise<void> {
  const details = detailsOf(target);
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(error.errno === undefined ? error : errnoError("listen", -error.errno, details));
    });
    server.once("listening", () => {
      server.removeAllListeners("error");
      resolve();
    });
    server.listen(listenOptions(target));
  });
}

function detailsOf(target: number | ListenAddress | ListenPath): Readonly<Record<string, unknown>> {
  if (typeof target === "number") return { descriptor: target };
  return "path" in target ? { path: target.path } : { host: target.host, port: target.port };
}

function listenOptions(
  target: number | ListenAddress | ListenPath,
): ListenOptions & { fd?: number; reusePort?: boolean } {
  if (typeof target === "number") return { fd: target, backlog: PORTABLE_DESCRIPTOR_BACKLOG };
  if ("path" in target) return { path: target.path, backlog: target.backlog };
  const { host, port, backlog, reusePort } = target;
  return reusePort ? { host, port, backlog, reusePort } : { host, port, backlog };
}

function listeningOf(listener: number, server: Server): Listening {
  const address = server.address();
  if (typeof address === "string") return { listener, host: "", port: 0, path: address };
  if (address === null) return { listener, host: "", port: 0 };
  return { listener, host: address.address, port: address.port };
}
