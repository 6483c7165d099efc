/** How a server is: what `/livez` and `/readyz` answer. The rules stand here, the port is the business of `src/http/health-server.ts`. */
import type { ShardCondition } from "./roster.js";

/**
 * Where a server is in its life. `leaving` has been told to stop and still serves everybody.
 * @experimental
 */
export type ServerPhase = "starting" | "running" | "leaving" | "draining" | "stopped";

/**
 * One shard's health.
 * @experimental
 */
export interface ShardHealth {
  readonly shard: number;
  readonly condition: ShardCondition;
  readonly generation: number;
  readonly restarts: number;
  /** How long its heart has not been heard, in milliseconds; 0 for a shard that does not serve. */
  readonly silentMs: number;
}

/**
 * A server's health.
 * @experimental
 */
export interface ServerHealth {
  /** Whether `/livez` says so: no shard has been stuck for longer than `liveMs`. */
  readonly isLive: boolean;
  /** Whether `/readyz` says so: the server runs, has not been told to stop, at least one shard serves, and none is stuck. */
  readonly isReady: boolean;
  /** Why not, a phrase each; empty when all is well. */
  readonly reasons: readonly string[];
  readonly phase: ServerPhase;
  readonly shards: readonly ShardHealth[];
}

/** Judges; `liveMs` 0 is no limit. */
export function judgeHealth(phase: ServerPhase, shards: readonly ShardHealth[], liveMs: number): ServerHealth {
  const stuck = shards.filter((shard) => shard.condition === "stuck");
  const serves = shards.some((shard) => shard.condition === "serving");
  const isLive = liveMs === 0 || shards.every((shard) => shard.silentMs < liveMs);
  const reasons = stuck.map((shard) => `shard ${shard.shard} has been stuck for ${Math.round(shard.silentMs)} ms`);
  if (phase !== "running") reasons.push(`the server is ${phase}`);
  else if (!serves) reasons.push("no shard serves");
  return { isLive, isReady: phase === "running" && serves && stuck.length === 0, reasons, phase, shards };
}
