/**
 * Servers for tests: over real sockets on a driver, or in memory. Both tell what is left over when nobody is
 * connected.
 */
import type { Driver, DriverEvents, DriverOptions } from "../../src/driver/contract.js";
import { MemoryDriver, type MemoryPeer } from "../../src/driver/memory.js";
import { type App, type FetchHandler, HttpServer, type HttpServerSizes, type HttpStats } from "../../src/http/index.js";
import type { HttpLimits } from "../../src/http/limits.js";
import type { LogEntry } from "../../src/http/log.js";
import type { DriverUnderTest } from "./drivers.js";

export interface ServerSetup {
  readonly limits?: Partial<HttpLimits>;
  readonly sizes?: Partial<HttpServerSizes>;
}

/** Small enough to start many servers in one process. */
const SIZES: Partial<HttpServerSizes> = {
  connectionsMax: 4096,
  writePoolBytes: 16 * 1024 * 1024,
  receiveSlabBytes: 1024 * 1024,
};

/** Gauges of {@link HttpStats}: all 0 when nobody is connected. */
const GAUGES = [
  "connectionsNow",
  "requestsNow",
  "parserStatesNow",
  "headArenasNow",
  "pendingBuffersNow",
  "largeBodiesNow",
  "webSocketsNow",
  "webSocketInboundBytesNow",
  "webSocketSubscriptionsNow",
] as const;

/** Counters that ordinary traffic does not move. */
const REFUSALS = [
  "badRequests",
  "headerOverflows",
  "urlOverflows",
  "bodyOverflows",
  "expectationsFailed",
  "notImplemented",
  "versionsRejected",
  "overloads",
  "writePoolExhausted",
  "headerTimeouts",
  "bodyTimeouts",
  "idleTimeouts",
  "writeTimeouts",
  "handlerTimeouts",
  "halfClosedTimeouts",
  "handlerErrors",
  "lateAnswers",
  "responseStreamErrors",
] as const;

type Counters = Readonly<Record<(typeof REFUSALS)[number], number>>;

/** The counters as they are now, or all at 0. */
export function countersOf(stats: HttpStats | undefined): Counters {
  return Object.fromEntries(REFUSALS.map((name) => [name, stats?.[name] ?? 0])) as Counters;
}

/** What is wrong unless exactly `counter` has moved since `before`, by `times`; undefined when nothing is. */
export function refusalProblem(
  before: Counters,
  stats: HttpStats,
  counter: string | undefined,
  times: number,
): string | undefined {
  for (const name of REFUSALS) {
    const moved = stats[name] - before[name];
    const wanted = name === counter ? times : 0;
    // A handler that was reading the body of a refused request fails after it, which counts as late.
    const mayBeLate = name === "lateAnswers" && counter !== undefined && moved <= times;
    if (moved !== wanted && !mayBeLate) return `${name} moved by ${moved} instead of ${wanted}`;
  }
  if (counter !== undefined && !Object.hasOwn(before, counter)) return `there is no counter ${counter}`;
  return undefined;
}

/** What is still held although nobody should be connected; undefined when nothing is. */
export function leftoverOf(stats: HttpStats, driver: Driver): string | undefined {
  const held = GAUGES.filter((name) => stats[name] !== 0).map((name) => `${name} ${stats[name]}`);
  const { connectionsNow, writeBlocksNow } = driver.stats;
  if (connectionsNow !== 0) held.push(`the driver's connectionsNow ${connectionsNow}`);
  if (writeBlocksNow !== 0) held.push(`writeBlocksNow ${writeBlocksNow}`);
  return held.length === 0 ? undefined : `still held: ${held.join(", ")}`;
}

/** A server on a loopback port of its own. */
export class SocketServer {
  readonly server: HttpServer;
  readonly port: number;
  readonly log: LogEntry[];

  private constructor(server: HttpServer, port: number, log: LogEntry[]) {
    this.server = server;
    this.port = port;
    this.log = log;
  }

  static async start(under: DriverUnderTest, app: App | FetchHandler, setup: ServerSetup = {}): Promise<SocketServer> {
    const log: LogEntry[] = [];
    const server = createServer(app, setup, log, (options, events) => under.create(options, events));
    const { port } = await server.listen({ host: "127.0.0.1", port: 0, backlog: 511, reusePort: false });
    return new SocketServer(server, port, log);
  }

  get stats(): HttpStats {
    return this.server.stats;
  }

  get driver(): Driver {
    return this.server.driver;
  }

  /** Waits until every connection is gone. Gives up after a time that only a leak can take; `leftover` then tells. */
  async settle(): Promise<void> {
    const guard = Date.now() + 10_000;
    while (this.leftover() !== undefined && Date.now() < guard) await new Promise((resolve) => setImmediate(resolve));
  }

  leftover(): string | undefined {
    return leftoverOf(this.stats, this.driver);
  }

  close(): Promise<void> {
    return this.server.close();
  }
}

/** A server without sockets: each turn is taken by the test. */
export class MemoryServer {
  readonly server: HttpServer;
  readonly driver: MemoryDriver;

  private constructor(server: HttpServer, driver: MemoryDriver) {
    this.server = server;
    this.driver = driver;
  }

  static async start(app: App, setup: ServerSetup & { readonly inSlab: boolean }): Promise<MemoryServer> {
    let driver: MemoryDriver | undefined;
    const server = createServer(app, setup, [], (options, events) => {
      driver = new MemoryDriver(options, events, { inSlab: setup.inSlab });
      return driver;
    });
    await server.listen({ host: "127.0.0.1", port: 0, backlog: 511, reusePort: false });
    if (driver === undefined) throw new Error("The server created no driver");
    return new MemoryServer(server, driver);
  }

  get stats(): HttpStats {
    return this.server.stats;
  }

  open(): MemoryPeer {
    const peer = this.driver.open();
    if (peer === undefined) throw new Error("No connection slot is free");
    return peer;
  }

  settle(): Promise<void> {
    return this.driver.settle();
  }

  leftover(): string | undefined {
    return leftoverOf(this.stats, this.driver);
  }

  close(): Promise<void> {
    return this.server.close();
  }
}

type CreateDriver = (options: DriverOptions, events: DriverEvents) => Driver;

function createServer(
  app: App | FetchHandler,
  setup: ServerSetup,
  log: LogEntry[],
  createDriver: CreateDriver,
): HttpServer {
  const sizes = { ...SIZES, ...setup.sizes };
  return new HttpServer(app, { createDriver, sizes, limits: setup.limits ?? {}, log: (entry) => log.push(entry) });
}
