/** The sizes of the server's own pools where a shard's memory is short. */
import { HTTP_LIMITS, type HttpLimits } from "./limits.js";

const HEAD_SHARE = 1 / 4;
const PENDING_SHARE = 1 / 4;
/** Large bodies get the rest. */
const LARGE_BODY_SHARE = 1 / 2;

/**
 * Defaults for the pools of heads, pipelined bytes and large bodies that together stay within `bytes`; nothing is raised above the usual
 * default, and nothing falls below what one request needs.
 */
export function poolLimitsFor(bytes: number): Partial<HttpLimits> {
  const { headPoolBytesMax, pendingPoolBytesMax, largeBodyBlockBytes, largeBodyBlocksMax } = HTTP_LIMITS;
  const blocks = Math.floor((bytes * LARGE_BODY_SHARE) / largeBodyBlockBytes.fallback);
  return {
    headPoolBytesMax: within(headPoolBytesMax, bytes * HEAD_SHARE),
    pendingPoolBytesMax: within(pendingPoolBytesMax, bytes * PENDING_SHARE),
    largeBodyBlocksMax: within(largeBodyBlocksMax, blocks),
  };
}

function within(limit: { readonly fallback: number; readonly min: number }, value: number): number {
  return Math.floor(Math.min(Math.max(value, limit.min), limit.fallback));
}
