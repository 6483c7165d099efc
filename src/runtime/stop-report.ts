/** What a stop did, in total and phase by phase. */
import type { HookFailure } from "./lifecycle.js";
import type { ShardEnd } from "./shard-thread.js";

/**
 * Why a server stopped: somebody asked; shards died more often than the restart budget allows; a module called `process.exit` under the
 * policy `stop`; the supervisor itself failed.
 * @experimental
 */
export type StopCause = "requested" | "restarts-spent" | "shard-exit" | "supervisor-failed";

/**
 * How long each phase of a stop took, in milliseconds.
 * @experimental
 */
export interface StopPhases {
  /** Not ready, and serving as before. */
  readonly readyDelayMs: number;
  /** Until no shard listened any more. */
  readonly listenersMs: number;
  /** Answering what had begun, closing idle connections, the `drain` and `close` hooks of the shards. */
  readonly drainMs: number;
}

/**
 * Why and how a server stopped.
 * @experimental
 */
export interface StopReport {
  readonly cause: StopCause;
  readonly shards: number;
  readonly shardsDrained: number;
  readonly requestsFinished: number;
  readonly connectionsClosedIdle: number;
  readonly connectionsCut: number;
  readonly ms: number;
  readonly phases: StopPhases;
  /** How often shards were replaced because they had died, since the start. */
  readonly restarts: number;
  /** 0 when every shard drained, nothing was cut and every hook did its work; 3 when the restart budget was spent; else 1. Under the policy `stop` what the module gave to `process.exit`. */
  readonly exitCode: number;
  /** The shards that did not drain, with their errors. */
  readonly failures: readonly ShardEnd[];
  /** The hooks that threw or took too long during the stop. */
  readonly hookFailures: readonly HookFailure[];
}

/** The exit code when shards died more often than the restart budget allows. */
export const EXIT_RESTARTS_SPENT = 3;

/** What {@link makeReport} is made of. */
export interface StopFacts {
  readonly cause: StopCause;
  /** How the last thread of each shard ended. */
  readonly ends: readonly ShardEnd[];
  /** How threads ended that a successor had replaced; only what they still did after the stop began counts. */
  readonly retired: readonly ShardEnd[];
  readonly shards: number;
  readonly restarts: number;
  readonly phases: StopPhases;
}

/** Adds up how the shards ended. */
export function makeReport({ cause, ends, retired, shards, restarts, phases }: StopFacts): StopReport {
  const all = [...ends, ...retired];
  const total = (count: (end: ShardEnd) => number | undefined) => all.reduce((sum, end) => sum + (count(end) ?? 0), 0);
  const failures = all.filter((end) => end.kind !== "drained");
  const connectionsCut = total((end) => end.report?.connectionsForced);
  const hookFailures = all.flatMap((end) => end.report?.hookFailures ?? []);
  const isClean = cause === "requested" && failures.length === 0 && connectionsCut === 0 && hookFailures.length === 0;
  return {
    cause,
    shards,
    shardsDrained: ends.filter((end) => end.kind === "drained").length,
    requestsFinished: total((end) => end.report?.requestsFinished),
    connectionsClosedIdle: total((end) => end.report?.connectionsClosedIdle),
    connectionsCut,
    ms: phases.readyDelayMs + phases.listenersMs + phases.drainMs,
    phases,
    restarts,
    exitCode: isClean ? 0 : exitCodeOf(cause, failures),
    failures,
    hookFailures,
  };
}

function exitCodeOf(cause: StopCause, failures: readonly ShardEnd[]): number {
  if (cause === "restarts-spent") return EXIT_RESTARTS_SPENT;
  if (cause === "shard-exit") return failures.find((end) => end.kind === "exited")?.exitCode ?? 1;
  return 1;
}
