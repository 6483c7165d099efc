/** Serving a module on every core from a program, as `ringloom serve` does from the command line. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { RingloomError } from "../errors.js";
import { resolveModule } from "../runtime/module.js";
import { type RuntimeOptions, resolveRuntimeOptions } from "../runtime/options.js";
import type { StopReport } from "../runtime/shard-group.js";
import { Supervisor } from "../runtime/supervisor.js";
import { limitsFromOutside } from "./limit-options.js";
import { type HttpLimits, resolveHttpLimits } from "./limits.js";

/** The module that each shard's thread runs. */
export const SHARD_MAIN = new URL("./shard-main.js", import.meta.url);

/**
 * Options of {@link serveModule}: those of `ringloom serve`, by their names in code. `RINGLOOM_*` variables are stronger.
 * @experimental
 */
export interface ServeModuleOptions extends Partial<RuntimeOptions> {
  /** Limits of HTTP, stronger than those that the module exports. */
  readonly limits?: Partial<HttpLimits>;
}

/**
 * A server on all its shards, as the program that started it sees it.
 * @experimental
 */
export interface ModuleServer {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly shards: number;
  /** The driver's name, and why it is that one. */
  readonly driver: string;
  readonly driverReason: string;
  /** Stops in order: no new connections, begun requests are answered, and what the deadline (`drainMs`) leaves is cut. */
  stop(): Promise<StopReport>;
  /** Resolves when the server has stopped, whoever wanted it, a shard that died included. Never rejects. */
  readonly stopped: Promise<StopReport>;
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
  const { limits = {}, ...config } = options;
  if (!existsSync(SHARD_MAIN)) throw bundledError();
  resolveHttpLimits(limits);
  const supervisor = await Supervisor.start({
    module: resolveModule(String(module), process.cwd()),
    shardMain: SHARD_MAIN,
    options: resolveRuntimeOptions({ environment: process.env, config }),
    service: { limits: { ...limits, ...limitsFromOutside({ environment: process.env }) } },
  });
  const { url, host, port, choice, sizing, stopped } = supervisor;
  return {
    url,
    host,
    port,
    shards: sizing.shards,
    driver: choice.name,
    driverReason: choice.reason,
    stop: () => supervisor.stop(),
    stopped,
  };
}

function bundledError(): RingloomError {
  return new RingloomError(
    "ERR_RINGLOOM_MODULE_LOAD",
    `Cannot start shards: ${fileURLToPath(SHARD_MAIN)} is not there. Did a bundler take ringloom in? It must stay outside (--external:ringloom).`,
    { operation: "load" },
  );
}
