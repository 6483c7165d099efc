/**
 * The supervisor's side of one shard: its thread, what it said last, and how it ended.
 *
 *     starting → loaded → ready → draining → gone          any state → gone when the thread dies
 */
import { type MessagePort, Worker } from "node:worker_threads";
import { RingloomError } from "../errors.js";
import type { DeskRequest } from "../keyed/desk.js";
import { loadNative } from "../native.js";
import { Pulse } from "../observe/heartbeat.js";
import { type ShardError, toShardError } from "./shard-error.js";
import type {
  DrainReport,
  MessageFromShard,
  MessageToShard,
  ShardAssignment,
  ShardDrainOptions,
  ShardTrouble,
} from "./shard-protocol.js";

/** What a shard's thread is called, for debuggers. */
function shardThreadName(shard: number): string {
  return `ringloom-shard-${shard}`;
}

/** Where a shard is in its life. */
export type ShardState = "starting" | "loaded" | "ready" | "draining" | "gone";

/**
 * Why a shard's thread is gone.
 * @experimental
 */
export interface ShardEnd {
  readonly shard: number;
  /** Which thread of the shard it was, from 1. */
  readonly generation: number;
  /** `drained` is the only orderly end. `died` is an uncaught error or the heap limit, `exited` a call of `process.exit`. */
  readonly kind: "drained" | "failed" | "died" | "exited" | "terminated";
  /** With `drained`. */
  readonly report: DrainReport | undefined;
  /** With `failed` and `died`, where there is one. */
  readonly error: ShardError | undefined;
  readonly exitCode: number;
  /** Whether it had become ready. */
  readonly wasReady: boolean;
}

/** What the supervisor wants to hear. Each `gone` comes once, last. */
export interface ShardThreadEvents {
  loaded(thread: ShardThread): void;
  ready(thread: ShardThread, host: string, port: number): void;
  listenerStopped(thread: ShardThread): void;
  answered(thread: ShardThread): void;
  /** The thread wants to call functions of another shard through this port. */
  call(shard: number, port: MessagePort): void;
  trouble(trouble: ShardTrouble): void;
  /** The thread wants something that the shards share. */
  desk(request: DeskRequest): void;
  /** The thread spawns tasks. */
  spawnsTasks(): void;
  gone(thread: ShardThread, end: ShardEnd): void;
}

/** What a shard is started with. */
export interface ShardThreadOptions {
  /** The module that calls `runShard`. */
  readonly shardMain: URL;
  readonly assignment: ShardAssignment;
}

/** One shard's thread. */
export class ShardThread {
  readonly shard: number;
  readonly generation: number;
  /** Its id in the scheduler. */
  readonly schedulerThread: number | undefined;
  /** Its place among those that send messages. */
  readonly messageSlot: number | undefined;
  readonly pulse: Pulse;
  /** What the inspector calls the thread: its number tells it from others of the same shard. */
  readonly title: string;
  state: ShardState = "starting";
  /** How long its module's `close` hook may take after the drain, in milliseconds. */
  closeMs = 0;
  /** Whether it has no request any more. */
  hasAnswered = false;
  readonly #worker: Worker;
  readonly #events: ShardThreadEvents;
  readonly #handed = new Set<number>();
  #wasReady = false;
  #wasTerminated = false;
  #report: DrainReport | undefined;
  #error: ShardError | undefined;
  #failed = false;

