/** Connecting: to an address, to a name with several of them, to a Unix socket, to many at once. */
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import type { ConnectionOptions } from "node:tls";
import { RingloomError } from "../errors.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { armWait, checkWait } from "../task/wait-limits.js";
import { clientConnectionOptions, type TlsClientOptions } from "../tls/client-options.js";
import { Connection, type Endpoint } from "./connection.js";
import { netHost, tlsHost } from "./net-host.js";
import type { OwnedDescriptor } from "./owned-descriptor.js";
import { type Attempt, race } from "./race.js";
import { interleaveFamilies, type Resolver, systemResolver } from "./resolver.js";
import { NetStream } from "./stream.js";
import { checkStreamOptions, connectionOptions, type StreamOptions } from "./stream-options.js";

/** What RFC 8305, section 5, recommends, in milliseconds. */
const ATTEMPT_DELAY_MS = 250;
/** Connects of one `connectMany` under way unless told otherwise. */
const CONCURRENCY_DEFAULT = 64;

/**
 * Whom to connect to: a host (a name or an IP address) and its port, or the path of a Unix socket. A path that begins with a character of code 0 is an abstract name (Linux).
 * @experimental
 */
export type ConnectTarget = { readonly host?: string; readonly port: number } | { readonly path: string };

/**
 * How to connect. `timeoutMs` and `signal` cover everything, the search for addresses too.
 * @experimental
 */
export interface ConnectOptions extends WaitOptions, StreamOptions {
  /** Finds the addresses of a name. Default: the system's `getaddrinfo`. */
  readonly resolver?: Resolver | undefined;
  /** Speaks TLS: true, or how. The name of the host is asked for (SNI) and checked; `timeoutMs` covers the handshake. Default: false. */
  readonly tls?: boolean | TlsClientOptions | undefined;
  /** How long an attempt runs before the next address is tried beside it, in milliseconds. Default: 250 (RFC 8305). */
  readonly attemptDelayMs?: number | undefined;
}

/**
 * Connects. A name that has several addresses is tried as RFC 8305 says: IPv6 and IPv4 in turns, the next one when the one before fails or takes a while.
 *
 * @throws RingloomError the kernel's code (`ECONNREFUSED`, `ENOENT`) with every address that was tried in message and details, the resolver's, `ERR_RINGLOOM_TIMEOUT`,
 * `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_OVERLOADED` when the thread has as many connections as it may; with `tls` the code of Node and OpenSSL (`CERT_HAS_EXPIRED`, `ERR_TLS_CERT_ALTNAME_INVALID`), and
 * `ERR_RINGLOOM_INVALID_OPTION` for certificates that cannot be read. A TypeError or RangeError for a target that is none.
 *
 * ```ts
 * import { connect } from "ringloom/net";
 *
 * const stream = await connect({ host: "example.org", port: 80 }, { timeoutMs: 3_000 });
 * await stream.writeAll("HEAD / HTTP/1.0\r\n\r\n");
 * for await (const bytes of stream) process.stdout.write(bytes);
 * stream.close();
 * ```
 * @experimental
 */
export async function connect(target: ConnectTarget, options: ConnectOptions = {}): Promise<NetStream> {
  return new NetStream(await openConnection(target, options));
}

/**
 * Connects to all of them, a bounded number at a time, and resolves with the streams in the order of their targets. When one fails the others are closed, and the call rejects with
 * its error.
 *
 * @param options as for {@link connect}, for each; and `concurrency`, how many connects may be under way (64).
 * @throws what {@link connect} throws.
 *
 * ```ts
 * import { connectMany } from "ringloom/net";
 *
 * const replicas = await connectMany(["10.0.0.1", "10.0.0.2"].map((host) => ({ host, port: 6379 })), { timeoutMs: 2_000 });
 * await Promise.all(replicas.map((stream) => stream.writeAll("PING\r\n")));
 * ```
 * @experimental
 */
export async function connectMany(
  targets: readonly ConnectTarget[],
  options: ConnectOptions & { readonly concurrency?: number } = {},
): Promise<NetStream[]> {
  const { concurrency = CONCURRENCY_DEFAULT, ...each } = options;
  if (!Number.isSafeInteger(concurrency) || concurrency < 1)
    throw new RangeError(`Cannot connect: a concurrency of ${concurrency} is not a number from 1 on`);
  const streams: NetStream[] = new Array(targets.length);
  const failing = new AbortController();
  let failure: { readonly error: unknown } | undefined;
  let next = 0;
  const connectNext = async (): Promise<void> => {
    while (next < targets.length && failure === undefined) {
      const index = next++;
      try {
        streams[index] = await connect(targets[index]!, { ...each, signal: either(options.signal, failing.signal) });
      } catch (error) {
        failure ??= { error };
        failing.abort();
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, targets.length) }, connectNext));
  if (failure === undefined) return streams;
  // The array has holes where nothing was connected.
  for (const stream of Object.values(streams)) stream.close();
  throw failure.error;
}

