/** The HTTP server of one shard: connections, clock and drain around a driver that it is given. */
import {
  CONNECTIONS_DEFAULT,
  RING_ENTRIES_DEFAULT,
  SPIN_MICROS_DEFAULT,
  WRITE_POOL_BYTES_DEFAULT,
} from "../constants.js";
import type { Driver, DriverEvents, DriverOptions, ListenAddress, Listening, ListenPath } from "../driver/contract.js";
import { RingloomError } from "../errors.js";
import { Listeners } from "../io/listeners.js";
import type { AccessLog } from "../observe/access-log.js";
import { EarliestTimer } from "../runtime/earliest-timer.js";
import type { TlsAcceptor } from "../tls/acceptor.js";
import { AccessObserver } from "./access-observer.js";
import { App } from "./app.js";
import { Connections } from "./connections.js";
import { type FetchHandler, isFetchHandler } from "./fetch-handler.js";
import { CoarseClock } from "./http-date.js";
import { type HttpLimits, resolveHttpLimits } from "./limits.js";
import { type Log, logEntry } from "./log.js";
import type { Scheme } from "./request-url.js";
import { HttpStats } from "./stats.js";
import { overrideWebGlobals } from "./web-globals.js";

/** How often the clock ticks and timeouts are looked for, at most and at least, in milliseconds. */
const DEADLINE_MS_DEFAULT = 30_000;
const TICK_MS_MAX = 250;
const TICK_MS_MIN = 5;
/** Connections that one tick looks at: this many, or a quarter of them. */
const SCAN_MIN = 4096;
const SCAN_PARTS = 4;
const RECEIVE_SLAB_BYTES_DEFAULT = 16 * 1024 * 1024;
/** The slab lies in WebAssembly memory, whose addresses JavaScript sees as signed 32-bit numbers. */
const RECEIVE_SLAB_BYTES_MAX = 1024 * 1024 * 1024;

/**
 * Sizes of the driver; see `DriverOptions`.
 * @experimental
 */
export type HttpServerSizes = Omit<DriverOptions, "receiveSlab"> & {
  /** Memory that the kernel receives into, in bytes. 0 where the driver brings its own chunks. */
  readonly receiveSlabBytes: number;
};

/**
 * Options of an {@link HttpServer}.
 * @experimental
 */
export interface HttpServerOptions {
  /** Makes the driver, so that the server knows no concrete one. */
  readonly createDriver: (options: DriverOptions, events: DriverEvents) => Driver;
  /** Limits and timeouts other than the defaults. */
  readonly limits?: Partial<HttpLimits>;
  /** Sizes other than the defaults. */
  readonly sizes?: Partial<HttpServerSizes>;
  /** Where errors go. Default: the log of this thread, see `log`. */
  readonly log?: Log;
  /** Has clients speak TLS; `createDriver` then makes the portable driver, of these options. Default: plain connections. */
  readonly tls?: TlsAcceptor;
  /** Of the URLs of its requests, where another server has spoken TLS with the client. @internal */
  readonly scheme?: Scheme;
  /** Gets each request that is over. @internal */
  readonly accessLog?: AccessLog;
  /** Whether a `fetch` handler replaces the global `Response` by one that is sent faster. Default true. */
  readonly overrideGlobals?: boolean;
}

/**
 * How {@link HttpServer.drain} ends, at the latest.
 * @experimental
 */
export interface HttpDrainOptions {
  /** How long idle connections stay open for a request that is already on its way, in milliseconds. Default 250. */
  readonly graceMs?: number;
  /** When what is left is cut, in milliseconds from now. Default 30,000. */
  readonly deadlineMs?: number;
  /**
   * Called when nobody waits to be accepted any more. Answers say `Connection: close` from when it has returned, or its promise has
   * resolved: a server of several shards waits here for all of them, so that no client is sent to a listener that is about to close.
   */
  readonly listenerStopped?: () => void | Promise<void>;
}

/**
 * What a drain did.
 * @experimental
 */
export interface HttpDrainReport {
  /** Requests answered between the start of the drain and its end. */
  readonly requestsFinished: number;
  /** Connections that had nothing to do and were closed. */
  readonly connectionsClosedIdle: number;
  /** Connections that the deadline, or `cut`, ended. */
  readonly connectionsForced: number;
  readonly ms: number;
}

