/** Listening: sockets that connections come from. */
import type { ListenAddress, Listening, ListenPath } from "../driver/contract.js";
import { listenAtPath } from "../driver/unix-listen.js";
import { removeSocketFile, type SocketFile } from "../driver/unix-path.js";
import type { RingloomError } from "../errors.js";
import { log } from "../observe/log.js";
import type { ConnectionOwner, ListenerOwner } from "../runtime/thread-driver.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { armWait, checkWait } from "../task/wait-limits.js";
import { configure } from "./connect.js";
import { Connection, closedError } from "./connection.js";
import { type NetHost, netHost } from "./net-host.js";
import { OwnedDescriptor } from "./owned-descriptor.js";
import { type NetAddress, NetStream } from "./stream.js";
import { connectionOptions, type StreamOptions } from "./stream-options.js";

const BACKLOG_DEFAULT = 511;
const WAITING_MAX_DEFAULT = 1_024;
const MODE_MAX = 0o777;
/** Connections that are asked for their peers, a system call each, before one more is closed because too many wait. */
const PROBES_MAX = 16;

/**
 * Where to listen: a port of a host (an IP address; default: `127.0.0.1`, port 0 lets the system choose), the path of a Unix socket, or a descriptor that listens already.
 * @experimental
 */
export type ListenTarget =
  | { readonly host?: string; readonly port: number }
  | { readonly path: string }
  | { readonly descriptor: number | OwnedDescriptor };

/**
 * How to listen. The options of streams are those of each that is accepted.
 * @experimental
 */
export interface ListenOptions extends StreamOptions {
  /** Connections that the kernel lets wait. Default: 511. */
  readonly backlog?: number | undefined;
  /** Whether other sockets may listen on the same port: each thread that does gets a part of the connections. Default: false. */
  readonly reusePort?: boolean | undefined;
  /** Connections that may wait for `accept()`; more are closed at once. Default: 1,024. */
  readonly waitingMax?: number | undefined;
  /** Who may connect to a Unix socket: the mode of its file, such as `0o600`, from the first moment on. Default: what the process's umask leaves. */
  readonly mode?: number | undefined;
}

/**
 * Listens. A connection lives on the thread that listens.
 *
 * A Unix socket's file that nobody answers at (its server died) is removed first, and its own when the listener is closed.
 *
 * @throws RingloomError the kernel's code: `EADDRINUSE`, `EACCES`. A TypeError or RangeError for a target that is none.
 *
 * ```ts
 * import { listen } from "ringloom/net";
 *
 * const listener = await listen({ path: "/run/app.sock" }, { mode: 0o600 });
 * await listener.serve(async (stream) => {
 *   await stream.writeAll(`${(await stream.readExact(4)).toString("hex")}\n`);
 * });
 * ```
 * @experimental
 */
export async function listen(target: ListenTarget, options: ListenOptions = {}): Promise<NetListener> {
  const { waitingMax = WAITING_MAX_DEFAULT } = options;
  if (!Number.isSafeInteger(waitingMax) || waitingMax < 1)
    throw new RangeError(`Cannot listen: a waitingMax of ${waitingMax} is not a number from 1 on`);
  checkMode(target, options.mode);
  connectionOptions("listen", options, undefined);
  const host = netHost();
  const accepting = new Accepting(host, waitingMax, options);
  if ("descriptor" in target) return await listenOn(target.descriptor, accepting);
  if (!("path" in target))
    return new NetListener(accepting, await host.thread.listen(driverTarget(target, options), accepting));
  const address: ListenPath = { path: target.path, backlog: options.backlog ?? BACKLOG_DEFAULT };
  const { mode } = options;
  const { result, file } = await listenAtPath(
    { path: target.path, mode },
    {
      listen: (path) => host.thread.listen({ ...address, path }, accepting),
      undo: ({ listener }) => host.thread.stopListening(listener),
    },
  );
  accepting.file = file;
  return new NetListener(accepting, { ...result, path: target.path });
}

/** A descriptor that comes with an owner is the listener's to close, whatever the driver does with others. */
async function listenOn(descriptor: number | OwnedDescriptor, accepting: Accepting): Promise<NetListener> {
  const { thread, driver } = accepting.host;
  if (typeof descriptor === "number") return new NetListener(accepting, await thread.listen(descriptor, accepting));
  const listening = await thread.listen(descriptor.number, accepting);
  const taken = descriptor.take();
  if (driver.name !== "portable") accepting.owned = new OwnedDescriptor(taken);
  return new NetListener(accepting, listening);
}

function driverTarget(
  target: { readonly host?: string; readonly port: number },
  { backlog = BACKLOG_DEFAULT, reusePort = false }: ListenOptions,
): ListenAddress {
  return { host: target.host ?? "127.0.0.1", port: target.port, backlog, reusePort };
}