/**
 * Makes a stream of a connected stream socket's descriptor (TCP or Unix), which is the stream's from then on. What a released stream had not read is read first.
 *
 * @throws RingloomError the kernel's code for a descriptor that is none, `ERR_RINGLOOM_OVERLOADED`; a TypeError or RangeError for options that are none. The descriptor is still the caller's then.
 *
 * ```ts
 * import { adoptStream } from "ringloom/net";
 *
 * // Descriptor 3 is a connection that the parent process opened.
 * const parent = adoptStream(3);
 * await parent.writeAll("ready\n");
 * ```
 * @experimental
 */
export function adoptStream(descriptor: number | OwnedDescriptor, options: StreamOptions = {}): NetStream {
  const host = netHost();
  const connection = new Connection(host, connectionOptions("adopt", options, undefined));
  const isOwned = typeof descriptor !== "number";
  connection.open(host.thread.adopt(isOwned ? descriptor.number : descriptor, connection));
  // From here on the driver will close it, so nobody else may.
  if (isOwned) {
    descriptor.take();
    connection.receivedBefore(descriptor.unread);
  }
  const stream = new NetStream(connection);
  configure(stream, options);
  return stream;
}

/**
 * Begins TLS on a stream that is connected already, where a protocol says so: behind a proxy's answer to CONNECT, or after STARTTLS. The stream is the result's from then on, what nobody has read of it included.
 *
 * @param tls As in {@link connect}; a `servername` is needed, because the stream does not know whom it was to reach.
 * @throws RingloomError as {@link connect}; `ERR_RINGLOOM_BUSY` while a read or a write of the stream waits.
 *
 * ```ts
 * import { connect, startTls } from "ringloom/net";
 *
 * const plain = await connect({ host: "proxy.internal", port: 3128 });
 * await plain.writeAll("CONNECT example.org:443 HTTP/1.1\r\nhost: example.org:443\r\n\r\n");
 * await plain.read(); // "HTTP/1.1 200 …"
 * const secure = await startTls(plain, { servername: "example.org" }, { timeoutMs: 5_000 });
 * secure.close();
 * ```
 * @experimental
 */
export async function startTls(
  stream: NetStream,
  tls: TlsClientOptions & { readonly servername: string },
  options: WaitOptions & StreamOptions = {},
): Promise<NetStream> {
  checkWait("connect", options);
  checkStreamOptions("connect", options);
  if (typeof tls?.servername !== "string" || tls.servername === "")
    throw new TypeError(`Cannot start TLS: a servername of ${String(tls?.servername)} is no name`);
  const secure: ConnectOptions = { ...options, tls };
  const peer = stream.remoteAddress ?? {};
  const encryption = encryptionOf(secure, undefined);
  const socket = stream.toDuplex({ allowHalfOpen: true });
  return new NetStream(await toOne(peer, { ...secure, begun: { socket }, encryption }));
}

/** As {@link connect}, without the face for users. */
export async function openConnection(target: ConnectTarget, given: ConnectOptions): Promise<Connection> {
  checkWait("connect", given);
  checkStreamOptions("connect", given);
  const named = "path" in target ? undefined : (target.host ?? "127.0.0.1");
  const options: BeginOptions = { ...given, encryption: encryptionOf(given, named) };
  const { attemptDelayMs = ATTEMPT_DELAY_MS } = options;
  if (!(attemptDelayMs >= 0))
    throw new RangeError(`Cannot connect: an attemptDelayMs of ${attemptDelayMs} is not a time`);
  if ("path" in target) return toOne({ path: target.path }, options);
  const { host = "127.0.0.1", port } = target;
  if (typeof host !== "string" || host === "")
    throw new TypeError("Cannot connect: the host is a name or an IP address");
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new RangeError(`Cannot connect: port ${port} is not between 1 and 65535`);
  if (isIP(host) !== 0) return toOne({ host, port }, options);
  return limited(options, (signal) => byName({ host, port }, { ...options, attemptDelayMs, signal }));
}

/** What an attempt is made with. */
interface BeginOptions extends ConnectOptions {
  readonly encryption: ConnectionOptions | undefined;
  /** A stream to begin TLS on. */
  readonly begun?: { readonly socket: Duplex };
}

function encryptionOf({ tls = false }: ConnectOptions, host: string | undefined): ConnectionOptions | undefined {
  return tls === false ? undefined : clientConnectionOptions(tls, host);
}

function toOne(to: Endpoint, options: BeginOptions): Promise<Connection> {
  if (options.signal === undefined && (options.timeoutMs ?? 0) === 0) return begin(to, options).outcome;
  return limited(options, () => single(begin(to, options)));
}

