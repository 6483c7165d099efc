/** Opens the connection for requests to one origin: our own socket; a tunnel through a proxy; TLS over either. */
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import { lookup } from "../dns/resolver.js";
import { RingloomError } from "../errors.js";
import { openConnection } from "../net/connect.js";
import { openDuplex } from "../net/duplex.js";
import type { Resolver } from "../net/resolver.js";
import { onAbort } from "../scheduler/abort-listeners.js";
import type { ClientTlsOptions } from "./client-options.js";
import type { ProxyServer } from "./proxy.js";
import type { Target } from "./target.js";
import { DuplexTransport, PlainTransport, type Transport } from "./transport.js";

/** The longest head of a proxy's answer to CONNECT, in bytes. */
const TUNNEL_HEAD_BYTES_MAX = 16_384;

/** How to connect. */
export interface OpenOptions {
  readonly resolver: Resolver | undefined;
  readonly socketPath: string | undefined;
  readonly tls: ClientTlsOptions;
  readonly signal: AbortSignal;
}

/**
 * Connects.
 * @throws (rejects) RingloomError the kernel's code, the resolver's, that of TLS (`CERT_HAS_EXPIRED`), `ERR_RINGLOOM_PROXY_REFUSED`, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_OVERLOADED`.
 */
export async function openTransport(target: Target, options: OpenOptions): Promise<Transport> {
  const { socketPath, signal, resolver = rememberingResolver, tls } = options;
  const { proxy, isSecure } = target;
  const { host, port } = proxy ?? target;
  const to = socketPath === undefined ? { host, port } : { path: socketPath };
  const connection = await openConnection(to, { signal, resolver });
  // Accepted and closed in one turn: nobody has heard of it yet.
  if (connection.isClosed || connection.hasPeerEnded) {
    connection.destroy();
    throw closedAtOnce(host, port);
  }
  if (!isSecure && proxy?.isSecure !== true) return new PlainTransport(connection);
  let stream: Duplex = openDuplex(connection, true);
  // Between two waits nobody else hears it, and it would end the process.
  stream.on("error", ignore);
  try {
    if (proxy?.isSecure === true) stream = await secure(stream, { host: proxy.host, tls: proxyTls(tls), signal });
    if (proxy !== undefined && isSecure) await openTunnel(stream, { target, proxy, signal });
    throwIfBroken(stream, host, port);
    if (isSecure) stream = await secure(stream, { host: target.host, tls, signal });
    throwIfBroken(stream, host, port);
    return new DuplexTransport(stream, connection);
  } catch (error) {
    stream.destroy();
    connection.destroy();
    throw error;
  }
}

async function rememberingResolver(
  host: string,
  options: { readonly signal?: AbortSignal | undefined },
): Promise<readonly string[]> {
  return (await lookup(host, { signal: options.signal })).map(({ address }) => address);
}

function secure(
  socket: Duplex,
  { host, tls, signal }: { readonly host: string; readonly tls: ClientTlsOptions; readonly signal: AbortSignal },
): Promise<TLSSocket> {
  return waitOn(signal, (settle) => {
    // A server name is a name: there is none for an address (RFC 6066, section 3). The certificate is checked against it all the same.
    const servername = isIP(host) === 0 ? host : "";
    const secureContext = contextOf(tls);
    const secured = connectTls({ ALPNProtocols: ["http/1.1"], servername, ...tls, secureContext, host, socket });
    const fail = (error: Error): void => settle.reject(tlsFailed(host, error));
    const end = (): void => fail(new Error("the connection ended during the handshake"));
    secured.on("error", ignore).once("error", fail).once("close", end);
    // Its own failure comes by way of TLS, too; without a listener it would end the process.
    socket.on("error", fail);
    secured.once("secureConnect", () => {
      secured.off("error", fail).off("close", end);
      settle.resolve(secured);
    });
    return () => secured.destroy();
  });
}

