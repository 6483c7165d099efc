/** What `ringloom serve` and `serveModule` have in common: the supervisor, the health port and the supervisor module, started and ended together. */
import { importModule, resolveModule } from "../runtime/module.js";
import type { RuntimeOptions } from "../runtime/options.js";
import type { GroupEvents } from "../runtime/shard-group.js";
import { Supervisor } from "../runtime/supervisor.js";
import { HealthServer } from "./health-server.js";

/** The module that each shard's thread runs. */
export const SHARD_MAIN = new URL("./shard-main.js", import.meta.url);

/** What to serve. */
export interface SuperviseRequest {
  /** The user's module: a path relative to the working directory, or a file URL. */
  readonly module: string;
  readonly options: RuntimeOptions;
  /** Options of the HTTP service, for the shards. */
  readonly service: Readonly<Record<string, unknown>>;
  readonly events?: GroupEvents;
}

/** A server, and its health port if it has one. */
export interface Supervised {
  readonly supervisor: Supervisor;
  readonly healthUrl: string | undefined;
}

/** Starts everything, or leaves nothing running and rejects with what was in the way. */
export async function supervise(request: SuperviseRequest): Promise<Supervised> {
  const { options, service, events } = request;
  const module = resolveModule(request.module, process.cwd());
  const lifecycle = await loadLifecycle(options.supervisorModule);
  const health = await openHealth(options);
  try {
    const supervisor = await Supervisor.start({
      module,
      shardMain: SHARD_MAIN,
      options,
      service,
      lifecycle,
      ...(events === undefined ? {} : { events }),
    });
    health?.watch(() => supervisor.health);
    void supervisor.stopped.then(() => health?.close());
    return { supervisor, healthUrl: health?.url };
  } catch (error) {
    health?.close();
    throw error;
  }
}

async function openHealth(options: RuntimeOptions): Promise<HealthServer | undefined> {
  if (options.healthPort === "off") return undefined;
  const host = options.healthHost === "auto" ? options.host : options.healthHost;
  return HealthServer.open(host, options.healthPort);
}

async function loadLifecycle(path: string): Promise<unknown> {
  if (path === "none") return undefined;
  const { named } = await importModule(resolveModule(path, process.cwd()));
  return named("lifecycle");
}
