/** Serving a module on every core from a program, as `ringloom serve` does from the command line. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { RingloomError } from "../errors.js";
import type { ServerHealth } from "../runtime/health.js";
import { type RuntimeOptions, resolveRuntimeOptions } from "../runtime/options.js";
import type { RestartReport } from "../runtime/rolling-restart.js";
import type { InvokeOptions } from "../runtime/shard-functions.js";
import type { GroupEvents } from "../runtime/shard-group.js";
import type { StopReport } from "../runtime/stop-report.js";
import { limitsFromOutside } from "./limit-options.js";
import { type HttpLimits, resolveHttpLimits } from "./limits.js";
import { SHARD_MAIN, supervise } from "./supervise.js";
import { reloadSupervised } from "./tls-reload.js";

/**
 * Options of {@link serveModule}: those of `ringloom serve`, by their names in code. `RINGLOOM_*` variables are stronger.
 * @experimental
 */
export interface ServeModuleOptions extends Partial<RuntimeOptions> {
  /** Limits of HTTP, stronger than those that the module exports. */
  readonly limits?: Partial<HttpLimits>;
  /** Told when a shard is lost, replaced, stuck or in trouble. */
  readonly events?: GroupEvents;
}

/**
 * A server on all its shards, as the program that started it sees it.
 * @experimental
 */
export interface ModuleServer {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Of the Unix socket that the server listens on (`unix`); host and port are then empty and 0. */
  readonly path: string | undefined;
  readonly shards: number;
  /** The driver's name, and why it is that one. */
  readonly driver: string;
  readonly driverReason: string;
  /** Where the probes ask: `/livez` and `/readyz` below it; undefined without `healthPort`. */
  readonly healthUrl: string | undefined;
  /** Where the server is in its life and how each shard is, current. */
  readonly health: ServerHealth;
  /**
   * Stops in order: no new connections, begun requests are answered, and what the deadline (`drainMs`) leaves is cut. With `readyDelayMs` the server
   * is first not ready for so long and serves as before. A further call changes nothing, unless its `readyDelayMs` ends sooner; to end a stop at once, call `cut`.
   */
  stop(options?: { readonly readyDelayMs?: number }): Promise<StopReport>;
  /** Ends a stop now: what is unfinished is cut. */
  cut(): void;
  /** Resolves when the server has stopped, whoever wanted it, shards that died too often included. Never rejects. */
  readonly stopped: Promise<StopReport>;
  /**
   * Gives one shard after the other a new thread, which loads the module anew; no request is lost. Rejects when a new thread does not
   * start (the old one then goes on), with `ERR_RINGLOOM_CLOSED` when the server stops, with `ERR_RINGLOOM_UNSUPPORTED` where a port cannot be shared.
   */
  restart(): Promise<RestartReport>;
  /**
   * Has every shard read its certificates again; connections go on as they are. Rejects with `ERR_RINGLOOM_INVALID_OPTION` when they cannot be read, and nothing changes then; with `ERR_RINGLOOM_UNSUPPORTED` for a
   * server without TLS. `restart` reads them again, too.
   */
  reloadTls(): Promise<void>;
  /** Ends the thread of a shard at once, even inside a loop that never returns. Its connections close, and it is replaced like one that died. Where none serves yet, the thread that starts is ended. */
  terminateShard(shard: number): void;
  /** Calls a function that the module registered with `shardFunction`, by its name. Rejects as `invokeOnShard` does. */
  invokeOnShard(name: string, options: InvokeOptions, ...args: readonly unknown[]): Promise<unknown>;
}

/**
 * Serves the default export of a module on every core, each shard with an instance of its own. Call it on the main thread. Signals
 * stay the program's: call `stop` when one comes.
 *
 * @param module A file URL, or a path relative to the working directory.
 * @throws RingloomError What `ringloom serve` reports: `ERR_RINGLOOM_INVALID_OPTION`, `ERR_RINGLOOM_MODULE_LOAD`, `ERR_RINGLOOM_NOT_AN_APP`,
 * `ERR_RINGLOOM_DRIVER_UNAVAILABLE`, `EADDRINUSE` and the like.
 * @example
 * ```ts
 * import { serveModule } from "ringloom/http";
 * const server = await serveModule(new URL("./app.js", import.meta.url), { port: 8080 });
 * process.once("SIGTERM", () => server.stop());
 * ```
 * @experimental
 */
export async function serveModule(module: string | URL, options: ServeModuleOptions = {}): Promise<ModuleServer> {
  const { limits = {}, events, ...config } = options;
  if (!existsSync(SHARD_MAIN)) throw bundledError();
  resolveHttpLimits(limits);
  const { supervisor, healthUrl } = await supervise({
    module: String(module),
    options: resolveRuntimeOptions({ environment: process.env, config }),
    service: { limits: { ...limits, ...limitsFromOutside({ environment: process.env }) } },
    ...(events === undefined ? {} : { events }),
  });
  const { url, host, port, path, choice, sizing, stopped } = supervisor;
  return {
    url,
    host,
    port,
    path,
    shards: sizing.shards,
    driver: choice.name,
    driverReason: choice.reason,
    healthUrl,
    get health() {
      return supervisor.health;
    },
    stop: (stopOptions) => supervisor.stop(stopOptions),
    cut: () => supervisor.cut(),
    stopped,
    restart: () => supervisor.restart(),
    reloadTls: () => reloadSupervised(supervisor),
    terminateShard: (shard) => supervisor.terminateShard(shard),
    invokeOnShard: (name, invokeOptions, ...args) => supervisor.invokeOnShard(name, invokeOptions, ...args),
  };
}

function bundledError(): RingloomError {
  return new RingloomError(
    "ERR_RINGLOOM_MODULE_LOAD",
    `Cannot start shards: ${fileURLToPath(SHARD_MAIN)} is not there. Did a bundler take ringloom in? It must stay outside (--external:ringloom).`,
    { operation: "load" },
  );
}
