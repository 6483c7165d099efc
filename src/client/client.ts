/** The client: requests, redirects, and a pool of connections for each origin. */
import { letGo } from "../http/let-go.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { checkWait, unlessGivenUp } from "../task/wait-limits.js";
import { aborted, clientClosed, failed } from "./client-errors.js";
import {
  type ClientSettings,
  checkedInteger,
  clientSettings,
  type HttpClientOptions,
  type Timeouts,
  timeoutsOf,
} from "./client-options.js";
import { ACCEPT_ENCODING } from "./content-codings.js";
import { Exchange } from "./exchange.js";
import { encodeMessage, fieldOf, type Message, messageOf, standardFields } from "./message.js";
import { OriginPool, type PoolOwner } from "./origin-pool.js";
import { proxyChooser } from "./proxy.js";
import { drain, hasRange, isRedirect, redirected } from "./redirects.js";
import type { ClientRequestOptions } from "./request-options.js";
import { ClientResponse, type ResponseParts } from "./response.js";
import { type Target, Targets } from "./target.js";
import { webFetch } from "./web-fetch.js";

/**
 * What an {@link HttpClient} has and has done.
 * @experimental
 */
export interface HttpClientStats {
  /** Connections that are open, and those of them that are idle. */
  readonly open: number;
  readonly idle: number;
  /** Connections that are being opened. */
  readonly connecting: number;
  /** Requests that wait for a connection. */
  readonly pending: number;
  /** Requests that have begun and whose response is not whole. */
  readonly running: number;
  /** All requests so far, redirects included, and those that failed. */
  readonly requests: number;
  readonly errors: number;
}

/**
 * An HTTP/1.1 client with keep-alive connections of its own.
 *
 * A request that fails is not sent again, with one exception: a connection that was used before, and that its server closed before it said a word, was most likely closed for having been idle. A request with an
 * idempotent method and no stream for a body is then sent again. Connecting is tried again (`connectAttemptsMax`).
 *
 * ```ts run
 * import { serve } from "ringloom/http";
 * import { HttpClient } from "ringloom/client";
 *
 * const server = await serve({ port: 0, fetch: () => Response.json({ hello: "world" }) });
 * const client = new HttpClient({ timeouts: { totalMs: 5_000 }, proxy: false });
 * const response = await client.request(`http://127.0.0.1:${server.port}/`);
 * console.log(response.status, await response.json()); // 200 { hello: 'world' }
 * await client.close();
 * await server.close();
 * ```
 * @experimental
 */
export class HttpClient implements AsyncDisposable, PoolOwner {
  readonly #settings: ClientSettings;
  readonly #targets: Targets;
  /** Fields of every request, and with those that ask for packed bodies. */
  readonly #standard: readonly string[];
  readonly #standardPacked: readonly string[];
  readonly #pools = new Map<string, OriginPool>();
  #requests = 0;
  #errors = 0;
  #running = 0;
  #isClosing = false;
  #closed: Promise<void> | undefined;
  #resolveClosed: (() => void) | undefined;

