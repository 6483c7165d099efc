/**
 * How long a thread wants to run in one go, which tells Linux (6.12 and newer) who may preempt whom: a thread that wakes does not wait for the rest of another one's longer slice.
 *
 * A shard wants little at a time, and at once; a thread that runs tasks the opposite. Without this a request waits up to the kernel's own slice (1.4 ms on two cores) behind a task on the same core,
 * whatever their priorities. The share of the processor that each gets stays what their priorities say.
 *
 * Source: sched_setattr(2); "EEVDF Scheduler", "custom time slices", in the kernel's documentation.
 */
import { loadNative } from "../native.js";

/** The kernel's least, in microseconds. */
export const SHARD_SLICE_MICROS = 100;
/** For a thread that runs tasks, in microseconds. The kernel's most is 100 ms. */
export const COMPUTE_SLICE_MICROS = 20_000;

/** Sets it for the calling thread. Where the addon is not there, the kernel is older, or a sandbox denies the call, all runs the same, only later at times. */
export function wantTimeSlice(micros: number): void {
  loadNative()?.setTimeSlice(micros);
}
