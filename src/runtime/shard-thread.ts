/**
 * The supervisor's side of one shard: its thread, what it said last, and how it ended.
 *
 *     starting → ready → draining → gone          any state → gone when the thread dies
 */
import { Worker } from "node:worker_threads";
import { RingloomError } from "../errors.js";
import type {
  DrainOptions,
  DrainReport,
  MessageFromShard,
  MessageToShard,
  ShardAssignment,
  ShardError,
} from "./shard-protocol.js";
import { toShardError } from "./shard-protocol.js";

/** What a shard's thread is called, for debuggers and for the watchdog. */
export function shardThreadName(shard: number): string {
  return `ringloom-shard-${shard}`;
}

/** Where a shard is in its life. */
export type ShardState = "starting" | "ready" | "draining" | "gone";

/** Why a shard is gone. */
export interface ShardEnd {
  readonly shard: number;
  /** `drained` is the only orderly end. */
  readonly kind: "drained" | "failed" | "died" | "terminated";
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
  ready(shard: number, host: string, port: number): void;
  listenerStopped(shard: number): void;
  gone(end: ShardEnd): void;
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
  state: ShardState = "starting";
  readonly #worker: Worker;
  readonly #events: ShardThreadEvents;
  #wasReady = false;
  #wasTerminated = false;
  #report: DrainReport | undefined;
  #error: ShardError | undefined;
  #failed = false;

  constructor(options: ShardThreadOptions, events: ShardThreadEvents) {
    this.shard = options.assignment.shard;
    this.#events = events;
    this.#worker = new Worker(options.shardMain, {
      name: shardThreadName(this.shard),
      workerData: options.assignment,
      // The module's console goes through the supervisor's streams, the default of worker_threads: one writer for each, whole lines in order.
      stdout: false,
      stderr: false,
      resourceLimits: options.assignment.memory.heapLimits,
    });
    this.#worker.on("message", (message: MessageFromShard) => this.#onMessage(message));
    this.#worker.on("messageerror", (error) => this.#onError(error));
    this.#worker.on("error", (error) => this.#onError(error));
    this.#worker.on("exit", (code) => this.#onExit(code));
  }

  /** Begins an orderly end. Before it is ready a shard has nothing to finish and is terminated. */
  drain(options: DrainOptions): void {
    if (this.state === "gone" || this.state === "draining") return;
    if (this.state === "starting") {
      this.terminate();
      return;
    }
    this.state = "draining";
    this.#send({ type: "drain", ...options });
  }

  /** Tells a draining shard that no shard listens any more. */
  nobodyListens(): void {
    if (this.state === "draining") this.#send({ type: "nobodyListens" });
  }

  /** Ends a drain in progress now, with its report. */
  cut(): void {
    if (this.state === "draining") this.#send({ type: "cut" });
  }

  /** Ends the thread wherever it is, even inside a loop that never returns. */
  terminate(): void {
    if (this.state === "gone" || this.#wasTerminated) return;
    this.#wasTerminated = true;
    void this.#worker.terminate();
  }

  #send(message: MessageToShard): void {
    this.#worker.postMessage(message);
  }

  #onMessage(message: MessageFromShard): void {
    switch (message.type) {
      case "ready":
        if (this.state !== "starting") return;
        this.state = "ready";
        this.#wasReady = true;
        this.#events.ready(this.shard, message.host, message.port);
        return;
      case "failed":
        this.#failed = true;
        this.#error = message.error;
        return;
      case "listenerStopped":
        this.#events.listenerStopped(this.shard);
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
    const orderly = this.#report !== undefined;
    const kind = orderly ? "drained" : this.#wasTerminated ? "terminated" : this.#failed ? "failed" : "died";
    this.#events.gone({
      shard: this.shard,
      kind,
      report: this.#report,
      error: this.#error,
      exitCode,
      wasReady: this.#wasReady,
    });
  }
}
