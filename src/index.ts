/** The root of the package: what every kind of server has in common. The server itself is `ringloom/http`. */
export type { DriverName } from "./driver/contract.js";
export { RingloomError, type RingloomErrorCode, type RingloomErrorOptions } from "./errors.js";
export { type Actor, type ActorCallOptions, type ActorHandle, actor } from "./keyed/actor.js";
export type { ActorOptions, EvictionReason } from "./keyed/actor-options.js";
export type { SharedCacheCounts, SharedCacheFigures } from "./keyed/cache-figures.js";
export type { SharedCacheOptions } from "./keyed/cache-size.js";
export { type OnceOptions, once } from "./keyed/once.js";
export {
  type CacheEntryOptions,
  type CacheLoadOptions,
  SharedCache,
  type SharedCacheStats,
  sharedCache,
} from "./keyed/shared-cache.js";
export type { ShardMessage } from "./messages/receiving.js";
export type { SendOptions } from "./messages/sending.js";
export { type CurrentShard, type ShardBatchOptions, type ShardWaitOptions, shard } from "./messages/shard.js";
export { type LogFields, type Logger, log } from "./observe/log.js";
export type { LogLevel } from "./observe/log-format.js";
export type { LoopStats } from "./observe/loop-monitor.js";
export {
  Boundary,
  type BoundaryCallOptions,
  type BoundaryOptions,
  type BoundaryStats,
  boundary,
} from "./runtime/boundary.js";
export type { BoundaryContext } from "./runtime/boundary-server.js";
export { callSignal } from "./runtime/call-signal.js";
export type { MemoryBudget } from "./runtime/memory-plan.js";
export type { RosterEntry, ShardCondition } from "./runtime/roster.js";
export {
  type InvokeOptions,
  invokeOnShard,
  pendingShardCalls,
  type ShardFunction,
  shardFunction,
} from "./runtime/shard-functions.js";
export { type RuntimeStats, runtimeStats, type ShardFigures, type ShardStats } from "./runtime/stats.js";
export {
  type UnsafeCompletion,
  type UnsafeSubmission,
  type UnsafeSubmitOptions,
  unsafeSubmit,
} from "./runtime/unsafe-submit.js";
export type { TaskOptions } from "./scheduler/call-options.js";
export { continueWith } from "./scheduler/continue-with.js";
export type { ComputeFigures } from "./scheduler/figures.js";
export { group } from "./scheduler/group.js";
export { type MapCallOptions, type MapOptions, mapTasks } from "./scheduler/map-tasks.js";
export { type ParkOptions, parkUntil } from "./scheduler/park-until.js";
export { type Placement, pinned, roundRobin, stealable, sticky } from "./scheduler/placement.js";
export { type RaceOptions, raceTasks } from "./scheduler/race-tasks.js";
export { type ReduceOptions, reduceTasks } from "./scheduler/reduce-tasks.js";
export {
  type BlockingFigures,
  type Scheduler,
  type SchedulerOptions,
  type SchedulerShutdownOptions,
  type SchedulerShutdownReport,
  type SchedulerStats,
  startScheduler,
} from "./scheduler/scheduler.js";
export type { GroupOptions, TaskGroup } from "./scheduler/task-group.js";
export {
  type AttachedTasks,
  type AttachOptions,
  attachTasks,
  type JoinOptions,
  joinSync,
} from "./scheduler/task-line.js";
export { taskPort } from "./scheduler/task-port.js";
export { isCancelled, taskSignal, timeRemaining } from "./scheduler/task-scope.js";
export { type Tasks, tasks } from "./scheduler/tasks.js";
export type { Topology } from "./scheduler/topology.js";
export { type TransferItem, transfer } from "./scheduler/transfer.js";