/** What is under way, and how to end it. */
interface Underway {
  readonly winner: Promise<Connection>;
  cancel(error: Error): void;
}

/** Runs the attempt under the limits of the call. */
async function limited(options: ConnectOptions, start: (signal: AbortSignal) => Underway): Promise<Connection> {
  const controller = new AbortController();
  const underway = start(controller.signal);
  const endLimits = armWait(options, "connect", (error) => {
    underway.cancel(error);
    controller.abort(error);
  });
  try {
    return await underway.winner;
  } finally {
    endLimits?.();
  }
}

function single(attempt: Attempt<Connection>): Underway {
  let fail: ((error: Error) => void) | undefined;
  const winner = new Promise<Connection>((resolve, reject) => {
    fail = reject;
    attempt.outcome.then(resolve, reject);
  });
  return {
    winner,
    cancel: (error) => {
      attempt.abandon();
      fail?.(error);
    },
  };
}

function byName(
  target: { readonly host: string; readonly port: number },
  options: BeginOptions & { readonly attemptDelayMs: number; readonly signal: AbortSignal },
): Underway {
  const { host, port } = target;
  const { resolver = systemResolver, attemptDelayMs, signal } = options;
  let cancelRace: ((error: Error) => void) | undefined;
  const winner = new Promise<Connection>((resolve, reject) => {
    signal.addEventListener("abort", () => (cancelRace ?? reject)(signal.reason), { once: true });
    const found = (addresses: readonly string[]): void => {
      if (signal.aborted) return;
      if (addresses.length === 0) return reject(notFound(host));
      const running = race({
        addresses: interleaveFamilies(addresses),
        attemptDelayMs,
        begin: (address) => begin({ host: address, port }, options),
        failed: (failures) => allFailed(target, failures),
      });
      cancelRace = running.cancel;
      running.winner.then(resolve, reject);
    };
    // What the resolver of a user gives may be anything.
    resolver(host, { signal }).then(found).catch(reject);
  });
  return { winner, cancel: () => {} };
}

/** Begins one attempt. Throws what the driver says of the address at once. */
function begin(to: Endpoint, options: BeginOptions): Attempt<Connection> {
  const { encryption, begun } = options;
  const host = encryption === undefined ? netHost() : tlsHost();
  const connection = new Connection(host, connectionOptions("connect", options, to));
  const outcome = new Promise<Connection>((resolve, reject) => {
    connection.onConnected((error) => (error === undefined ? resolve(connection) : reject(error)));
  });
  const { thread } = host;
  const { path, host: address = "", port = 0 } = to;
  if (encryption !== undefined) {
    const target = begun ?? (path === undefined ? { host: address, port } : { path });
    connection.open(thread.connectTls(target, encryption, connection));
  } else {
    connection.open(
      path === undefined ? thread.connect(address, port, connection) : thread.connectPath(path, connection),
    );
  }
  const connected = outcome.then(() => {
    configure(new NetStream(connection), options);
    return connection;
  });
  return { outcome: connected, abandon: () => connection.destroy() };
}

/** Options of the socket that are not as they are from the start. They were checked before there was one, so nothing here throws for them. */
export function configure(stream: NetStream, { noDelay, keepAlive, keepAliveIdleMs }: StreamOptions): void {
  if (noDelay === false) stream.setNoDelay(false);
  if (keepAlive === true || keepAliveIdleMs !== undefined) stream.setKeepAlive(keepAlive ?? true, keepAliveIdleMs);
}

function allFailed(
  { host, port }: { readonly host: string; readonly port: number },
  failures: readonly { readonly address: string; readonly error: unknown }[],
): RingloomError {
  const described = failures.map(({ address, error }) => `${address} ${codeOf(error)}`);
  const code = codeOf(failures[0]?.error);
  const errors = failures.map(({ error }) => error);
  return new RingloomError(code, `Cannot connect to ${host}, port ${port}: ${described.join(", ")}`, {
    operation: "connect",
    details: { host, port, addresses: failures.map(({ address }) => address) },
    cause: errors.length === 1 ? errors[0] : new AggregateError(errors),
  });
}

/** The code of what was thrown. */
export function codeOf(error: unknown): string {
  const code = (error as { readonly code?: unknown }).code;
  return typeof code === "string" ? code : "ERR_RINGLOOM_CALL_FAILED";
}

function notFound(host: string): RingloomError {
  return new RingloomError("ENOTFOUND", `Cannot connect: ${JSON.stringify(host)} has no address`, {
    operation: "connect",
    details: { host },
  });
}

function either(one: AbortSignal | undefined, other: AbortSignal): AbortSignal {
  return one === undefined ? other : AbortSignal.any([one, other]);
}
