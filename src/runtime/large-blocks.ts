/**
 * Where memory is limited, a large block that was freed goes back to the kernel at once.
 *
 * glibc raises the size from which a block is a mapping of its own with each such block that is freed, up to 32 MiB (mallopt(3),
 * "dynamic mmap threshold"). Bodies and results of a megabyte then lie in the heaps of malloc, of which each thread has its own, and
 * what is freed there stays with the process. docs/decisions.md has the figures.
 */
import { loadNative } from "../native.js";
import type { MemoryBudget } from "./memory-plan.js";

/** glibc's own value at the start of a process. */
const THRESHOLD_BYTES_MIN = 131_072;
/** What glibc takes at most on 64 bits. */
const THRESHOLD_BYTES_MAX = 33_554_432;
/** A mapping costs a fault for each page every time, so blocks that are small beside the limit stay in malloc's heaps. */
const THRESHOLD_SHARE = 1 / 1_024;

/** The size in bytes from which a block is a mapping of its own; undefined where no container limits the memory, or the environment has a value of its own. */
export function mmapThreshold(
  budget: Pick<MemoryBudget, "limitBytes" | "limitFrom">,
  environment: NodeJS.ProcessEnv = process.env,
): number | undefined {
  if (budget.limitFrom === "machine" || environment.MALLOC_MMAP_THRESHOLD_ !== undefined) return undefined;
  const share = Math.trunc(budget.limitBytes * THRESHOLD_SHARE);
  return Math.min(Math.max(share, THRESHOLD_BYTES_MIN), THRESHOLD_BYTES_MAX);
}

/** Sets it for the process, where the addon is there and the C library can. */
export function returnLargeBlocks(budget: MemoryBudget): void {
  const bytes = mmapThreshold(budget);
  if (bytes !== undefined) loadNative()?.setMmapThreshold(bytes);
}
