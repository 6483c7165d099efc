/** `ringloom/sync`: channels, select, locks and groups for the code of one thread, and their forms that threads share. */
export { SharedBarrier, type SharedBarrierArrival, sharedBarrier } from "./shared-barrier.js";
export { SharedChannel, type SharedChannelOptions, sharedChannel } from "./shared-channel.js";
export { SharedGuard } from "./shared-guard.js";
export { SharedMutex, sharedMutex } from "./shared-mutex.js";
export type { SharedOptions } from "./shared-open.js";
export { SharedSemaphore, sharedSemaphore } from "./shared-semaphore.js";
export type { SharedWaitOptions } from "./shared-waiters.js";