/**
 * Serves an `App` or a `fetch` handler on one driver, on the calling thread.
 * @experimental
 */
export class HttpServer {
  readonly driver: Driver;
  readonly limits: HttpLimits;
  readonly #stats = new HttpStats();
  readonly #app: App | undefined;
  readonly #clock = new CoarseClock();
  readonly #connections: Connections;
  readonly #listeners: Listeners;
  readonly #tickMs: number;
  readonly #tls: TlsAcceptor | undefined;
  #timer: NodeJS.Timeout | undefined;
  #cursor = 0;
  #closedIdle = 0;
  #forced = 0;
  #drain: Promise<HttpDrainReport> | undefined;
  /** When a drain cuts what is left. */
  readonly #deadline = new EarliestTimer(() => this.cut());
  #closing: Promise<void> | undefined;

  /**
   * Throws `ERR_RINGLOOM_NOT_AN_APP` for a handler of another kind, `ERR_RINGLOOM_INVALID_OPTION` for a limit that is not allowed, and what
   * `createDriver` throws.
   */
  constructor(handler: App | FetchHandler, options: HttpServerOptions) {
    const app = handler instanceof App ? handler : undefined;
    const fetchHandler = app === undefined && isFetchHandler(handler) ? handler : undefined;
    if (app === undefined && fetchHandler === undefined) {
      throw new RingloomError(
        "ERR_RINGLOOM_NOT_AN_APP",
        "Cannot serve: the handler is neither an App nor an object with fetch",
      );
    }
    this.#app = app;
    this.limits = resolveHttpLimits(options.limits);
    const { receiveSlabBytes, ...driverSizes } = resolveSizes(options.sizes);
    this.#connections = new Connections({
      limits: this.limits,
      clock: this.#clock,
      stats: this.#stats,
      log: options.log ?? logEntry,
      connectionsMax: driverSizes.connectionsMax,
      slabBytes: receiveSlabBytes,
      scheme: options.scheme ?? (options.tls === undefined ? "http" : "https"),
      app,
      fetchHandler,
    });
    this.#tls = options.tls;
    this.driver = options.createDriver(
      { ...driverSizes, receiveSlab: this.#connections.parser.receiveSlab, tls: options.tls },
      this.#connections,
    );
    this.#connections.attach(this.driver);
    this.#listeners = new Listeners(this.driver);
    if (options.accessLog !== undefined) this.#connections.access = new AccessObserver(options.accessLog);
    this.#connections.onFirst = () => this.#startTicking();
    this.#connections.onListenerStopped = (listener) => this.#listeners.stopped(listener);
    this.#tickMs = tickMs(this.limits);
    if (fetchHandler !== undefined && options.overrideGlobals !== false) overrideWebGlobals();
  }

  /** Counters and gauges, current. */
  get stats(): HttpStats {
    this.#stats.largeBodiesNow = this.#connections.largeBodiesNow;
    if (this.#app !== undefined) this.#stats.setTopics(this.#app.topicCounts);
    return this.#stats;
  }

  /** Starts to accept; see `Driver.listen`. Rejects with the kernel's code, such as `EADDRINUSE`, and with `ERR_RINGLOOM_CLOSED` once the server stops. */
  listen(target: number | ListenAddress | ListenPath): Promise<Listening> {
    return this.#listeners.start(target);
  }

  /**
   * Serves a connection that somebody else has accepted, and owns its descriptor from then on. Returns false when there is no free slot; the
   * descriptor then stays the caller's. Throws the kernel's code when it is no stream socket.
   */
  adopt(descriptor: number): boolean {
    if (this.#tls !== undefined) return this.driver.acceptDescriptor?.(descriptor) ?? false;
    const slot = this.driver.adopt(descriptor);
    if (slot >= 0) this.#connections.accepted(slot, -1);
    return slot >= 0;
  }

  /**
   * Stops in order: accepts those who wait and no more; answers what has begun, with `Connection: close`; closes idle connections after
   * the grace time; cuts the rest at the deadline. Resolves when no connection is left. Calling it again returns the same promise; a deadline of
   * that call which comes sooner counts, its other options do not.
   */
  drain(options: HttpDrainOptions = {}): Promise<HttpDrainReport> {
    const isFirst = this.#drain === undefined;
    this.#drain ??= this.#drainOnce(options);
    const { deadlineMs = isFirst ? DEADLINE_MS_DEFAULT : undefined } = options;
    if (deadlineMs !== undefined) this.#deadline.within(deadlineMs);
    return this.#drain;
  }

  /** Cuts every connection; the idle ones are not counted as cut. A drain in progress then ends. */
  cut(): void {
    this.#closedIdle += this.#connections.closeIdle();
    this.#forced += this.#connections.killAll();
  }

  /** Stops at once and resolves when the driver has let go of everything. */
  close(): Promise<void> {
    this.#closing ??= this.#closeOnce();
    return this.#closing;
  }

  async #drainOnce(options: HttpDrainOptions): Promise<HttpDrainReport> {
    const { graceMs = 250 } = options;
    const start = performance.now();
    const answersBefore = this.#stats.answers;
    const connections = this.#connections;
    await this.#listeners.stop();
    await options.listenerStopped?.();
    // Those that somebody else has accepted while the listeners stopped.
    await this.#tls?.idle(graceMs);
    connections.isDraining = true;
    const empty = new Promise<void>((resolve) => {
      connections.onEmpty = resolve;
      if (connections.table.count === 0) resolve();
    });
    // Not unref'd: the process must live until its last answer has left.
    const grace = setTimeout(() => (this.#closedIdle += connections.closeIdle()), graceMs);
    this.#deadline.arm();
    await empty;
    clearTimeout(grace);
    this.#deadline.clear();
    return {
      requestsFinished: this.#stats.answers - answersBefore,
      connectionsClosedIdle: this.#closedIdle,
      connectionsForced: this.#forced,
      ms: Math.round(performance.now() - start),
    };
  }

  async #closeOnce(): Promise<void> {
    this.#listeners.refuse();
    this.#connections.isDraining = true;
    this.#stopTicking();
    await this.driver.shutdown();
    this.#stopTicking();
  }

  #startTicking(): void {
    this.#clock.tick();
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.#tick(), this.#tickMs);
    this.#timer.unref();
  }

  #stopTicking(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    this.#clock.tick();
    const { count } = this.#connections.table;
    if (count === 0) {
      // An idle server sleeps: the next connection starts the clock again.
      this.#stopTicking();
      return;
    }
    const most = Math.max(SCAN_MIN, Math.ceil(count / SCAN_PARTS));
    this.#cursor = this.#connections.scan(this.#cursor, Math.min(count, most));
  }
}

