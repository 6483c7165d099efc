/**
 * Advisory locks on open files: flock(2), through the addon, because Node has no call for it. The lock belongs to the open file: two of them exclude each other, in one process as in two, and
 * the kernel takes it off when the file is closed or its process ends.
 *
 * Waiting for the kernel would hold a thread of the pool for as long as somebody else has the lock, and could not be given up. So a lock is asked for again, in growing steps.
 */
import { errnoError, RingloomError } from "../errors.js";
import { loadNative } from "../native.js";
import { EAGAIN, LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN } from "../uapi.js";
import { type Call, type CallOptions, pause, throwIfGivenUp } from "./call.js";

/**
 * How a file is locked.
 * @experimental
 */
export interface LockOptions extends CallOptions {
  /** Others may have it shared at the same time, nobody exclusively. Default false. */
  readonly shared?: boolean;
}

const WAIT_MS_FIRST = 1;
const WAIT_MS_MAX = 50;

/** Takes the lock unless somebody else has it, which is false. A lock that the file has already is changed into the other kind; the kernel may let somebody else in between. */
export function tryLock(descriptor: number, call: Call, isShared: boolean): boolean {
  const result = flock(descriptor, call, (isShared ? LOCK_SH : LOCK_EX) | LOCK_NB);
  if (result === -EAGAIN) return false;
  if (result < 0) throw errnoError(call.operation, -result, call.details);
  return true;
}

/** Takes the lock as soon as it can be had. `descriptor` throws when the file has been closed meanwhile. */
export async function lock(descriptor: () => number, call: Call, isShared: boolean): Promise<void> {
  throwIfGivenUp(call);
  for (let waitMs = WAIT_MS_FIRST; !tryLock(descriptor(), call, isShared); waitMs = Math.min(waitMs * 2, WAIT_MS_MAX))
    await pause(call, waitMs);
}

/** Gives the lock back, if the file has it. */
export function unlock(descriptor: number, call: Call): void {
  const result = flock(descriptor, call, LOCK_UN);
  if (result < 0) throw errnoError(call.operation, -result, call.details);
}

function flock(descriptor: number, { operation, details }: Call, how: number): number {
  const native = loadNative();
  if (native !== undefined) return native.lockFile(descriptor, how);
  throw new RingloomError("ERR_RINGLOOM_UNSUPPORTED", `Cannot ${operation}: file locks need the addon`, {
    operation,
    details,
  });
}
