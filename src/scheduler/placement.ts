/** Where a task runs. */
import { RingloomError } from "../errors.js";

/**
 * Where a task runs.
 *
 * - `stealable`: on whichever thread has room; the default. `preferred` is asked first.
 * - `pinned`: on that thread and no other.
 * - `round-robin`: on the next thread in turn.
 * - `sticky`: on the thread that the key belongs to, the same one for the same key as long as the set of threads stays the same.
 * @experimental
 */
export type Placement =
  | { readonly kind: "stealable"; readonly preferred?: number }
  | { readonly kind: "pinned"; readonly thread: number }
  | { readonly kind: "round-robin" }
  | { readonly kind: "sticky"; readonly key: string | number };

/**
 * On whichever thread has room, the default; `preferred` is the number of the thread that is asked first.
 * @experimental
 */
export function stealable(preferred?: number): Placement {
  return preferred === undefined ? { kind: "stealable" } : { kind: "stealable", preferred };
}

/**
 * On the executing thread of that number, from 0.
 * @experimental
 */
export function pinned(thread: number): Placement {
  return { kind: "pinned", thread };
}

/**
 * On the next executing thread in turn.
 * @experimental
 */
export function roundRobin(): Placement {
  return { kind: "round-robin" };
}

/**
 * On the executing thread that `key` belongs to: the same one for the same key.
 * @experimental
 */
export function sticky(key: string | number): Placement {
  return { kind: "sticky", key };
}

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** Which of `count` threads a key belongs to: FNV-1a over its UTF-16 code units, so that it is the same on every thread and in every run. */
export function ownerOf(key: string | number, count: number): number {
  const text = typeof key === "string" ? key : String(key);
  let hash = FNV_OFFSET;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), FNV_PRIME);
  // The low bits of FNV alone are weak for short keys.
  return ((hash ^ (hash >>> 15)) >>> 0) % count;
}

/** Throws `ERR_RINGLOOM_INVALID_OPTION` for a thread that does not execute tasks. */
export function checkThread(thread: number, count: number): void {
  if (Number.isInteger(thread) && thread >= 0 && thread < count) return;
  throw new RingloomError(
    "ERR_RINGLOOM_INVALID_OPTION",
    `Cannot place a task: there is no thread ${thread} of ${count}.`,
    {
      operation: "spawn",
      details: { thread, threads: count },
    },
  );
}
