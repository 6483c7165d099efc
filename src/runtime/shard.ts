/**
 * The shard's side of its life: assigned, loaded, listening, draining, gone. It knows no protocol of the network: what it runs is a
 * {@link ShardService}. Everything here runs on the shard's own thread.
 */
import { isMainThread, type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { Driver, DriverStats, ListenAddress, Listening } from "../driver/contract.js";
import { RingloomError } from "../errors.js";
import { claimKeys, closeActors, handOverActors, setActorSeat } from "../keyed/actor-host.js";
import { setDeskLine } from "../keyed/desk-line.js";
import {
  closeMessages,
  messageCounts,
  messagesDriverEnded,
  openShardMessages,
  retireMessages,
} from "../messages/shard-messages.js";
import { checkNative, requireNative } from "../native.js";
import { Heart } from "../observe/heartbeat.js";
import { configureLog } from "../observe/log.js";
import { LoopMonitor, libuvIdleMs } from "../observe/loop-monitor.js";
import { endShardTasks, openShardSeat, shardDriverEnded, taskCounts } from "../scheduler/shard-seat.js";
import { type HookFailure, Hooks, type ShardHookContext } from "./lifecycle.js";
import { toShardError } from "./shard-error.js";
import { ShardCallee, ShardCalls, setShardCalls } from "./shard-functions.js";
import type {
  DrainOptions,
  DrainReport,
  MessageFromShard,
  MessageToShard,
  ShardAssignment,
  ShardDrainOptions,
  ShardTrouble,
} from "./shard-protocol.js";
import { ShardSampler } from "./shard-sampler.js";
import { RuntimeView, setRuntimeView } from "./stats.js";
import { configureThreadDriver } from "./thread-driver.js";
import { endWhatThreadStarted } from "./thread-end.js";
import { SHARD_SLICE_MICROS, wantTimeSlice } from "./time-slice.js";

/** What the service itself tells about its drain. */
export type ServiceDrainReport = Omit<DrainReport, "hookFailures">;

/** What a shard runs. */
export interface ShardService {
  /** Current counters of the driver; only the numbers among its fields count. */
  readonly driverStats: object;
  /** Current counters of the service itself. */
  readonly serviceStats: object;
  /** What can publish the thread's pulse, if anything. */
  readonly driver?: Pick<Driver, "publishPulse">;
  /** The module's export `lifecycle`, unchecked. */
  readonly lifecycle?: unknown;
  listen(target: number | ListenAddress): Promise<Listening>;
  /** Takes an open connection, and owns its descriptor from then on. Returns false, or throws, when it cannot. */
  adopt(descriptor: number): boolean;
  /**
   * Finishes what was begun. Calls `listenerStopped` as soon as nobody waits to be accepted any more, and sends no client away
   * before its promise has resolved.
   */
  drain(options: DrainOptions, listenerStopped: () => Promise<void>): Promise<ServiceDrainReport>;
  /** Cuts what is left; a drain in progress then ends soon. */
  cut(): void;
}

/**
 * Runs a shard on this worker thread: takes the assignment, starts the service, and obeys the supervisor. A failure to start is
 * reported to the supervisor, and the thread ends.
 */
export async function runShard(start: (assignment: ShardAssignment) => Promise<ShardService>): Promise<void> {
  if (isMainThread || parentPort === null) {
    throw new RingloomError("ERR_RINGLOOM_WRONG_THREAD", "Cannot run a shard: this is not a worker thread.", {
      operation: "run shard",
    });
  }
  const port = parentPort;
  // The cast is safe because the supervisor of the same build makes it.
  const assignment = workerData as ShardAssignment;
  const { shard, shardCount, generation, hookMs } = assignment;
  configureLog(assignment.log, shard);
  try {
    // Node reads the map of a module when it loads it, so this comes before the user's.
    if (assignment.sourceMaps) process.setSourceMapsEnabled(true);
    if (assignment.cpu !== undefined) {
      checkNative(requireNative().setAffinity([assignment.cpu]), "set the CPU affinity", { cpu: assignment.cpu });
    }
    wantTimeSlice(SHARD_SLICE_MICROS);
    if (assignment.unhandledRejections === "report") reportRejections(port, shard);
    // The view exists before the module is loaded, so that its top level may already ask for statistics.
    const view = new RuntimeView(assignment.counters, shard, assignment.facts);
    setRuntimeView(view);
    const calls = new ShardCalls(shardCount, (to, line) =>
      port.postMessage({ type: "call", shard: to, port: line } satisfies MessageFromShard, [line]),
    );
    setShardCalls(calls);
    // The service's own driver does the waiting, whichever of the two the user's module makes first.
    configureThreadDriver({ name: assignment.driver, loop: "uv" });
    setActorSeat({ shard, shardCount, calls });
    setDeskLine((request, transfer) =>
      port.postMessage({ type: "desk", request } satisfies MessageFromShard, transfer),
    );
    if (assignment.scheduler !== undefined) openShardSeat(assignment.scheduler, () => send(port, { type: "tasks" }));
    if (assignment.messages !== undefined) openShardMessages(assignment.messages, assignment.scheduler);
    const service = await start(assignment);
    const context: Omit<ShardHookContext, "signal"> = { shard, shardCount, generation };
    const hooks = new Hooks(service.lifecycle, context, hookMs);
    await hooks.run("start");
    const life = new ShardLife(port, assignment, { service, view, hooks });
    port.on("message", (message: MessageToShard) => life.obey(message));
    send(port, { type: "loaded", closeMs: hooks.limitMs("close") });
  } catch (error) {
    fail(port, error);
  }
}

/** The share of a stop's time for which a shard that has answered everything keeps its actors for the others. The rest is for putting them away. */
const ACTORS_WAIT_SHARE = 3 / 4;

/** What a shard that has loaded consists of. */
interface ShardParts {
  readonly service: ShardService;
  readonly view: RuntimeView;
  readonly hooks: Hooks;
}

/** A loaded shard, from its first connection to its last. */
class ShardLife {
  readonly #port: MessagePort;
  readonly #assignment: ShardAssignment;
  readonly #service: ShardService;
  readonly #view: RuntimeView;
  readonly #hooks: Hooks;
  readonly #callee = new ShardCallee();
  readonly #othersStopped: Promise<void>;
  #nobodyListens: () => void = () => undefined;
  readonly #othersAnswered: Promise<void>;
  #allAnswered: () => void = () => undefined;
  #sampler: ShardSampler | undefined;
  #isDraining = false;
  #readyHook: ReturnType<Hooks["attempt"]> = Promise.resolve(undefined);

  constructor(port: MessagePort, assignment: ShardAssignment, parts: ShardParts) {
    this.#port = port;
    this.#assignment = assignment;
    this.#service = parts.service;
    this.#view = parts.view;
    this.#hooks = parts.hooks;
    this.#othersStopped = new Promise<void>((resolve) => {
      this.#nobodyListens = resolve;
    });
    this.#othersAnswered = new Promise<void>((resolve) => {
      this.#allAnswered = resolve;
    });
  }

  obey(message: MessageToShard): void {
    switch (message.type) {
      case "listen":
        void this.#listen();
        return;
      case "drain":
        if (!this.#isDraining) void this.#drain(message);
        return;
      case "nobodyListens":
        this.#nobodyListens();
        return;
      case "adopt":
        this.#adopt(message.descriptor);
        return;
      case "caller":
        this.#callee.accept(message.port);
        return;
      case "allAnswered":
        this.#allAnswered();
        return;
      case "cut":
        this.#nobodyListens();
        this.#allAnswered();
        this.#service.cut();
        return;
    }
  }

  async #listen(): Promise<void> {
    try {
      const { shard } = this.#assignment;
      // From now on this thread alone writes the shard's counters: the one before it has stopped to.
      this.#startSampling();
      claimKeys();
      const { host, port } = await this.#service.listen(ownTarget(this.#assignment));
      send(this.#port, { type: "ready", host, port });
      this.#readyHook = this.#hooks.attempt("ready", shard);
      const failure = await this.#readyHook;
      if (failure !== undefined) tellTrouble(this.#port, { shard, kind: "hook", error: failure.error });
    } catch (error) {
      fail(this.#port, error);
    }
  }

  /** Not before the module has loaded: a long load is not a blocked loop. */
  #startSampling(): void {
    const service = this.#service;
    const view = this.#view;
    const { heartbeat, beatMs } = this.#assignment;
    const heart = new Heart(heartbeat);
    const takeLongestTurn = service.driver?.publishPulse?.(heart.words);
    const monitor = new LoopMonitor({
      heart,
      waits() {
        const { asleepMicros = 0, spinningMicros = 0 } = service.driverStats as Partial<DriverStats>;
        return { asleepMs: asleepMicros / 1_000 + libuvIdleMs(), spinningMs: spinningMicros / 1_000 };
      },
      takeLongestTurnMs: () => (takeLongestTurn?.() ?? 0) / 1_000,
    });
    view.start(
      {
        driver: () => service.driverStats,
        service: () => service.serviceStats,
        tasks: taskCounts,
        messages: messageCounts,
      },
      monitor,
    );
    this.#sampler = new ShardSampler({
      monitor,
      heart,
      beatMs,
      driverBeats: takeLongestTurn !== undefined,
      publish: () => view.publish(),
      turns: () => (service.driverStats as Partial<DriverStats>).turns ?? 0,
    });
    this.#sampler.start();
  }

  #stopSampling(): void {
    this.#sampler?.stop();
    this.#view.stop();
  }

  #adopt(descriptor: number): void {
    const native = requireNative();
    const own = native.duplicate(descriptor);
    if (own >= 0 && !takes(this.#service, own)) native.closeDescriptor(own);
    send(this.#port, { type: "adopted", descriptor });
  }

  /** The actors' end: behind the last request of all shards, and before the tasks' end, so that what puts an instance away may still spawn some. */
  async #endActors(handOver: Promise<void> | undefined, waitMs: number): Promise<void> {
    // With a successor the others call that one by now.
    if (handOver === undefined) await Promise.race([this.#othersAnswered, pause(waitMs)]);
    await this.#callee.idle();
    await (handOver ?? closeActors());
  }

  async #drain({ hasSuccessor, ...options }: ShardDrainOptions): Promise<void> {
    this.#isDraining = true;
    const { shard } = this.#assignment;
    const startedMs = performance.now();
    try {
      const callersGone = this.#callee.retire();
      const handOver = hasSuccessor ? handOverActors(callersGone) : undefined;
      // Hooks of one shard never overlap.
      const drainHook = this.#readyHook.then(() => this.#hooks.attempt("drain", shard));
      const report = await this.#service.drain(options, () => {
        if (hasSuccessor) {
          this.#stopSampling();
          retireMessages();
        }
        send(this.#port, { type: "listenerStopped" });
        return this.#othersStopped;
      });
      shardDriverEnded();
      messagesDriverEnded();
      send(this.#port, { type: "answered" });
      const failures = [await drainHook];
      const usedMs = performance.now() - startedMs;
      await Promise.race([
        this.#endActors(handOver, options.deadlineMs * ACTORS_WAIT_SHARE - usedMs),
        pause(options.deadlineMs),
      ]);
      failures.push(await this.#hooks.attempt("close", shard));
      const leftMs = (): number => Math.max(0, options.deadlineMs - (performance.now() - startedMs));
      await endWhatThreadStarted(leftMs());
      await endShardTasks({ deadlineMs: leftMs(), hasSuccessor });
      closeMessages();
      if (!hasSuccessor) this.#stopSampling();
      const hookFailures = failures.filter((failure): failure is HookFailure => failure !== undefined);
      send(this.#port, { type: "drained", report: { ...report, hookFailures } });
      endThread(0);
    } catch (error) {
      fail(this.#port, error);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(ms, 0)).unref());
}

/**
 * What this shard listens on. The portable driver closes what it is given, so it gets a duplicate, made at the last moment: one that is made before the module has
 * loaded would stay open if that fails. libuv makes the socket non-blocking, for the original too, which no other thread uses meanwhile.
 */
function ownTarget({ driver, shard, target }: ShardAssignment): number | ListenAddress {
  if (driver !== "portable" || typeof target !== "number") return target;
  return checkNative<number>(requireNative().duplicate(target), "duplicate the listening socket", { shard });
}

function takes(service: ShardService, descriptor: number): boolean {
  try {
    return service.adopt(descriptor);
  } catch {
    // Such as a connection that its peer has reset meanwhile.
    return false;
  }
}

function reportRejections(port: MessagePort, shard: number): void {
  process.on("unhandledRejection", (reason) => {
    tellTrouble(port, { shard, kind: "unhandled-rejection", error: toShardError(reason) });
  });
}

function tellTrouble(port: MessagePort, trouble: ShardTrouble): void {
  send(port, { type: "trouble", trouble });
}

function fail(port: MessagePort, error: unknown): void {
  send(port, { type: "failed", error: toShardError(error) });
  endThread(1);
}

function send(port: MessagePort, message: MessageFromShard): void {
  port.postMessage(message);
}

/**
 * Ends this thread and not the process. A module's own timers would keep it alive for ever; `process.exit` in a worker stops only
 * the worker, runs its "exit" listeners, and what was posted before still arrives. One turn later, because a worker's console
 * is flushed by the loop.
 */
function endThread(code: number): void {
  setImmediate(() => process.exit(code));
}
