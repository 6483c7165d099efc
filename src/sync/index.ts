/** `ringloom/sync`: channels, select, locks and groups for the code of one thread, and their forms that threads share. */
export { group } from "../scheduler/group.js";
export type { GroupOptions, TaskGroup } from "../scheduler/task-group.js";
export {
  type BranchValue,
  type SelectBranch,
  type SelectBranches,
  type Selected,
  type SelectOptions,
  select,
  type TrySelectOptions,
  trySelect,
} from "../task/select.js";
export { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";
export type { NotStarted, Started } from "../task/started.js";
export type { WaitingOptions, WaitOptions } from "../task/wait-errors.js";
export { withGroup } from "../task/with-group.js";
export * from "../time/index.js";
export { type Barrier, type BarrierArrival, barrier } from "./barrier.js";
export { type Broadcast, broadcast, type SubscribeOptions, type Subscription } from "./broadcast.js";
export { type Channel, type ChannelOptions, channel, type Receiver, type Sender } from "./channel.js";
export { type Condvar, condvar } from "./condvar.js";
export { emitted } from "./emitted.js";
export { type Event, event, type Notify, notify } from "./event.js";
export type { Guard } from "./guard.js";
export { type Mutex, mutex } from "./mutex.js";
export { type OnceCell, onceCell } from "./once-cell.js";
export { type Oneshot, oneshot } from "./oneshot.js";
export { type RwLock, rwLock, type WriteGuard } from "./rw-lock.js";
export { type Semaphore, semaphore } from "./semaphore.js";
export { SharedBarrier, type SharedBarrierArrival, sharedBarrier } from "./shared-barrier.js";
export { SharedChannel, type SharedChannelOptions, sharedChannel } from "./shared-channel.js";
export { SharedGuard } from "./shared-guard.js";
export { SharedMutex, sharedMutex } from "./shared-mutex.js";
export type { SharedOptions } from "./shared-open.js";
export {
  type RateLimiterOptions,
  type RateLimitVerdict,
  SharedRateLimiter,
  sharedRateLimiter,
} from "./shared-rate-limiter.js";
export { SharedSemaphore, sharedSemaphore } from "./shared-semaphore.js";
export { type Watch, type Watcher, watch } from "./watch.js";