  constructor(options: ShardThreadOptions, events: ShardThreadEvents) {
    this.shard = options.assignment.shard;
    this.generation = options.assignment.generation;
    this.schedulerThread = options.assignment.scheduler?.thread;
    this.messageSlot = options.assignment.messages?.slot;
    this.pulse = new Pulse(options.assignment.heartbeat);
    this.#events = events;
    const line = options.assignment.scheduler?.line;
    this.#worker = new Worker(options.shardMain, {
      name: shardThreadName(this.shard),
      workerData: options.assignment,
      transferList: line === undefined ? [] : [line],
      // The module's console goes through the supervisor's streams, the default of worker_threads: one writer for each, whole lines in order.
      stdout: false,
      stderr: false,
      resourceLimits: options.assignment.memory.heapLimits,
    });
    this.title = `[worker ${this.#worker.threadId}] ${shardThreadName(this.shard)}`;
    this.#worker.on("message", (message: MessageFromShard) => this.#onMessage(message));
    this.#worker.on("messageerror", (error) => this.#onError(error));
    this.#worker.on("error", (error) => this.#onError(error));
    this.#worker.on("exit", (code) => this.#onExit(code));
  }

  /** Lets a loaded shard begin to accept. */
  listen(): void {
    if (this.state === "loaded") this.#send({ type: "listen" });
  }

  /** Hands it a connection whose descriptor the supervisor keeps until the shard has duplicated it; see {@link takeBack}. */
  adopt(descriptor: number): void {
    this.#handed.add(descriptor);
    this.#send({ type: "adopt", descriptor });
  }

  /** The connections that it was handed and did not take: the caller owns their descriptors. */
  takeBack(): number[] {
    const descriptors = [...this.#handed];
    this.#handed.clear();
    return descriptors;
  }

  /** Passes on the port of a thread that wants to call its functions. */
  addCaller(port: MessagePort): void {
    this.#worker.postMessage({ type: "caller", port } satisfies MessageToShard, [port]);
  }

  /** Begins an orderly end. A shard that does not serve yet has nothing to finish and is terminated. */
  drain(options: ShardDrainOptions): void {
    if (this.state === "gone" || this.state === "draining") return;
    if (this.state !== "ready") {
      this.terminate();
      return;
    }
    this.state = "draining";
    this.#send({ type: "drain", ...options });
  }

  /** Tells a draining shard that no shard listens any more, or that its successor does. */
  nobodyListens(): void {
    if (this.state === "draining") this.#send({ type: "nobodyListens" });
  }

  /** Tells a draining shard that no shard has requests any more. */
  allAnswered(): void {
    if (this.state === "draining") this.#send({ type: "allAnswered" });
  }

  /** Ends a drain in progress now, with its report. */
  cut(): void {
    if (this.state === "draining") this.#send({ type: "cut" });
  }

  /** Ends the thread wherever it is, even inside a loop that never returns. `why` is what its end is then reported with. */
  terminate(why?: RingloomError): void {
    if (this.state === "gone" || this.#wasTerminated) return;
    if (why !== undefined) this.#error ??= toShardError(why);
    this.#wasTerminated = true;
    void this.#worker.terminate();
  }

  #send(message: MessageToShard): void {
    this.#worker.postMessage(message);
  }

  #onMessage(message: MessageFromShard): void {
    switch (message.type) {
      case "loaded":
        if (this.state !== "starting") return;
        this.state = "loaded";
        this.closeMs = message.closeMs;
        this.#events.loaded(this);
        return;
      case "ready":
        if (this.state !== "loaded") return;
        this.state = "ready";
        this.#wasReady = true;
        this.#events.ready(this, message.host, message.port);
        return;
      case "failed":
        this.#failed = true;
        this.#error = message.error;
        return;
      case "listenerStopped":
        this.#events.listenerStopped(this);
        return;
      case "answered":
        this.hasAnswered = true;
        this.#events.answered(this);
        return;
      case "adopted":
        if (this.#handed.delete(message.descriptor)) loadNative()?.closeDescriptor(message.descriptor);
        return;
      case "call":
        this.#events.call(message.shard, message.port);
        return;
      case "tasks":
        this.#events.spawnsTasks();
        return;
      case "desk":
        this.#events.desk(message.request);
        return;
      case "trouble":
        this.#events.trouble(message.trouble);
        return;
      case "drained":
        this.#report = message.report;
        return;
    }
  }

  /** An uncaught error of the user's module, or the heap limit; "exit" follows. */
  #onError(error: unknown): void {
    this.#error ??= toShardError(
      error instanceof Error
        ? error
        : new RingloomError("ERR_RINGLOOM_SHARD_FAILED", `Shard ${this.shard} threw ${String(error)}`),
    );
  }

  #onExit(exitCode: number): void {
    this.state = "gone";
    this.#events.gone(this, {
      shard: this.shard,
      generation: this.generation,
      kind: this.#endKind(),
      report: this.#report,
      error: this.#error,
      exitCode,
      wasReady: this.#wasReady,
    });
  }

  #endKind(): ShardEnd["kind"] {
    if (this.#report !== undefined) return "drained";
    if (this.#wasTerminated) return "terminated";
    if (this.#failed) return "failed";
    return this.#error === undefined ? "exited" : "died";
  }
}
