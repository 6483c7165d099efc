/** What the supervisor and a shard say to each other. Both sides are of one build, so messages are typed and not checked again. */
import type { ResourceLimits } from "node:worker_threads";
import type { DriverName, ListenAddress, SpinPolicy } from "../driver/contract.js";
import { RingloomError } from "../errors.js";
import type { LogSettings } from "../observe/log.js";
import type { RuntimeFacts } from "./stats.js";

/** Sizes of one shard's driver. */
export interface DriverSizes {
  readonly connectionsMax: number;
  readonly writePoolBytes: number;
  readonly receiveSlabBytes: number;
  readonly ringEntries: number;
  readonly spin: SpinPolicy;
  readonly loop: "inverted" | "uv";
}

/** What a shard's thread and service may take; see `MemoryBudget`. */
export interface ShardMemory {
  readonly heapLimits: ResourceLimits;
  readonly servicePoolBytes: number;
}

/** What a shard is given at birth (`workerData`). */
export interface ShardAssignment {
  readonly shard: number;
  readonly shardCount: number;
  readonly driver: DriverName;
  readonly sizes: DriverSizes;
  readonly memory: ShardMemory;
  /** A listening descriptor, or an address where there is no addon to make one. */
  readonly target: number | ListenAddress;
  /** The CPU to stay on. */
  readonly cpu: number | undefined;
  readonly counters: SharedArrayBuffer;
  /** See `src/observe/pulse.ts`. */
  readonly pulses: SharedArrayBuffer;
  readonly log: LogSettings;
  readonly accessLog: boolean;
  readonly facts: RuntimeFacts;
  /** The user's module, a file URL. */
  readonly module: string;
  /** Whether stacks point to the sources of compiled files. */
  readonly sourceMaps: boolean;
  /** Options of the service, opaque to the runtime. */
  readonly service: Readonly<Record<string, unknown>>;
}

/** How a drain ends, at the latest. */
export interface DrainOptions {
  /** How long idle connections stay open for a request that is already on its way, in milliseconds. */
  readonly graceMs: number;
  /** When what is left is cut, in milliseconds from now. */
  readonly deadlineMs: number;
}

/** What a drain did. */
export interface DrainReport {
  /** Requests answered between the start of the drain and its end. */
  readonly requestsFinished: number;
  /** Connections that had nothing to do and were closed. */
  readonly connectionsClosedIdle: number;
  /** Connections that the deadline cut. */
  readonly connectionsForced: number;
  readonly ms: number;
}

/** An error that crosses threads: a structured clone keeps neither `code` nor our classes. */
export interface ShardError {
  readonly name: string;
  readonly code: string | undefined;
  readonly message: string;
  readonly stack: string;
  readonly cause: ShardError | undefined;
}

/** What the supervisor tells a shard. */
export type MessageToShard =
  | ({ readonly type: "drain" } & DrainOptions)
  /** No shard listens any more: clients may now be told to connect elsewhere. */
  | { readonly type: "nobodyListens" }
  /** Ends a drain now. */
  | { readonly type: "cut" };

/** What a shard tells the supervisor. */
export type MessageFromShard =
  | { readonly type: "ready"; readonly host: string; readonly port: number }
  | { readonly type: "failed"; readonly error: ShardError }
  /** The shard closes its listening descriptor now, and the supervisor must not. */
  | { readonly type: "listenerStopped" }
  | { readonly type: "drained"; readonly report: DrainReport };

/** Causes of causes that are kept. */
const CAUSES_MAX = 5;

/** Puts an error into the form that crosses threads. */
export function toShardError(error: unknown, causesMax: number = CAUSES_MAX): ShardError {
  if (!(error instanceof Error)) {
    const message = `${typeof error} ${String(error)}`;
    return { name: "Error", code: undefined, message, stack: message, cause: undefined };
  }
  const code: unknown = Reflect.get(error, "code");
  return {
    name: error.name,
    code: typeof code === "string" ? code : undefined,
    message: error.message,
    stack: error.stack ?? `${error.name}: ${error.message}`,
    cause: error.cause === undefined || causesMax === 0 ? undefined : toShardError(error.cause, causesMax - 1),
  };
}

/** Makes an error of it again: one of ours, with the user's own as its cause, each with the stack that it had. */
export function fromShardError(error: ShardError, operation: string): RingloomError {
  const rebuilt = new RingloomError(error.code ?? "ERR_RINGLOOM_SHARD_FAILED", error.message, {
    operation,
    ...(error.cause === undefined ? {} : { cause: fromShardError(error.cause, operation) }),
  });
  rebuilt.stack = error.stack;
  return rebuilt;
}
