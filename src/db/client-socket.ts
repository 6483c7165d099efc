/**
 * A Node stream that connects through this thread's driver: what clients of databases take for a `net.Socket`. Made first and connected later, as they do it.
 */
import { DriverSocket, type SocketAddress } from "../io/driver-socket.js";
import { type ConnectOptions, type ConnectTarget, openConnection } from "../net/connect.js";
import { attachSocket } from "../net/duplex.js";
import { netHost } from "../net/net-host.js";

/**
 * How a {@link ClientSocket} connects.
 * @experimental
 */
export type ClientSocketOptions = ConnectOptions;

const NOWHERE: SocketAddress = { host: "", port: 0 };
const NO_SLOT = -1;

/**
 * The face of `net.Socket` over a socket of Ringloom's: `connect`, `write`, `end`, `destroy`, `setTimeout`, the events. What is written before it is connected leaves
 * then. A connect that fails destroys it with the error, which names every address that was tried.
 * @example
 * ```ts
 * import { ClientSocket } from "ringloom/db";
 * const socket = new ClientSocket({ timeoutMs: 2_000 }).connect(6379, "127.0.0.1");
 * socket.on("error", (error) => console.error(error.message));
 * socket.on("data", (bytes) => console.log(String(bytes))); // +PONG
 * socket.write("PING\r\n");
 * ```
 * @experimental
 */
export class ClientSocket extends DriverSocket {
  readonly #options: ClientSocketOptions;
  #attempt: AbortController | undefined;
  #noDelay = true;
  #keepAlive: { readonly isOn: boolean; readonly idleMs: number } | undefined;

  constructor(options: ClientSocketOptions = {}) {
    super(netHost(), { slot: NO_SLOT, local: NOWHERE, allowHalfOpen: false });
    this.#options = options;
  }

  /**
   * Connects to a port (of 127.0.0.1 unless a host is given), to the path of a Unix socket, or to either as an object. `connect` is emitted then.
   * @throws Error when it was called before; an error of the connect is emitted.
   */
  connect(target: number | string | ConnectTarget, host?: string | (() => void), listener?: () => void): this {
    if (this.#attempt !== undefined) throw new TypeError("Cannot connect: this socket was connected before");
    const whenConnected = typeof host === "function" ? host : listener;
    if (whenConnected !== undefined) this.once("connect", whenConnected);
    this.#attempt = new AbortController();
    void this.#open(targetOf(target, typeof host === "string" ? host : undefined), this.#attempt.signal);
    return this;
  }

  override setNoDelay(noDelay = true): this {
    this.#noDelay = noDelay;
    return super.setNoDelay(noDelay);
  }

  override setKeepAlive(enable = false, initialDelayMs = 0): this {
    this.#keepAlive = { isOn: enable, idleMs: initialDelayMs };
    return super.setKeepAlive(enable, initialDelayMs);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#attempt?.abort();
    // As in net.Socket, whose close comes with a later phase of the loop: TLS over this socket tells its own error first, and that is the one people need.
    super._destroy(error, (failure) => setImmediate(done, failure));
  }

  async #open(target: ConnectTarget, signal: AbortSignal): Promise<void> {
    const given = this.#options.signal;
    try {
      const connection = await openConnection(target, {
        ...this.#options,
        signal: given === undefined ? signal : AbortSignal.any([given, signal]),
      });
      if (this.destroyed) return connection.destroy();
      attachSocket(connection, (slot, local) => this.#connected(slot, local));
    } catch (error) {
      this.within(() => this.destroy(error as Error));
    }
  }

  #connected(slot: number, local: SocketAddress): this {
    this.open(slot, local);
    // What was asked for before there was a socket.
    if (!this.#noDelay) super.setNoDelay(false);
    if (this.#keepAlive !== undefined) super.setKeepAlive(this.#keepAlive.isOn, this.#keepAlive.idleMs);
    this.within(() => {
      try {
        this.emit("connect");
        this.emit("ready");
      } catch (error) {
        // A listener's mistake is no error of the connection.
        process.nextTick(() => {
          throw error;
        });
      }
    });
    return this;
  }
}

function targetOf(target: number | string | ConnectTarget, host: string | undefined): ConnectTarget {
  if (typeof target === "object") return target;
  const port = typeof target === "number" ? target : /^\d+$/.test(target) ? Number(target) : undefined;
  if (port === undefined) return { path: String(target) };
  return host === undefined || host === "" ? { port } : { port, host };
}
