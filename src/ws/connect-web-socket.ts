/** Opens WebSockets to servers, on the thread's driver, within a server and outside of one. */
import { Buffer } from "node:buffer";
import { type ConnectOptions, connect, type NetStream } from "../net/index.js";
import { connectionOf } from "../net/stream.js";
import { armWait, checkWait } from "../task/wait-limits.js";
import { ANSWER_BYTES_MAX, addressOf, ClientHandshake, type WebSocketAddress } from "./client-handshake.js";
import { ClientTransport } from "./client-transport.js";
import { resolveCompression, type WebSocketCompression } from "./compression-options.js";
import { WebSocketHub } from "./hub.js";
import { resolveWebSocketLimits, type WebSocketLimits } from "./options.js";
import { FrameSocket } from "./socket.js";
import { Topics } from "./topics.js";
import type { ClientWebSocket, WebSocketHandlers } from "./web-socket.js";

const OPERATION = "open a WebSocket";
/** For connecting and the handshake together. */
const TIMEOUT_MS_DEFAULT = 30_000;
const END_OF_HEAD = "\r\n\r\n";

/**
 * How to open a WebSocket, and what happens on it: the handlers are those of a server's route. `timeoutMs` (30,000 unless told otherwise; 0 is no limit) and `signal` cover connecting and the handshake, and end nothing after it.
 * TLS is spoken where the URL says `wss:`; `tls` then says how.
 * @experimental
 */
export interface ConnectWebSocketOptions<Data = undefined>
  extends ConnectOptions,
    WebSocketHandlers<Data, ClientWebSocket<Data>> {
  /** For the program: `ws.data`. */
  readonly data?: Data | undefined;
  /** Subprotocols to offer, the best one first. The server has to speak one of them. Default: none. */
  readonly protocols?: readonly string[] | undefined;
  /** Fields of the handshake, such as `Authorization`, `Cookie`, `Origin`. Those of the handshake itself cannot be set. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** As for a route. Those of topics mean nothing here, and `inboundBytesTotalMax` counts the clients of the thread. */
  readonly limits?: Partial<WebSocketLimits> | undefined;
  /** Compression to offer (permessage-deflate, RFC 7692). `true` is its defaults. Default: none. */
  readonly compression?: WebSocketCompression | boolean | undefined;
  /** The path of a Unix socket to connect to; the URL says the rest. */
  readonly socketPath?: string | undefined;
  /** Called with what a handler threw or rejected with, which closes the socket with 1011. Without it that is an uncaught exception. */
  failed?(error: unknown): void;
}

/**
 * Opens a WebSocket, and resolves when the handshake is done. Handlers may run before the caller goes on: what the server sends with its answer is a message already. The socket keeps the process alive until it is closed.
 *
 * @throws RingloomError `ERR_RINGLOOM_HANDSHAKE_FAILED` when the server answers anything but a WebSocket, with `status` and `headers` in its details; what `connect` of `ringloom/net` throws;
 * `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_INVALID_OPTION`. TypeError for a URL, subprotocol or field that is none, and for `tls` beside a URL that says otherwise.
 *
 * ```ts run
 * import { App, serve } from "ringloom/http";
 * import { connectWebSocket } from "ringloom/ws";
 *
 * const app = new App();
 * app.ws("/echo", { message: (ws, message) => ws.send(message) });
 * const server = await serve({ app, port: 0 });
 *
 * const ws = await connectWebSocket(`ws://127.0.0.1:${server.port}/echo`, {
 *   message(ws, message) {
 *     console.log(message); // hello
 *     ws.close();
 *   },
 *   close: () => server.close(),
 *   timeoutMs: 5_000,
 * });
 * ws.send("hello");
 * ```
 * @experimental
 */
export async function connectWebSocket<Data = undefined>(
  url: string | URL,
  options: ConnectWebSocketOptions<Data> = {},
): Promise<ClientWebSocket<Data>> {
  const { protocols = [], headers = {}, timeoutMs = TIMEOUT_MS_DEFAULT, signal } = options;
  checkWait(OPERATION, { signal, timeoutMs });
  const compression = resolveCompression(options.compression);
  const hub = new WebSocketHub({
    handlers: options as unknown as WebSocketHandlers,
    limits: resolveWebSocketLimits(options.limits),
    slowConsumer: "drop",
    topics: new Topics(),
    compression,
  });
  const address = addressOf(url, options.socketPath);
  const handshake = new ClientHandshake(address, { protocols, headers, compression });
  const startedMs = performance.now();
  const stream = await openStream(address, { ...options, timeoutMs });
  // What is left of the time; a limit of 0 would be none.
  const leftMs = timeoutMs === 0 ? 0 : Math.max(1, timeoutMs - (performance.now() - startedMs));
  const waited = { operation: OPERATION, wholeMs: timeoutMs };
  const endLimits = armWait({ signal, timeoutMs: leftMs }, waited, (error) => stream.destroy(error));
  try {
    const { head, rest } = await shakeHands(stream, handshake);
    const { protocol, deflate } = handshake.agreement(head);
    const transport = new ClientTransport(connectionOf(stream), options.failed?.bind(options) ?? throwLater);
    const socket = new FrameSocket({ hub, transport, slot: 0, data: options.data, protocol, deflate });
    transport.start(socket, rest);
    return socket as unknown as ClientWebSocket<Data>;
  } catch (error) {
    stream.destroy();
    throw error;
  } finally {
    endLimits?.();
  }
}

function openStream(address: WebSocketAddress, options: ConnectOptions): Promise<NetStream> {
  const { resolver, attemptDelayMs, noDelay, keepAlive, keepAliveIdleMs, readBufferBytes, signal, timeoutMs } = options;
  const stream = { noDelay, keepAlive, keepAliveIdleMs, readBufferBytes };
  return connect(address.target, {
    ...stream,
    resolver,
    attemptDelayMs,
    signal,
    timeoutMs,
    tls: tlsOf(address, options.tls),
  });
}

function tlsOf({ isTls, target, host }: WebSocketAddress, tls: ConnectOptions["tls"]): ConnectOptions["tls"] {
  if (!isTls) {
    if (tls === undefined || tls === false) return false;
    throw new TypeError("Cannot open a WebSocket: tls is given, and the URL is not one of wss:");
  }
  if (tls === false) throw new TypeError("Cannot open a WebSocket: tls is false, and the URL is one of wss:");
  // A Unix socket has no name that a certificate could be for.
  if ("path" in target && (tls === undefined || tls === true)) return { servername: host };
  return tls ?? true;
}

/** Sends the request, and reads the head of the answer and what came behind it. */
async function shakeHands(
  stream: NetStream,
  handshake: ClientHandshake,
): Promise<{ readonly head: string; readonly rest: Buffer }> {
  await stream.writeAll(Buffer.from(handshake.request, "latin1"));
  let answer = Buffer.alloc(0);
  for (;;) {
    const bytes = await stream.read();
    if (bytes === undefined) throw handshake.failure("the server ends the connection");
    answer = Buffer.concat([answer, bytes]);
    const end = answer.indexOf(END_OF_HEAD, 0, "latin1");
    if (end >= 0 && end <= ANSWER_BYTES_MAX) {
      return { head: answer.latin1Slice(0, end), rest: answer.subarray(end + END_OF_HEAD.length) };
    }
    if (answer.length > ANSWER_BYTES_MAX)
      throw handshake.failure(`the head of the answer has over ${ANSWER_BYTES_MAX} bytes`);
  }
}

/** In no handler's context, and behind what the socket has still to do. */
function throwLater(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}
