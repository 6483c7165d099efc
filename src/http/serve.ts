import { chooseDriver, createDriver } from "../driver/choose.js";
import { RingloomError } from "../errors.js";
import type { App } from "./app.js";
import type { FetchHandler, FetchInfo } from "./fetch-handler.js";
import type { HttpLimits } from "./limits.js";
import type { Log } from "./log.js";
import { type HttpDrainOptions, type HttpDrainReport, HttpServer, type HttpServerSizes } from "./server.js";
import type { HttpStats } from "./stats.js";

/**
 * Options of {@link serve}. Exactly one of `fetch` and `app` is given.
 * @experimental
 */
export interface ServeOptions {
  /** 0..65535; 0 lets the system choose. Default 9090. */
  readonly port?: number;
  /** Address to listen on. Default `127.0.0.1`. */
  readonly host?: string;
  /** Web-standard handler. */
  readonly fetch?: (request: Request, info: FetchInfo) => Response | Promise<Response>;
  /** Router. */
  readonly app?: App;
  /** `auto` takes io_uring where the system allows it, else epoll on Linux. Default: `RINGLOOM_DRIVER`, else `auto`. */
  readonly driver?: "auto" | "uring" | "epoll" | "portable";
  /** Connections that may wait to be accepted. Default 4096; the kernel caps it at net.core.somaxconn. */
  readonly backlog?: number;
  /** Let other processes share the port (SO_REUSEPORT). Default false. */
  readonly reusePort?: boolean;
  readonly limits?: Partial<HttpLimits>;
  readonly sizes?: Partial<HttpServerSizes>;
  readonly log?: Log;
  /** Whether a `fetch` handler replaces the global `Response` by one that is sent faster. Default true. */
  readonly overrideGlobals?: boolean;
}

/**
 * A server that runs on this thread.
 * @experimental
 */
export interface Server extends AsyncDisposable {
  /** Such as `http://127.0.0.1:9090`. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Which driver serves, and why. */
  readonly driver: { readonly name: string; readonly reason: string };
  readonly stats: HttpStats;
  /** Stops in order, closes, and tells what it did. A further call gives the same report, and can only bring the deadline forward. */
  drain(options?: HttpDrainOptions): Promise<HttpDrainReport>;
  /** Stops at once. */
  close(): Promise<void>;
}

const PORT_DEFAULT = 9090;
const HOST_DEFAULT = "127.0.0.1";
const BACKLOG_DEFAULT = 4096;

/**
 * Serves on the calling thread, as one shard. Several shards come from a module: `ringloom serve app.js`.
 *
 * ```ts
 * import { serve } from "ringloom/http";
 *
 * const server = await serve({ port: 9090, fetch: () => new Response("hello") });
 * ```
 *
 * Rejects with `ERR_RINGLOOM_INVALID_OPTION` for an option that is not allowed, `ERR_RINGLOOM_DRIVER_UNAVAILABLE` when the driver asked
 * for cannot run, and the kernel's code (`EADDRINUSE`) when the address cannot be had.
 * @experimental
 */
export async function serve(options: ServeOptions): Promise<Server> {
  const { app, fetch: handler, port = PORT_DEFAULT, host = HOST_DEFAULT } = options;
  if ((app === undefined) === (handler === undefined))
    throw invalid("fetch", handler, "exactly one of fetch and app is allowed");
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw invalid("port", port, "a whole number from 0 to 65535 is allowed");
  const target: App | FetchHandler = app ?? { fetch: handler as FetchHandler["fetch"] };
  const choice = chooseDriver(options.driver);
  const sizes = choice.name === "portable" ? { ...options.sizes, receiveSlabBytes: 0 } : (options.sizes ?? {});
  const http = new HttpServer(target, {
    createDriver: (driverOptions, events) => createDriver(choice.name, driverOptions, events),
    sizes,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.log === undefined ? {} : { log: options.log }),
    ...(options.overrideGlobals === undefined ? {} : { overrideGlobals: options.overrideGlobals }),
  });
  try {
    const address = { host, port, backlog: options.backlog ?? BACKLOG_DEFAULT, reusePort: options.reusePort ?? false };
    const listening = await http.listen(address);
    return new RunningServer(http, listening.host, listening.port, { name: choice.name, reason: choice.reason });
  } catch (error) {
    await http.close();
    throw error;
  }
}

class RunningServer implements Server {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly driver: { readonly name: string; readonly reason: string };
  readonly #http: HttpServer;

  constructor(
    http: HttpServer,
    host: string,
    port: number,
    driver: { readonly name: string; readonly reason: string },
  ) {
    this.#http = http;
    this.host = host;
    this.port = port;
    this.driver = driver;
    this.url = `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
  }

  get stats(): HttpStats {
    return this.#http.stats;
  }

  async drain(options?: HttpDrainOptions): Promise<HttpDrainReport> {
    const report = await this.#http.drain(options);
    await this.#http.close();
    return report;
  }

  close(): Promise<void> {
    return this.#http.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#http.close();
  }
}

function invalid(option: string, value: unknown, allowed: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot serve with ${option} ${String(value)}: ${allowed}`, {
    operation: "serve",
    details: { option, value },
  });
}
