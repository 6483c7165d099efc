import { chooseDriver, chooseTlsDriver, createDriver } from "../driver/choose.js";
import type { Listening } from "../driver/contract.js";
import { checkUnixPlace, listenAtPath } from "../driver/unix-listen.js";
import { removeSocketFile, type SocketFile } from "../driver/unix-path.js";
import { RingloomError } from "../errors.js";
import { TlsAcceptor } from "../tls/acceptor.js";
import type { TlsReload, TlsServerOptions } from "../tls/server-options.js";
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
  /** A Unix socket in place of host and port: a path, or behind a first character of code 0 an abstract name (Linux). What a dead server has left at the path is removed, and the own file at the end. */
  readonly path?: string;
  /** Who may connect to the Unix socket: the mode of its file, such as `0o660`, from the first moment on. Default: what the umask leaves. */
  readonly mode?: number;
  /** Serves TLS, over the portable driver. Default: plain connections. */
  readonly tls?: TlsServerOptions;
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
  /** Such as `http://127.0.0.1:9090`; `https:` with TLS, `unix:/run/app.sock` for a Unix socket. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Of a Unix socket; host and port are then empty and 0. */
  readonly path: string | undefined;
  /** Which driver serves, and why. */
  readonly driver: { readonly name: string; readonly reason: string };
  readonly stats: HttpStats;
  /**
   * From the next handshake on these certificates are shown; connections go on as they are. Throws `ERR_RINGLOOM_INVALID_OPTION` for what cannot be read, and changes nothing then; `ERR_RINGLOOM_UNSUPPORTED` for
   * a server without TLS.
   */
  reloadTls(changes: TlsReload): void;
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
  const unix = options.path === undefined ? undefined : { path: options.path, mode: options.mode };
  if (unix !== undefined) checkUnixPlace(unix);
  else if (options.mode !== undefined) throw invalid("mode", options.mode, "only a Unix socket (path) has a mode");
  const tls = options.tls === undefined ? undefined : new TlsAcceptor(options.tls);
  const choice = tls === undefined ? chooseDriver(options.driver) : chooseTlsDriver(options.driver);
  const sizes = choice.name === "portable" ? { ...options.sizes, receiveSlabBytes: 0 } : (options.sizes ?? {});
  const http = new HttpServer(target, {
    createDriver: (driverOptions, events) => createDriver(choice.name, driverOptions, events),
    sizes,
    ...(tls === undefined ? {} : { tls }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.log === undefined ? {} : { log: options.log }),
    ...(options.overrideGlobals === undefined ? {} : { overrideGlobals: options.overrideGlobals }),
  });
  try {
    const backlog = options.backlog ?? BACKLOG_DEFAULT;
    const { name, reason } = choice;
    if (unix !== undefined) {
      // libuv would remove whatever is there when it stops, a later server's as well; with a mode the file is ours.
      const isNodes = choice.name === "portable" && unix.mode === undefined && !unix.path.startsWith("\0");
      const { file } = await listenAtPath(isNodes ? { ...unix, mode: 0o777 & ~process.umask() } : unix, {
        listen: (path) => http.listen({ path, backlog }),
        undo: () => undefined,
      });
      return new RunningServer(http, {
        listening: { host: "", port: 0, path: unix.path, file },
        tls,
        driver: { name, reason },
      });
    }
    const listening = await http.listen({ host, port, backlog, reusePort: options.reusePort ?? false });
    return new RunningServer(http, { listening, tls, driver: { name, reason } });
  } catch (error) {
    await http.close();
    throw error;
  }
}

interface RunningParts {
  readonly listening: Pick<Listening, "host" | "port" | "path"> & { readonly file?: SocketFile | undefined };
  readonly tls: TlsAcceptor | undefined;
  readonly driver: { readonly name: string; readonly reason: string };
}

class RunningServer implements Server {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly path: string | undefined;
  readonly driver: { readonly name: string; readonly reason: string };
  readonly #http: HttpServer;
  readonly #tls: TlsAcceptor | undefined;
  readonly #file: SocketFile | undefined;

  constructor(http: HttpServer, { listening, tls, driver }: RunningParts) {
    const { host, port, path, file } = listening;
    this.#http = http;
    this.#tls = tls;
    this.#file = file;
    this.host = host;
    this.port = port;
    this.path = path;
    this.driver = driver;
    const scheme = tls === undefined ? "http" : "https";
    this.url = path === undefined ? `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}` : `unix:${path}`;
  }

  reloadTls(changes: TlsReload): void {
    if (this.#tls === undefined)
      throw new RingloomError("ERR_RINGLOOM_UNSUPPORTED", "Cannot reload certificates: the server speaks no TLS", {
        operation: "reloadTls",
      });
    this.#tls.reload(changes);
  }

  get stats(): HttpStats {
    return this.#http.stats;
  }

  async drain(options?: HttpDrainOptions): Promise<HttpDrainReport> {
    this.#removeFile();
    const report = await this.#http.drain(options);
    await this.#http.close();
    return report;
  }

  close(): Promise<void> {
    this.#removeFile();
    return this.#http.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Before anything else, so that nobody finds it whom nobody would accept. */
  #removeFile(): void {
    if (this.#file !== undefined) removeSocketFile(this.#file);
  }
}

function invalid(option: string, value: unknown, allowed: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot serve with ${option} ${String(value)}: ${allowed}`, {
    operation: "serve",
    details: { option, value },
  });
}