  /** @throws TypeError, RangeError, RingloomError `ERR_RINGLOOM_INVALID_OPTION` for options that are none. */
  constructor(options: HttpClientOptions = {}) {
    this.#settings = clientSettings(options);
    this.#targets = new Targets(proxyChooser(this.#settings.socketPath === undefined ? this.#settings.proxy : false));
    this.#standard = standardFields(this.#settings.headers);
    const isNamed = fieldOf(this.#standard, "accept-encoding") !== undefined;
    this.#standardPacked = isNamed ? this.#standard : [...this.#standard, "accept-encoding", ACCEPT_ENCODING];
  }

  /** What it has and has done. */
  get stats(): HttpClientStats {
    const stats = { open: 0, idle: 0, connecting: 0, pending: 0 };
    for (const { counts } of this.#pools.values()) {
      stats.open += counts.open;
      stats.idle += counts.idle;
      stats.connecting += counts.connecting;
      stats.pending += counts.pending;
    }
    return { ...stats, running: this.#running, requests: this.#requests, errors: this.#errors };
  }

  /**
   * Sends a request, and resolves with the response when its head is there. Every status is a response, those from 400 on included.
   *
   * @throws (rejects) RingloomError the kernel's code (`ECONNREFUSED`, `ECONNRESET`), the resolver's (`ENOTFOUND`), that of TLS; `ERR_RINGLOOM_TIMEOUT` with the phase in `details`, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_OVERLOADED`,
   * `ERR_RINGLOOM_UNEXPECTED_END` (the server closed the connection), `ERR_RINGLOOM_BAD_RESPONSE`, `ERR_RINGLOOM_TOO_LARGE` (the head), `ERR_RINGLOOM_TOO_MANY_REDIRECTS`, `ERR_RINGLOOM_PROXY_REFUSED`, `ERR_RINGLOOM_UNSUPPORTED`
   * (an upgrade, CONNECT, Expect), `ERR_RINGLOOM_CLOSED`. A TypeError or RangeError for arguments that are none.
   */
  async request(url: string | URL, options: ClientRequestOptions = {}): Promise<ClientResponse> {
    const settings = this.#settings;
    const { decompress = settings.decompress, redirectsMax = settings.redirectsMax } = options;
    const limits = this.#limitsOf(options);
    if (redirectsMax !== settings.redirectsMax)
      checkedInteger("request", "redirectsMax", { value: redirectsMax, min: 0, max: 1_000 });
    const target = this.#targets.of(url);
    let message = messageOf(target, options, decompress ? this.#standardPacked : this.#standard);
    for (let redirects = 0; ; redirects++) {
      const parts = await this.#send(message, limits);
      if (redirectsMax === 0 || !isRedirect(parts)) {
        const { bodyBytesMax } = settings;
        try {
          return new ClientResponse(parts, { redirects, decompress: decompress && !hasRange(message), bodyBytesMax });
        } catch (error) {
          parts.body.cancel();
          throw error;
        }
      }
      void drain(parts.body);
      if (redirects === redirectsMax) throw tooManyRedirects(parts, redirectsMax);
      message = redirected(message, parts, this.#targets);
    }
  }

  /**
   * The same in the shape of the platform's `fetch`: takes what `new Request()` takes, resolves with a web `Response`, rejects with a TypeError whose `cause` is the RingloomError, or with the
   * signal's reason.
   */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    return webFetch(this, input, init);
  }

  /** Takes no more requests, and resolves when those that have begun are over and their connections closed. Giving that wait up leaves them to end by themselves. */
  async close(options: WaitOptions = {}): Promise<void> {
    checkWait("close", options);
    this.#isClosing = true;
    this.#closed ??= new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    for (const pool of [...this.#pools.values()]) pool.close();
    this.#settle();
    await unlessGivenUp(this.#closed, options, "close the client");
  }

  /** Ends everything now: requests fail with the error, or `ERR_RINGLOOM_CLOSED`. */
  destroy(error?: Error): void {
    this.#isClosing = true;
    const reason = error ?? clientClosed({ method: "", url: "anything more" });
    for (const pool of [...this.#pools.values()]) pool.destroy(reason);
  }

  /** {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal */
  poolEmpty(pool: OriginPool): void {
    for (const [key, one] of this.#pools) if (one === pool) this.#pools.delete(key);
    this.#settle();
  }

  #limitsOf({ timeouts: given, signal }: ClientRequestOptions): CallLimits {
    if (signal !== undefined && !(signal instanceof AbortSignal))
      throw new TypeError("Cannot request: signal is not an AbortSignal");
    const timeouts = timeoutsOf("request", given, this.#settings.timeouts);
    const endsAtMs = timeouts.totalMs === 0 ? 0 : performance.now() + timeouts.totalMs;
    return { timeouts, signal, endsAtMs };
  }

  #send(message: Message, { timeouts, signal, endsAtMs }: CallLimits): Promise<ResponseParts> {
    const { target, method, body } = message;
    const name = { method, url: target.href };
    const refusal = this.#isClosing
      ? clientClosed(name)
      : signal?.aborted === true
        ? aborted(name, signal.reason)
        : undefined;
    if (refusal !== undefined) {
      letGo(body);
      throw refusal;
    }
    const encoded = encodeMessage(message);
    const remainingMs = endsAtMs === 0 ? 0 : Math.max(1, endsAtMs - performance.now());
    const exchange = new Exchange(encoded, { timeouts, signal, remainingMs }, this.#onOver);
    this.#requests += 1;
    this.#running += 1;
    this.#poolOf(target).send(exchange);
    return exchange.answered;
  }

  readonly #onOver = (hasFailed: boolean): void => {
    this.#running -= 1;
    if (hasFailed) this.#errors += 1;
    if (this.#isClosing) queueMicrotask(() => this.#settle());
  };

  #poolOf(target: Target): OriginPool {
    let pool = this.#pools.get(target.origin);
    if (pool === undefined) {
      pool = new OriginPool(target, this.#settings, this);
      this.#pools.set(target.origin, pool);
    }
    return pool;
  }

  #settle(): void {
    if (this.#isClosing && this.#running === 0 && this.#pools.size === 0) this.#resolveClosed?.();
  }
}

interface CallLimits {
  readonly timeouts: Timeouts;
  readonly signal: AbortSignal | undefined;
  /** Of `performance.now()`; 0 is never. */
  readonly endsAtMs: number;
}

let ofThread: HttpClient | undefined;

/**
 * Sends a request by the client that this thread shares: {@link HttpClient.request}.
 *
 * ```ts
 * import { request } from "ringloom/client";
 *
 * const response = await request("https://example.org/things", {
 *   method: "POST",
 *   json: { name: "ring" },
 *   timeouts: { connectMs: 2_000, headersMs: 5_000, totalMs: 20_000 },
 * });
 * console.log(response.status, await response.text());
 * ```
 * @experimental
 */
export function request(url: string | URL, options?: ClientRequestOptions): Promise<ClientResponse> {
  ofThread ??= new HttpClient();
  return ofThread.request(url, options);
}

/**
 * The platform's `fetch` over the client that this thread shares: {@link HttpClient.fetch}.
 *
 * ```ts
 * import { fetch } from "ringloom/client";
 *
 * const response = await fetch("https://example.org/", { signal: AbortSignal.timeout(5_000) });
 * console.log(response.status, await response.text());
 * ```
 * @experimental
 */
export function fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  ofThread ??= new HttpClient();
  return ofThread.fetch(input, init);
}

function tooManyRedirects({ request: name }: ResponseParts, redirectsMax: number): Error {
  return failed(
    "ERR_RINGLOOM_TOO_MANY_REDIRECTS",
    name,
    `Cannot request ${name.url}: that would be more than ${redirectsMax} redirects`,
    { details: { redirectsMax } },
  );
}
