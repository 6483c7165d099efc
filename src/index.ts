/** The root of the package: what every kind of server has in common. The server itself is `ringloom/http`. */
export type { DriverName } from "./driver/contract.js";
export { RingloomError, type RingloomErrorCode, type RingloomErrorOptions } from "./errors.js";
export { type LogFields, type Logger, log } from "./observe/log.js";
export type { LogLevel } from "./observe/log-format.js";
export type { LoopStats } from "./observe/loop-monitor.js";
export type { MemoryBudget } from "./runtime/memory-plan.js";
export type { RosterEntry, ShardCondition } from "./runtime/roster.js";
export { type InvokeOptions, invokeOnShard, type ShardFunction, shardFunction } from "./runtime/shard-functions.js";
export { type RuntimeStats, runtimeStats, type ShardFigures, type ShardStats } from "./runtime/stats.js";
export type { TaskOptions } from "./scheduler/call-options.js";
export { continueWith } from "./scheduler/continue-with.js";
export type { ComputeFigures } from "./scheduler/figures.js";
export { group } from "./scheduler/group.js";
export { type MapCallOptions, type MapOptions, mapTasks } from "./scheduler/map-tasks.js";
export { type Placement, pinned, roundRobin, stealable, sticky } from "./scheduler/placement.js";
export { type RaceOptions, raceTasks } from "./scheduler/race-tasks.js";
export { type ReduceOptions, reduceTasks } from "./scheduler/reduce-tasks.js";
export {
  type BlockingFigures,
  type Scheduler,
  type SchedulerOptions,
  type SchedulerStats,
  startScheduler,
} from "./scheduler/scheduler.js";
export type { GroupOptions, TaskGroup } from "./scheduler/task-group.js";
export { isCancelled, taskSignal, timeRemaining } from "./scheduler/task-scope.js";
export { type Tasks, tasks } from "./scheduler/tasks.js";
