/**
 * Requests without a socket, for tests: Node's own HTTP client on one side, the whole server on the other, and two byte queues in between.
 *
 *     Request → node:http client → bytes → MemoryDriver → parser → router → handler → encoder → bytes → client → Response
 *
 * So an answer here is the answer over the network: the same limits, refusals, headers and framing, and the same signal when the client goes.
 */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { Duplex, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { MemoryDriver, type MemoryPeer } from "../driver/memory.js";
import { RingloomError } from "../errors.js";
import type { App } from "./app.js";
import type { FetchHandler } from "./fetch-handler.js";
import type { HttpLimits } from "./limits.js";
import type { Log } from "./log.js";
import type { Scheme } from "./request-url.js";
import { HttpServer } from "./server.js";
import type { HttpStats } from "./stats.js";

/** Small enough that every app of a test run has a server of its own, large enough for bodies of any size to flow. */
const SIZES = { connectionsMax: 1_024, writePoolBytes: 4_194_304, receiveSlabBytes: 0 };
const BASE = "http://localhost/";
const NULL_BODY_STATUSES: readonly number[] = [101, 204, 205, 304];

/**
 * Options of {@link inject}.
 * @experimental
 */
export interface InjectOptions {
  /** Limits other than the defaults. */
  readonly limits?: Partial<HttpLimits>;
  /** Where errors go. Default: a line of JSON each on stderr, as under `serve`. */
  readonly log?: Log;
  /** Whether a `fetch` handler replaces the global `Response` by one that is sent faster, as a server does. Default true. */
  readonly overrideGlobals?: boolean;
}

/**
 * A server in memory.
 * @experimental
 */
export interface Injected {
  /**
   * Sends a request and resolves with the answer once its head is there. A path such as `/users?page=2` is one at http://localhost.
   * The body of a `Request` object is sent in chunks; a text or bytes in `init` have a Content-Length, as with `fetch`.
   * Rejects with the signal's reason when that aborts, and with `ERR_RINGLOOM_ABORTED` when the server cuts the connection without an answer.
   */
  request(input: string | URL | Request, init?: RequestInit): Promise<Response>;
  readonly stats: HttpStats;
  /** Cuts what is left. */
  close(): Promise<void>;
}

/**
 * Starts a server for `handler` without a socket.
 *
 * ```ts run
 * import { inject } from "ringloom/testing";
 *
 * const server = inject({ fetch: (request: Request) => new Response(new URL(request.url).pathname) });
 * const response = await server.request("/hello");
 * if ((await response.text()) !== "/hello") throw new Error("unexpected");
 * await server.close();
 * ```
 *
 * Throws as `new HttpServer` does for a handler or a limit that is not allowed.
 * @experimental
 */
export function inject(handler: App | FetchHandler, options: InjectOptions = {}): Injected {
  return new MemoryServer(handler, options);
}

/** See {@link inject}. */
export class MemoryServer implements Injected {
  readonly #server: HttpServer;
  readonly #driver: MemoryDriver;
  readonly #listening: Promise<unknown>;
  /** A Request's signal hears the caller's only as long as the Request lives (undici holds it weakly), so each lives until its connection is closed. */
  readonly #open = new Map<PeerSocket, readonly [given: string | URL | Request, sent: Request]>();
  #isTurnScheduled = false;

  constructor(handler: App | FetchHandler, options: InjectOptions & { readonly scheme?: Scheme }) {
    let driver: MemoryDriver | undefined;
    this.#server = new HttpServer(handler, {
      createDriver: (driverOptions, events) => {
        driver = new MemoryDriver(driverOptions, events, { inSlab: false, wake: () => this.#wake() });
        return driver;
      },
      sizes: SIZES,
      ...options,
    });
    if (driver === undefined) throw new Error("The server creates its driver at once");
    this.#driver = driver;
    this.#listening = this.#server.listen({ host: "localhost", port: 0, backlog: 1, reusePort: false });
  }

  get stats(): HttpStats {
    return this.#server.stats;
  }

  request(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    return this.requestFrom(undefined, input, init);
  }

  /** The same, as if the client were at `host`. */
  async requestFrom(
    host: string | undefined,
    input: string | URL | Request,
    init: RequestInit = {},
  ): Promise<Response> {
    const request = new Request(input instanceof Request ? input : new URL(input, BASE), init);
    request.signal.throwIfAborted();
    await this.#listening;
    const body = hasLength(init.body) ? new Uint8Array(await request.arrayBuffer()) : request.body;
    const peer = this.#driver.open(host);
    if (peer === undefined) throw cutError("every connection is taken");
    const socket = new PeerSocket(peer);
    this.#open.set(socket, [input, request]);
    socket.once("close", () => this.#open.delete(socket));
    const sent = startRequest(request, socket, body);
    try {
      return toResponse(await answerTo(sent, request.signal), socket, request.signal);
    } catch (error) {
      socket.destroy();
      throw request.signal.aborted ? request.signal.reason : error;
    }
  }

  close(): Promise<void> {
    return this.#server.close();
  }

  #wake(): void {
    if (this.#isTurnScheduled) return;
    this.#isTurnScheduled = true;
    setImmediate(() => {
      this.#isTurnScheduled = false;
      if (this.#driver.turn()) this.#wake();
    });
  }
}

/** The client's end of a connection in memory, as a stream. */
class PeerSocket extends Duplex {
  readonly #peer: MemoryPeer;
  #isWritten: ((error?: Error | null) => void) | undefined;
  #hasEnded = false;

  constructor(peer: MemoryPeer) {
    super({ allowHalfOpen: true });
    this.#peer = peer;
    peer.onTurn = () => this.#onTurn();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#isWritten = done;
    this.#peer.send(chunk);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#peer.end();
    done();
  }

  override _read(): void {
    this.#peer.setReading(true);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#peer.isClosed) this.#peer.reset();
    done(error);
  }

  #onTurn(): void {
    const peer = this.#peer;
    for (const chunk of peer.received.splice(0)) {
      if (!this.push(chunk)) peer.setReading(false);
    }
    if (peer.isTaken && this.#isWritten !== undefined) {
      const done = this.#isWritten;
      this.#isWritten = undefined;
      done();
    }
    if ((peer.hasEnd || peer.isClosed) && !this.#hasEnded) {
      this.#hasEnded = true;
      this.push(null);
    }
  }
}

/** Whether `fetch` would send this body with its length. */
function hasLength(body: RequestInit["body"]): boolean {
  return (
    body !== undefined && body !== null && !(body instanceof ReadableStream) && !(Symbol.asyncIterator in Object(body))
  );
}

function startRequest(
  request: Request,
  socket: PeerSocket,
  body: Uint8Array | ReadableStream<Uint8Array> | null,
): ClientRequest {
  const url = new URL(request.url);
  const sent = httpRequest({
    method: request.method,
    path: `${url.pathname}${url.search}`,
    headers: headersOf(request, url, body instanceof Uint8Array ? body.length : undefined),
    createConnection: () => socket,
  });
  if (body === null || body instanceof Uint8Array) sent.end(body ?? undefined);
  // A body that fails destroys the request, and a request that fails is told by its own event.
  else void pipeline(body, sent).catch(() => undefined);
  return sent;
}

function headersOf(request: Request, url: URL, length: number | undefined): string[] {
  const pairs: string[] = [];
  if (!request.headers.has("host")) pairs.push("host", url.host);
  if (!request.headers.has("connection")) pairs.push("connection", "keep-alive");
  for (const [name, value] of request.headers) pairs.push(name, value);
  const isFramed = request.headers.has("content-length") || request.headers.has("transfer-encoding");
  if (isFramed || request.body === null) return pairs;
  return length === undefined
    ? [...pairs, "transfer-encoding", "chunked"]
    : [...pairs, "content-length", String(length)];
}

function answerTo(sent: ClientRequest, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const onAbort = () => sent.destroy(cutError("the request was aborted"));
    signal.addEventListener("abort", onAbort, { once: true });
    sent.once("response", resolve);
    // Also later, when the answer is there: an error without a listener would end the process.
    sent.on("error", (error) => reject(cutError(error.message, error)));
    sent.once("close", () => {
      signal.removeEventListener("abort", onAbort);
      // A body that fails before the request has its socket ends it without an error. What is settled stays as it is.
      reject(cutError("the request has ended"));
    });
  });
}

function toResponse(message: IncomingMessage, socket: PeerSocket, signal: AbortSignal): Response {
  const headers = new Headers();
  const { rawHeaders, statusCode = 0, statusMessage = "" } = message;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    headers.append(rawHeaders[index] ?? "", rawHeaders[index + 1] ?? "");
  }
  const onAbort = () => message.destroy(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  message.once("close", () => {
    signal.removeEventListener("abort", onAbort);
    socket.destroy();
  });
  const init = { status: statusCode, statusText: statusMessage, headers };
  if (!NULL_BODY_STATUSES.includes(statusCode)) return new Response(Readable.toWeb(message) as ReadableStream, init);
  message.resume();
  return new Response(null, init);
}

function cutError(why: string, cause?: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", `Cannot answer: ${why}`, {
    operation: "request",
    ...(cause === undefined ? {} : { cause }),
  });
}
