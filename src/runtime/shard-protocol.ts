/** What the supervisor and a shard say to each other. Both sides are of one build, so messages are typed and not checked again. */
import type { MessagePort, ResourceLimits } from "node:worker_threads";
import type { DriverName, ListenAddress, SpinPolicy } from "../driver/contract.js";
import type { DeskRequest } from "../keyed/desk.js";
import type { MessageAssignment } from "../messages/message-memory.js";
import type { LogSettings } from "../observe/log.js";
import type { SchedulerAssignment } from "../scheduler/scheduler-memory.js";
import type { TlsFiles } from "../tls/tls-files.js";
import type { HookFailure } from "./lifecycle.js";
import type { ShardError } from "./shard-error.js";
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
  /** Which thread this is that serves as the shard: 1 for the first. */
  readonly generation: number;
  readonly driver: DriverName;
  readonly sizes: DriverSizes;
  readonly memory: ShardMemory;
  /** A listening descriptor, or an address where there is no addon to make one. */
  readonly target: number | ListenAddress;
  /** Where the certificates are, which the thread reads itself: one that is started later has those of then. */
  readonly tls?: TlsFiles | undefined;
  /** The CPU to stay on. */
  readonly cpu: number | undefined;
  readonly counters: SharedArrayBuffer;
  /** This thread's own words of `src/observe/heartbeat.ts`. */
  readonly heartbeat: SharedArrayBuffer;
  /** How long the thread may go without a beat, in milliseconds, where a timer beats. */
  readonly beatMs: number;
  /** How long a hook of the module may take, in milliseconds; 0 is no limit. */
  readonly hookMs: number;
  /** Whether a rejection that nobody handles ends this thread, or is only reported. */
  readonly unhandledRejections: "shard" | "report";
  readonly log: LogSettings;
  readonly accessLog: boolean;
  readonly facts: RuntimeFacts;
  /** This thread's place in the scheduler; undefined where there is none, or none is free. */
  readonly scheduler: SchedulerAssignment | undefined;
  /** This thread's place among those that send messages; undefined where none is free. */
  readonly messages: MessageAssignment | undefined;
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

/** The same for a whole shard. */
export interface ShardDrainOptions extends DrainOptions {
  /** Another thread takes over the shard's number, and with it the right to write its counters. */
  readonly hasSuccessor: boolean;
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
  /** Hooks of the module that failed while it drained. */
  readonly hookFailures: readonly HookFailure[];
}

/** What the supervisor tells a shard. */
export type MessageToShard =
  /** The shard may begin to accept: all are loaded, or the one that it replaces has stopped accepting. */
  | { readonly type: "listen" }
  | ({ readonly type: "drain" } & ShardDrainOptions)
  /** No shard listens any more, or a successor does: clients may now be told to connect elsewhere. */
  | { readonly type: "nobodyListens" }
  /**
   * A connection that the supervisor accepted for a shard that could not. The descriptor stays the supervisor's: the shard takes a duplicate, so
   * that neither can close a number which already names something else, whenever this thread dies.
   */
  | { readonly type: "adopt"; readonly descriptor: number }
  /** Another thread wants to call functions of this shard; see `shard-functions.ts`. */
  | { readonly type: "caller"; readonly port: MessagePort }
  /** No shard answers requests any more: nobody calls actors but other actors. */
  | { readonly type: "allAnswered" }
  /** Ends a drain now. */
  | { readonly type: "cut" };

/** What a shard tells the supervisor. */
export type MessageFromShard =
  /** The module is loaded and its `start` hook is done. `closeMs` is how long its `close` hook may take. */
  | { readonly type: "loaded"; readonly closeMs: number }
  | { readonly type: "ready"; readonly host: string; readonly port: number }
  | { readonly type: "failed"; readonly error: ShardError }
  /** The shard accepts no more. Its socket is the supervisor's to close or to pass on. */
  | { readonly type: "listenerStopped" }
  | { readonly type: "adopted"; readonly descriptor: number }
  /** The shard has answered its last request, or cut what was left. */
  | { readonly type: "answered" }
  /** The first task was spawned here: somebody has to run it. */
  | { readonly type: "tasks" }
  /** This thread wants to call functions of `shard`. */
  | { readonly type: "call"; readonly shard: number; readonly port: MessagePort }
  /** This thread wants something of the desk where the shards meet. */
  | { readonly type: "desk"; readonly request: DeskRequest }
  /** Something that an operator should know and that does not end the shard. */
  | { readonly type: "trouble"; readonly trouble: ShardTrouble }
  | { readonly type: "drained"; readonly report: DrainReport };

/**
 * A failure that a shard survives: a rejection that nobody handled (under the policy `report`), or a `ready` hook that failed.
 * @experimental
 */
export interface ShardTrouble {
  readonly shard: number;
  readonly kind: "unhandled-rejection" | "hook";
  readonly error: ShardError;
}
