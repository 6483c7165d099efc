/** What a shard's thread runs under `ringloom serve`: loads the user's module, makes the HTTP server, and obeys the supervisor. */

import { createDriver } from "../driver/choose.js";
import type { Driver, ListenAddress, Listening } from "../driver/contract.js";
import { RingloomError } from "../errors.js";
import { forMessages, shardBroadcasts, withMessages } from "../messages/shard-messages.js";
import { withoutListening } from "../node/listen-guard.js";
import { nodeServiceOf } from "../node/node-service.js";
import { AccessLog } from "../observe/access-log.js";
import { logSettings, writeLogLines } from "../observe/log.js";
import { loadModule } from "../runtime/module.js";
import { runShard, type ServiceDrainReport, type ShardService } from "../runtime/shard.js";
import type { DrainOptions, ShardAssignment } from "../runtime/shard-protocol.js";
import { shardWake } from "../scheduler/shard-seat.js";
import type { TopicExchange } from "../ws/topics.js";
import { App } from "./app.js";
import { isFetchHandler } from "./fetch-handler.js";
import type { HttpLimits } from "./limits.js";
import { servePlaced } from "./placed-requests.js";
import { poolLimitsFor } from "./pool-limits.js";
import { HttpServer } from "./server.js";
import { acceptorOf } from "./tls-reload.js";

class HttpService implements ShardService {
  readonly lifecycle: unknown;
  readonly #server: HttpServer;

  constructor(server: HttpServer, lifecycle: unknown) {
    this.#server = server;
    this.lifecycle = lifecycle;
  }

  get driver(): Driver {
    return this.#server.driver;
  }

  get driverStats(): object {
    return this.#server.driver.stats;
  }

  get serviceStats(): object {
    return this.#server.stats;
  }

  listen(target: number | ListenAddress): Promise<Listening> {
    return this.#server.listen(target);
  }

  adopt(descriptor: number): boolean {
    return this.#server.adopt(descriptor);
  }

  async drain(options: DrainOptions, listenerStopped: () => Promise<void>): Promise<ServiceDrainReport> {
    const report = await this.#server.drain({ ...options, listenerStopped });
    await this.#server.close();
    return report;
  }

  cut(): void {
    this.#server.cut();
  }
}

async function start(assignment: ShardAssignment): Promise<ShardService> {
  return withoutListening(() => load(assignment));
}

async function load(assignment: ShardAssignment): Promise<ShardService> {
  const module = await loadModule(new URL(assignment.module));
  const limits = { ...limitsOf(module.named("limits")), ...limitsOf(assignment.service.limits) };
  // A promise of an app is as good as the app, and CommonJS has no other way to wait for one.
  const exported = await module.defaultExport;
  const lifecycle = module.named("lifecycle");
  if (!(exported instanceof App) && !isFetchHandler(exported)) {
    const service = await nodeServiceOf({ exported, lifecycle }, assignment, limits);
    if (service !== undefined) return service;
    throw notAnApp(exported, assignment.module);
  }
  if (exported instanceof App) exported.connectTopics(shardBroadcasts() ?? NO_EXCHANGE);
  const tls = acceptorOf(assignment.tls);
  const server = new HttpServer(exported, {
    ...(tls === undefined ? {} : { tls }),
    createDriver: (options, events) =>
      forMessages(
        createDriver(assignment.driver, { ...options, wake: withMessages(shardWake(assignment.scheduler)) }, events),
      ),
    limits: { ...poolLimitsFor(assignment.memory.servicePoolBytes), ...limits },
    sizes: assignment.sizes,
    ...(assignment.accessLog
      ? { accessLog: new AccessLog(logSettings().format, assignment.shard, writeLogLines) }
      : {}),
  });
  if (exported instanceof App) servePlaced(exported, server.limits);
  return new HttpService(server, lifecycle);
}

/** For a thread that found no place among those of its server: what it publishes is refused, not lost. */
const NO_EXCHANGE: TopicExchange = {
  bytesMax: Number.POSITIVE_INFINITY,
  hasListeners: true,
  publish: () => false,
  listen: () => undefined,
};

/** Says what was exported instead. */
function notAnApp(exported: unknown, module: string): RingloomError {
  return new RingloomError(
    "ERR_RINGLOOM_NOT_AN_APP",
    `Cannot serve ${decodeURIComponent(new URL(module).pathname)}: its default export is ${describe(exported)}.`,
    { operation: "load", details: { module } },
  );
}

function describe(exported: unknown): string {
  if (typeof exported === "function") {
    const count = exported.length === 1 ? "1 parameter" : `${exported.length} parameters`;
    return `a function of ${count}, where { fetch: handler } and (request, response) listeners can be served`;
  }
  if (typeof exported !== "object" || exported === null) return `${String(exported)}, not an App`;
  // A class of the same name that is not ours: the module has found another copy of this package than the one that serves it.
  if (exported.constructor?.name === App.name)
    return 'an App of another copy of "ringloom"; serve it with that copy, or leave ringloom out of the bundle (--external:ringloom)';
  return "an object that is neither an App nor has a fetch method";
}

/** The names and bounds are checked by the server. */
function limitsOf(value: unknown): Partial<HttpLimits> {
  if (value === undefined) return {};
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new RingloomError(
    "ERR_RINGLOOM_INVALID_OPTION",
    `Cannot use the module's limits: ${String(value)} is not an object.`,
    {
      operation: "configure",
      details: { option: "limits", value },
    },
  );
}

await runShard(start);