/** Throws a RangeError or TypeError for a mode that cannot be, or that what is listened on cannot have. */
export function checkMode(target: ListenTarget, mode: number | undefined): void {
  if (mode === undefined) return;
  if (!Number.isInteger(mode) || mode < 0 || mode > MODE_MAX)
    throw new RangeError(`Cannot listen: a mode of ${mode} is not between 0 and 0o777`);
  if (!("path" in target) || target.path.startsWith("\0"))
    throw new TypeError("Cannot listen: only a Unix socket that has a file has a mode");
}

function isGone(connection: Connection): boolean {
  return connection.isClosed;
}

interface Accepter {
  readonly resolve: (stream: NetStream) => void;
  readonly reject: (error: unknown) => void;
  endLimits: (() => void) | undefined;
}

/** What the driver speaks to: connections come in here, and wait for `accept()`. */
class Accepting implements ListenerOwner {
  /** Connections that were closed because nobody accepted them in time. */
  rejected = 0;
  file: SocketFile | undefined;
  owned: OwnedDescriptor | undefined;
  isClosing = false;
  /** Nobody reads from those that wait, so no driver hears that a peer has reset its connection. The system does not know the name of such a peer any more, which Unix sockets mostly do not have anyway. */
  namesPeers = false;
  readonly host: NetHost;
  readonly #waitingMax: number;
  readonly #options: StreamOptions;
  #waiting: Connection[] = [];
  /** Who is asked next whether its peer is there. */
  #nextProbe = 0;
  #accepters: Accepter[] = [];
  #stopped: (() => void) | undefined;
  #isStopped = false;

  constructor(host: NetHost, waitingMax: number, options: StreamOptions) {
    this.host = host;
    this.#waitingMax = waitingMax;
    this.#options = options;
  }

  get waitingNow(): number {
    this.#dropLeft(this.#waiting.length);
    return this.#waiting.length;
  }

