/**
 * The server of `ringloom dev`: one shard behind a port that outlives it, and the files that the shard's module consists of.
 *
 *     load → serve → (a file changes, or somebody asks) → drain → load …
 *       └──── it fails, or the shard ends by itself: wait for a change ────┘
 *
 * The shard is a worker thread, as under `serve`: what a module may do there (signals, `process.exit`, `process.chdir`) must not differ
 * between development and production.
 */

import { url as inspectorUrl } from "node:inspector";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { BroadcastChannel } from "node:worker_threads";
import { chooseDriver, type DriverChoice } from "../driver/choose.js";
import { Desk, SharedNames } from "../keyed/desk.js";
import { MessageKeeper } from "../messages/message-keeper.js";
import { computeHeapLimits } from "../runtime/memory-plan.js";
import type { RuntimeOptions } from "../runtime/options.js";
import { createRoster } from "../runtime/roster.js";
import type { ShardAssignment, ShardTrouble } from "../runtime/shard-protocol.js";
import { type ShardEnd, ShardThread } from "../runtime/shard-thread.js";
import { readMachineFacts, type Sizing, sizeRuntime } from "../runtime/sizing.js";
import { assigner } from "../runtime/supervisor.js";
import type { ComputePool } from "../scheduler/compute-pool.js";
import { openComputePool } from "../scheduler/open-pool.js";
import { packageFolder, pathOf } from "./dev-files.js";
import { type DevPort, openDevPort } from "./dev-port.js";
import { CHANNEL_OPTION } from "./dev-service.js";
import { FileWatch } from "./dev-watch.js";
import { resumeThreads } from "./resume-threads.js";

const SHARD_MAIN = new URL("./dev-shard-main.js", import.meta.url);
const COMPUTE_MAIN = new URL("./dev-compute-main.js", import.meta.url);

const KEEP_ALIVE_MS = 3_600_000;
/** How long a shard may take to obey the end of its drain, in milliseconds; then its thread is terminated. */
const OBEY_MS = 500;
/** A shard that served for less than this before it died would probably die again: it is not replaced before something changes. */
const SERVED_MS_MIN = 2_000;

/** What happens, for the terminal. */
export interface DevEvents {
  /** The shard serves: it took `ms`, and its module consists of so many files. */
  ready(ms: number, files: number): void;
  /** A shard is about to be replaced, because of `why`. */
  restarting(why: string): void;
  /** The module did not load, or the shard ended by itself; `isReplaced` says whether the next one starts at once; `files` were loaded, the last one first. */
  failed(end: ShardEnd, isReplaced: boolean, files: readonly string[]): void;
  /** Something that the shard survives: a rejection under `--unhandled-rejections report`, or a `ready` hook that failed. */
  trouble(trouble: ShardTrouble): void;
  /** Files cannot be watched; they are polled. */
  polling(reason: string): void;
}

/** What to serve, and how. */
export interface DevRequest {
  /** The user's module, a file URL. */
  readonly module: URL;
  readonly options: RuntimeOptions;
  /** Options of the service, handed to the shard. */
  readonly service: Readonly<Record<string, unknown>>;
  readonly watchPaths: readonly string[];
  readonly pollMs: number;
}

/** A running development server. */
export class DevServer {
  readonly choice: DriverChoice;
  readonly host: string;
  readonly port: number;
  /** Resolves when {@link stop} has ended everything. */
  readonly stopped: Promise<void>;
  readonly #request: DevRequest;
  readonly #events: DevEvents;
  readonly #devPort: DevPort;
  readonly #sizing: Sizing;
  readonly #watch: FileWatch;
  readonly #channel: BroadcastChannel;
  /** What the shard has loaded, in that order. */
  readonly #files: string[] = [];
  #shard: DevShard | undefined;
  #compute: ComputePool | undefined;
  #messages: MessageKeeper | undefined;
  #generation = 0;
  #isStopping = false;
  /** Set when the shard is to be replaced, with the reason. */
  #wanted: string | undefined;
  #wake: () => void = () => undefined;

