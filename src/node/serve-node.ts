/** One line instead of `app.listen(port)`: an existing app on a driver, on the calling thread. */
import { chooseDriver, createDriver } from "../driver/choose.js";
import { RingloomError } from "../errors.js";
import type { HttpDrainOptions, HttpDrainReport, HttpServerSizes } from "../http/server.js";
import { isTlsServer } from "./http-servers.js";
import { NodeServer, type NodeServerStats } from "./node-server.js";
import { type NodeApp, requireNodeTarget } from "./node-target.js";

/**
 * Options of {@link serveNode}.
 * @experimental
 */
export interface ServeNodeOptions {
  /** 0..65535; 0 lets the system choose. Default 9090. */
  readonly port?: number;
  /** Address to listen on. Default `127.0.0.1`. */
  readonly host?: string;
  /** `auto` takes io_uring where the system allows it. Default: `RINGLOOM_DRIVER`, else `auto`. */
  readonly driver?: Parameters<typeof chooseDriver>[0];
  /** Connections that may wait to be accepted. Default 4096; the kernel caps it at net.core.somaxconn. */
  readonly backlog?: number;
  /** Let other processes share the port (SO_REUSEPORT). Default false. */
  readonly reusePort?: boolean;
  readonly sizes?: Partial<HttpServerSizes>;
  /** Without the peer taking at least 240 bytes a second of what waits for it, in milliseconds; then the connection closes. 0 is no limit. Default 5,000. */
  readonly writeTimeoutMs?: number;
}

/**
 * An app of another framework, served on this thread.
 * @experimental
 */
export interface RunningNodeApp extends AsyncDisposable {
  /** Such as `http://127.0.0.1:9090`. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** What was recognised: `express`, `fastify`, `NestJS`, `Koa`, `http.Server`, `listener`. */
  readonly kind: string;
  /** Which driver serves, and why. */
  readonly driver: { readonly name: string; readonly reason: string };
  /** Node's server, for its timeouts and events. */
  readonly server: NodeServer["server"];
  readonly stats: NodeServerStats;
  /** Stops in order, has the framework close, and tells what was done. */
  drain(options?: HttpDrainOptions): Promise<HttpDrainReport>;
  /** Stops at once. */
  close(): Promise<void>;
}

const PORT_DEFAULT = 9090;
const HOST_DEFAULT = "127.0.0.1";
const BACKLOG_DEFAULT = 4096;

/**
 * Serves an app that was written for `node:http` on the calling thread: express, Koa, fastify, NestJS, a `(request, response)` function or a
 * `http.Server`. Several shards come from a module: `ringloom serve app.js`.
 *
 * ```ts
 * import { serveNode } from "ringloom/node";
 *
 * const server = await serveNode((request, response) => response.end(`hello ${request.url}`), { port: 9090 });
 * ```
 *
 * Rejects with `ERR_RINGLOOM_NOT_AN_APP` for anything else, `ERR_RINGLOOM_LISTENS_ITSELF` for a server that listens already,
 * `ERR_RINGLOOM_INVALID_OPTION`, `ERR_RINGLOOM_DRIVER_UNAVAILABLE`, the kernel's code (`EADDRINUSE`), and what the framework throws when it starts.
 * @experimental
 */
export async function serveNode(app: NodeApp, options: ServeNodeOptions = {}): Promise<RunningNodeApp> {
  const { port = PORT_DEFAULT, host = HOST_DEFAULT, sizes = {} } = options;
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new RingloomError(
      "ERR_RINGLOOM_INVALID_OPTION",
      `Cannot serve with port ${String(port)}: a whole number from 0 to 65535 is allowed`,
      { operation: "serve", details: { option: "port", value: port } },
    );
  }
  const target = await requireNodeTarget(app);
  const choice = chooseDriver(options.driver);
  const node = new NodeServer(target.server, {
    createDriver: (driverOptions, events) => createDriver(choice.name, driverOptions, events),
    sizes: choice.name === "portable" ? { ...sizes, receiveSlabBytes: 0 } : sizes,
    ...(options.writeTimeoutMs === undefined ? {} : { writeTimeoutMs: options.writeTimeoutMs }),
  });
  try {
    const address = { host, port, backlog: options.backlog ?? BACKLOG_DEFAULT, reusePort: options.reusePort ?? false };
    const listening = await node.listen(address);
    const end = async (): Promise<void> => {
      await node.close();
      await target.close();
    };
    const shown = listening.host.includes(":") ? `[${listening.host}]` : listening.host;
    return {
      url: `${isTlsServer(target.server) ? "https" : "http"}://${shown}:${listening.port}`,
      host: listening.host,
      port: listening.port,
      kind: target.kind,
      driver: { name: choice.name, reason: choice.reason },
      server: target.server,
      get stats() {
        return node.stats;
      },
      async drain(drainOptions) {
        const report = await node.drain(drainOptions);
        await end();
        return report;
      },
      close: end,
      [Symbol.asyncDispose]: end,
    };
  } catch (error) {
    await node.close();
    throw error;
  }
}