  accepted(slot: number): ConnectionOwner {
    const connection = new Connection(this.host, connectionOptions("accept", this.#options, undefined));
    connection.open(slot);
    const accepter = this.isClosing ? undefined : this.#accepters.shift();
    if (accepter !== undefined) {
      accepter.endLimits?.();
      accepter.resolve(this.#streamOf(connection));
    } else if (this.isClosing || this.#isFull()) {
      this.rejected += 1;
      connection.destroy();
    } else {
      // Nobody reads yet, so what the peer sends stays with the kernel.
      connection.pauseReceiving();
      this.#waiting.push(connection);
    }
    return connection;
  }

  stopped(): void {
    this.#isStopped = true;
    // The driver was closed, and nobody asked the listener.
    if (!this.isClosing) this.#giveUpAll();
    this.#stopped?.();
  }

  accept(options: WaitOptions | undefined): Promise<NetStream | undefined> {
    if (options !== undefined) checkWait("accept", options);
    for (let connection = this.#waiting.shift(); connection !== undefined; connection = this.#waiting.shift()) {
      if (this.#hasLeft(connection)) continue;
      connection.resumeReceiving();
      return Promise.resolve(this.#streamOf(connection));
    }
    if (this.isClosing) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      const accepter: Accepter = { resolve, reject, endLimits: undefined };
      if (options !== undefined)
        accepter.endLimits = armWait(options, "accept", (error) => this.#giveUp(accepter, error));
      this.#accepters.push(accepter);
    });
  }

  /** Resolves when the driver accepts no more. Who waits for a connection gets none. */
  stop(listener: number): Promise<void> {
    this.#giveUpAll();
    return new Promise((resolve) => {
      if (this.#isStopped) return resolve();
      this.#stopped = resolve;
      this.host.thread.stopListening(listener);
    });
  }

  #isFull(): boolean {
    if (this.#waiting.length < this.#waitingMax) return false;
    this.#dropLeft(PROBES_MAX);
    return this.#waiting.length >= this.#waitingMax;
  }

  /** Forgets those whose peers have left: they wait for nobody. Asks the system about so many, other ones each time. */
  #dropLeft(probesMax: number): void {
    if (this.#waiting.some(isGone)) this.#waiting = this.#waiting.filter((connection) => !isGone(connection));
    for (let probes = Math.min(probesMax, this.#waiting.length); probes > 0; probes--) {
      if (this.#nextProbe >= this.#waiting.length) this.#nextProbe = 0;
      if (this.#hasLeft(this.#waiting[this.#nextProbe]!)) this.#waiting.splice(this.#nextProbe, 1);
      else this.#nextProbe += 1;
    }
  }

  /** Whether the connection is closed, or is now because its peer has reset it. */
  #hasLeft(connection: Connection): boolean {
    if (this.namesPeers && !connection.isClosed && this.host.driver.peerAddress(connection.slot) === undefined)
      connection.destroy();
    return connection.isClosed;
  }

  #giveUpAll(): void {
    this.isClosing = true;
    for (const connection of this.#waiting) connection.close();
    this.#waiting = [];
    const accepters = this.#accepters;
    this.#accepters = [];
    for (const { endLimits, reject } of accepters) {
      endLimits?.();
      reject(closedError("accept"));
    }
  }

  #streamOf(connection: Connection): NetStream {
    const stream = new NetStream(connection);
    configure(stream, this.#options);
    return stream;
  }

  #giveUp(accepter: Accepter, error: RingloomError): void {
    this.#accepters = this.#accepters.filter((one) => one !== accepter);
    accepter.reject(error);
  }
}

/**
 * A listening socket of this thread. Made by {@link listen}.
 *
 * ```ts
 * import { listen, type NetStream } from "ringloom/net";
 *
 * const listener = await listen({ port: 7000 });
 * for await (const stream of listener) {
 *   echo(stream).catch((error: unknown) => stream.destroy(error as Error));
 * }
 *
 * async function echo(stream: NetStream): Promise<void> {
 *   for await (const bytes of stream) await stream.writeAll(bytes);
 *   stream.close();
 * }
 * ```
 * @experimental
 */
export class NetListener implements AsyncIterable<NetStream>, AsyncDisposable {
  readonly #accepting: Accepting;
  readonly #listening: Listening;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(accepting: Accepting, listening: Listening) {
    this.#accepting = accepting;
    this.#listening = listening;
    accepting.namesPeers = listening.path === undefined;
  }

  /** Where it listens. */
  get address(): NetAddress {
    const { host, port, path } = this.#listening;
    return path === undefined ? { host, port } : { path };
  }

  /** The port; 0 for a Unix socket. */
  get port(): number {
    return this.#listening.port;
  }

  /** Connections that wait for `accept()`. */
  get waitingNow(): number {
    return this.#accepting.waitingNow;
  }

  /** Connections that were closed because as many waited as may. */
  get rejected(): number {
    return this.#accepting.rejected;
  }

  /**
   * The next connection. Several callers are served in their order.
   *
   * @throws RingloomError `ERR_RINGLOOM_CLOSED` when the listener is closed, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`.
   */
  async accept(options?: WaitOptions): Promise<NetStream> {
    const stream = await this.#accepting.accept(options);
    if (stream === undefined) throw closedError("accept");
    return stream;
  }

  /** The connections that come, until the listener is closed. Leaving the loop leaves the listener open. */
  async *[Symbol.asyncIterator](): AsyncGenerator<NetStream, void, undefined> {
    for (;;) {
      let stream: NetStream;
      try {
        stream = await this.accept();
      } catch (error) {
        if (this.#accepting.isClosing) return;
        throw error;
      }
      yield stream;
    }
  }

  /**
   * Calls `handler` for each connection until the listener is closed, and closes the stream when that has ended. Resolves when the last handler has. A handler that fails takes only
   * its own connection with it; `onError` hears of it.
   *
   * @param options `connectionsMax`: how many handlers may run at once, the others wait. `onError`: default, the error is logged.
   */
  async serve(
    handler: (stream: NetStream) => unknown,
    options: { readonly connectionsMax?: number; readonly onError?: (error: unknown, stream: NetStream) => void } = {},
  ): Promise<void> {
    const { connectionsMax = Number.POSITIVE_INFINITY, onError } = options;
    let runningNow = 0;
    let wake = (): void => {};
    // One waiter, not a race of all handlers: that would leave something with each long one, connection by connection.
    const oneHasEnded = (): Promise<void> =>
      new Promise((resolve) => {
        wake = resolve;
      });
    for await (const stream of this) {
      runningNow += 1;
      void serveOne(stream, handler, onError).finally(() => {
        runningNow -= 1;
        wake();
      });
      if (runningNow >= connectionsMax) await oneHasEnded();
    }
    while (runningNow > 0) await oneHasEnded();
  }

  /** Accepts no more. Connections that wait for `accept()` are closed, those that were accepted live on. Resolves when the socket is closed. */
  close(): Promise<void> {
    this.#closing ??= this.#accepting.stop(this.#listening.listener).then(() => {
      const { file, owned } = this.#accepting;
      owned?.close();
      if (file !== undefined) removeSocketFile(file);
    });
    return this.#closing;
  }

  /** {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Runs a handler, and closes its stream behind it. */
export async function serveOne(
  stream: NetStream,
  handler: (stream: NetStream) => unknown,
  onError: ((error: unknown, stream: NetStream) => void) | undefined,
): Promise<void> {
  try {
    await handler(stream);
    stream.close();
  } catch (error) {
    const peer = stream.remoteAddress;
    stream.destroy();
    if (onError === undefined) logFailure(error, peer);
    else onError(error, stream);
  }
}

/** A peer can make most handlers fail, by leaving: that must not end the process. */
function logFailure(err: unknown, peer: NetAddress | undefined): void {
  log.error("the handler of a connection failed", { err, peer });
}