/** A proxy is trusted by the same authorities as the servers behind it; name and client certificate are theirs. */
function proxyTls(tls: ClientTlsOptions): ClientTlsOptions {
  const { ca, rejectUnauthorized } = tls;
  return { ...(ca === undefined ? {} : { ca }), ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }) };
}

/** Reading certificates takes longer than a handshake, so they are read once for each client. */
const contexts = new WeakMap<ClientTlsOptions, SecureContext>();

function contextOf(tls: ClientTlsOptions): SecureContext {
  let context = contexts.get(tls);
  if (context === undefined) {
    context = createSecureContext(tls);
    contexts.set(tls, context);
  }
  return context;
}

function openTunnel(
  stream: Duplex,
  { target, proxy, signal }: { readonly target: Target; readonly proxy: ProxyServer; readonly signal: AbortSignal },
): Promise<void> {
  return waitOn(signal, (settle) => {
    let head = "";
    const authority = `${target.host.includes(":") ? `[${target.host}]` : target.host}:${target.port}`;
    const stop = (): void => {
      stream.off("data", read).off("error", fail).off("end", end);
      stream.pause();
    };
    const fail = (cause: unknown): void => {
      stop();
      settle.reject(refused(authority, "the connection to it broke", cause));
    };
    const end = (): void => fail(undefined);
    const read = (chunk: Buffer): void => {
      head += chunk.toString("latin1");
      const headEnd = head.indexOf("\r\n\r\n");
      if (headEnd < 0 && head.length <= TUNNEL_HEAD_BYTES_MAX) return;
      stop();
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1];
      if (headEnd < 0 || status === undefined) settle.reject(refused(authority, "it does not speak HTTP"));
      else if (!status.startsWith("2")) settle.reject(refused(authority, `it answered ${status}`));
      // In TLS the client speaks first, so these are no bytes of the server's.
      else if (head.length > headEnd + 4) settle.reject(refused(authority, "it sent more than its answer"));
      else settle.resolve(undefined);
    };
    stream.on("data", read).once("error", fail).once("end", end);
    const credentials = proxy.authorization === undefined ? "" : `proxy-authorization: ${proxy.authorization}\r\n`;
    stream.write(`CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n${credentials}\r\n`);
    return stop;
  });
}

interface Settle<Value> {
  readonly resolve: (value: Value) => void;
  readonly reject: (error: Error) => void;
}

/** What `begin` settles, unless the signal is aborted before: then what it returned is called. */
async function waitOn<Value>(signal: AbortSignal, begin: (settle: Settle<Value>) => () => void): Promise<Value> {
  signal.throwIfAborted();
  let forget: (() => void) | undefined;
  try {
    return await new Promise<Value>((resolve, reject) => {
      const cancel = begin({ resolve, reject });
      forget = onAbort(signal, () => {
        cancel();
        reject(signal.reason);
      });
    });
  } finally {
    forget?.();
  }
}

function tlsFailed(host: string, cause: Error): RingloomError {
  const code = (cause as NodeJS.ErrnoException).code ?? "ERR_RINGLOOM_UNEXPECTED_END";
  return new RingloomError(code, `Cannot connect to ${host} by TLS: ${cause.message}`, {
    operation: "connect",
    details: { host },
    cause,
  });
}

function closedAtOnce(host: string, port: number): RingloomError {
  return new RingloomError(
    "ERR_RINGLOOM_UNEXPECTED_END",
    `Cannot connect to ${host}, port ${port}: the connection was closed at once`,
    { operation: "connect", details: { host, port } },
  );
}

function refused(authority: string, why: string, cause?: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_PROXY_REFUSED", `Cannot connect to ${authority} through the proxy: ${why}`, {
    operation: "connect",
    details: { authority },
    cause,
  });
}

function throwIfBroken({ destroyed, errored }: Duplex, host: string, port: number): void {
  if (destroyed) throw errored == null ? closedAtOnce(host, port) : tlsFailed(host, errored);
}

function ignore(): void {}
