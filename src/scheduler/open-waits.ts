/**
 * What waits now, for tests that look for leaks: waiters, timers, listeners and groups that are still there when the code that made them is over.
 *
 * Nothing is recorded until a test asks. Then whoever begins to wait says so, and says when that is over; what is left was leaked.
 */

/** What can be left behind. */
export type OpenWaitKind = "waiter" | "timer" | "listener" | "group";

/** Something that was left behind. */
export interface OpenWait {
  readonly kind: OpenWaitKind;
  /** Where it began: the stack of the call. */
  readonly stack: string;
}

/** Of one recording, in the order in which they began. */
export type OpenWaits = Map<object, OpenWait>;

const recordings = new Set<OpenWaits>();

/** Records what begins from now on. */
export function recordOpenWaits(): OpenWaits {
  const recording: OpenWaits = new Map();
  recordings.add(recording);
  return recording;
}

/** Ends a recording. */
export function endRecording(recording: OpenWaits): void {
  recordings.delete(recording);
}

/** Something begins to wait; `token` stands for it. */
export function waitBegun(kind: OpenWaitKind, token: object): void {
  if (recordings.size > 0) record(kind, token);
}

/** It is over. */
export function waitOver(token: object): void {
  if (recordings.size === 0) return;
  for (const recording of recordings) recording.delete(token);
}

function record(kind: OpenWaitKind, token: object): void {
  const stack = new Error(kind).stack ?? kind;
  for (const recording of recordings) recording.set(token, { kind, stack });
}