  private constructor(request: DevRequest, events: DevEvents, choice: DriverChoice, port: DevPort) {
    this.#request = request;
    this.#events = events;
    this.choice = choice;
    this.#devPort = port;
    this.host = port.host;
    this.port = port.port;
    this.#sizing = sizeRuntime(readMachineFacts(), request.options, choice.name);
    this.#watch = new FileWatch({
      extraPaths: request.watchPaths,
      pollMs: request.pollMs,
      changed: (paths) => this.restart(`${nameOf(paths[0] ?? "")}${others(paths.length - 1)} changed`),
      refused: (reason) => events.polling(reason),
    });
    this.#channel = new BroadcastChannel(`ringloom-dev-${process.pid}`);
    this.#channel.onmessage = (event: unknown) => this.#loaded(event);
    this.#channel.unref();
    this.stopped = this.#run();
  }

  /** The address for people and clients; the unspecified address is shown as the loopback one. */
  get url(): string {
    const host = this.host === "0.0.0.0" ? "127.0.0.1" : this.host === "::" ? "::1" : this.host;
    return `http://${host.includes(":") ? `[${host}]` : host}:${this.port}`;
  }

  /** Opens the port and starts. Rejects as `Supervisor.start` does, but not for what the module does: that goes to `events.failed`. */
  static async start(request: DevRequest, events: DevEvents): Promise<DevServer> {
    const { host, port, backlog, driver } = request.options;
    const choice = chooseDriver(driver);
    return new DevServer(request, events, choice, await openDevPort({ host, port, backlog, driver: choice.name }));
  }

  /** Replaces the shard; `why` is for the terminal. Requests that arrive meanwhile wait. */
  restart(why: string): void {
    if (this.#isStopping) return;
    this.#wanted ??= why;
    this.#wake();
  }

  /** Ends the shard in order and closes the port. A second call cuts what is unfinished. */
  stop(): Promise<void> {
    if (this.#isStopping) this.#shard?.cut();
    this.#isStopping = true;
    this.#wake();
    return this.stopped;
  }

  async #run(): Promise<void> {
    // Between two shards nothing else keeps the process alive.
    const alive = setInterval(() => undefined, KEEP_ALIVE_MS);
    while (!this.#isStopping) {
      await this.#serveOnce();
      if (!this.#isStopping) this.#events.restarting(this.#wanted ?? "requested");
    }
    clearInterval(alive);
    this.#watch.close();
    this.#channel.close();
    this.#devPort.close();
  }

  /** One shard from its start to its end. */
  async #serveOnce(): Promise<void> {
    this.#wanted = undefined;
    const entry = fileURLToPath(this.#request.module);
    this.#watch.begin(entry);
    const shard = new DevShard(this.#request.options, {
      assignment: this.#assign(),
      port: this.#devPort,
      compute: this.#compute,
      messages: this.#messages,
      trouble: this.#events.trouble,
    });
    this.#shard = shard;
    void shard.ready.then((isReady) => {
      if (isReady) this.#events.ready(shard.startMs, this.#watch.count);
    });
    let end: ShardEnd | undefined;
    this.#files.length = 0;
    void shard.ended.then((found) => {
      end = found;
      this.#wake();
    });
    while (end === undefined && !this.#isDue) await this.#woken();
    if (end !== undefined && !this.#isDue) {
      const isReplaced = end.wasReady && performance.now() - shard.readyAtMs >= SERVED_MS_MIN;
      this.#events.failed(end, isReplaced, [...this.#files].reverse());
      if (isReplaced) this.#wanted = "the shard ended";
      else this.#watch.widen(packageFolder(dirname(entry)));
      while (!this.#isDue) await this.#woken();
    }
    await shard.end();
    this.#shard = undefined;
  }

  get #isDue(): boolean {
    return this.#isStopping || this.#wanted !== undefined;
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #assign(): ShardAssignment {
    const { module, options } = this.#request;
    const service = { ...this.#request.service, [CHANNEL_OPTION]: this.#channel.name };
    const target = this.#devPort.target();
    // The threads that run tasks have loaded modules too, so each shard has its own.
    this.#compute = openComputePool(options, {
      shards: 1,
      driver: this.choice.name,
      compute: this.#sizing.compute,
      heapLimits: computeHeapLimits(this.#sizing.memory),
      main: { module: COMPUTE_MAIN, data: { [CHANNEL_OPTION]: this.#channel.name } },
    });
    this.#messages = new MessageKeeper({
      shards: 1,
      driver: this.choice.name,
      messagesMax: options.messagesMax,
      bytesMax: this.#sizing.memory.messageBytes,
      hotThreshold: options.hotThreshold,
      schedulerDoorbells: this.#compute?.share.doorbells ?? [],
    });
    const assign = assigner({
      request: { module, options, service },
      choice: this.choice,
      sizing: this.#sizing,
      cpus: [undefined],
      listeners: { targetFor: () => target },
      roster: createRoster(1),
      compute: this.#compute,
      messages: this.#messages,
    });
    this.#generation += 1;
    return assign(0, this.#generation);
  }

  #loaded(event: unknown): void {
    const url: unknown = typeof event === "object" && event !== null ? Reflect.get(event, "data") : undefined;
    if (typeof url !== "string") return;
    this.#files.push(pathOf(url));
    this.#watch.follow(pathOf(url));
  }
}

interface DevShardParts {
  readonly assignment: ShardAssignment;
  readonly port: DevPort;
  readonly compute: ComputePool | undefined;
  readonly messages: MessageKeeper | undefined;
  readonly trouble: DevEvents["trouble"];
}

/** One shard's thread, with promises for what happens to it. */
class DevShard {
  /** Whether it became ready; settles when it did, or has ended. */
  readonly ready: Promise<boolean>;
  readonly ended: Promise<ShardEnd>;
  /** How long it took to become ready, in milliseconds. */
  startMs = 0;
  /** When it became ready, by `performance.now()`. */
  readyAtMs = 0;
  readonly #thread: ShardThread;
  readonly #options: RuntimeOptions;
  readonly #port: DevPort;
  #letGo: (() => void) | undefined;
  #resumeTimer: NodeJS.Timeout | undefined;

  constructor(options: RuntimeOptions, parts: DevShardParts) {
    const { assignment, port, compute, messages, trouble } = parts;
    this.#options = options;
    this.#port = port;
    // One for each shard: what was made once was made by the module as it was.
    const desk = new Desk({ names: new SharedNames() });
    if (compute !== undefined) {
      compute.desk = (request) => desk.obey(request);
      compute.connect = (_shard, caller) => this.#thread.addCaller(caller);
    }
    const startedMs = performance.now();
    let onReady: (isReady: boolean) => void;
    let onEnded: (end: ShardEnd) => void;
    this.ready = new Promise((resolve) => {
      onReady = resolve;
    });
    this.ended = new Promise((resolve) => {
      onEnded = resolve;
    });
    this.#thread = new ShardThread(
      { shardMain: SHARD_MAIN, assignment },
      {
        loaded: (thread) => thread.listen(),
        ready: (_thread, _host, portNumber) => {
          this.readyAtMs = performance.now();
          this.startMs = this.readyAtMs - startedMs;
          port.ready(portNumber);
          onReady(true);
        },
        listenerStopped: () => this.#thread.nobodyListens(),
        answered: () => this.#thread.allAnswered(),
        desk: (request) => desk.obey(request),
        // There is one shard, which calls itself.
        call: (_shard, line) => this.#thread.addCaller(line),
        trouble,
        spawnsTasks: () => compute?.start(),
        gone: (_thread, end) => {
          messages?.close();
          void compute?.close();
          port.gone();
          onReady(false);
          onEnded(end);
        },
      },
    );
  }

  /** Ends it in order, or by force where it does not obey: it may be in an endless loop, or stopped in a debugger. */
  async end(): Promise<void> {
    const { drainMs, drainGraceMs } = this.#options;
    this.#port.draining();
    this.#thread.drain({ graceMs: Math.min(drainGraceMs, drainMs / 2), deadlineMs: drainMs, hasSuccessor: false });
    const timer = setTimeout(() => this.#force(), drainMs + this.#thread.closeMs + OBEY_MS);
    await this.ended;
    clearTimeout(timer);
    clearTimeout(this.#resumeTimer);
    this.#letGo?.();
  }

  cut(): void {
    this.#thread.cut();
    setTimeout(() => this.#force(), OBEY_MS).unref();
  }

  /**
   * Terminates the thread. Only one that stands at a breakpoint does not end by that, so only where a debugger can be there, and only after a while, threads are resumed: Node crashes
   * when a session begins while a thread with threads of its own is being taken apart (seen on Node 20, in `WorkerManager::SetAutoAttach`).
   */
  #force(): void {
    this.#thread.terminate();
    if (inspectorUrl() === undefined) return;
    this.#resumeTimer ??= setTimeout(() => {
      this.#letGo ??= resumeThreads();
    }, OBEY_MS);
  }
}

function nameOf(path: string): string {
  const prefix = `${process.cwd()}/`;
  return path.startsWith(prefix) ? path.slice(prefix.length) : path;
}

function others(count: number): string {
  return count <= 0 ? "" : count === 1 ? " and another file" : ` and ${count} other files`;
}