/** Fills in the default sizes. Throws `ERR_RINGLOOM_INVALID_OPTION` for a slab that cannot be. */
export function resolveSizes(sizes: Partial<HttpServerSizes> = {}): HttpServerSizes {
  const { receiveSlabBytes = RECEIVE_SLAB_BYTES_DEFAULT } = sizes;
  if (!Number.isInteger(receiveSlabBytes) || receiveSlabBytes < 0 || receiveSlabBytes > RECEIVE_SLAB_BYTES_MAX) {
    throw new RingloomError(
      "ERR_RINGLOOM_INVALID_OPTION",
      `Cannot use receiveSlabBytes ${String(receiveSlabBytes)}: a whole number from 0 to ${RECEIVE_SLAB_BYTES_MAX} is allowed`,
      { operation: "configure", details: { name: "receiveSlabBytes", value: receiveSlabBytes } },
    );
  }
  return {
    connectionsMax: sizes.connectionsMax ?? CONNECTIONS_DEFAULT,
    writePoolBytes: sizes.writePoolBytes ?? WRITE_POOL_BYTES_DEFAULT,
    receiveSlabBytes,
    ringEntries: sizes.ringEntries ?? RING_ENTRIES_DEFAULT,
    spin: sizes.spin ?? { mode: "adaptive", microsMax: SPIN_MICROS_DEFAULT },
    loop: sizes.loop ?? "inverted",
  };
}

/** A timeout is found at most a tick late, so a tick is a small part of the shortest one. */
function tickMs(limits: HttpLimits): number {
  const timeouts = [
    limits.headerTimeoutMs,
    limits.idleTimeoutMs,
    limits.bodyTimeoutMs,
    limits.writeTimeoutMs,
    limits.handlerTimeoutMs,
    limits.halfClosedTimeoutMs,
  ].filter((ms) => ms > 0);
  return Math.max(TICK_MS_MIN, Math.min(TICK_MS_MAX, Math.floor(Math.min(...timeouts, TICK_MS_MAX * 4) / 4)));
}
