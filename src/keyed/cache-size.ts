/** How large a shared cache is: from its bounds to the shape of its memory. */
import { RingloomError } from "../errors.js";
import { rejectUnknownOptions } from "../runtime/option.js";
import { type CacheShape, UNIT_WORDS } from "../shared/cache-layout.js";

/** Bytes of values and keys unless a cache says otherwise. */
export const CACHE_BYTES_DEFAULT = 64 * 2 ** 20;
const CACHE_BYTES_MIN = 16 * 2 ** 10;
const CACHE_BYTES_MAX = 2 ** 30;
const ENTRIES_MAX = 2 ** 23;
/** Bytes of a usual entry, for the number of entries that a cache is made for. */
const ENTRY_BYTES_USUAL = 256;
const SEGMENT_BYTES_MIN = 2 ** 20;
const SEGMENT_BYTES_MAX = 15 * 2 ** 20;
const SEGMENTS_USUAL_MAX = 16;
const WAYS = 8;
const THREADS = 64;
/** About 50 µs: longer than a writer holds a segment, unless the kernel takes its CPU away. */
const SPINS = 2_000;
const UNIT_BYTES = UNIT_WORDS * 4;
/** A value takes at most this part of its segment. */
const ENTRY_SHARE = 4;
const SPARE_SHARE = 16;

/**
 * The bounds of a shared cache.
 * @experimental
 */
export interface SharedCacheOptions {
  /** Memory for keys and values, 16 KiB to 1 GiB. Default 64 MiB. It is reserved at once and touched when used. */
  readonly maxBytes?: number;
  /** Entries, 8 to 8,388,608; each takes 12 bytes more. Default: one for each 256 bytes. */
  readonly maxEntries?: number;
  /** How long an entry lives unless it says otherwise, in milliseconds; 0 is for as long as there is room, the default. */
  readonly ttlMs?: number;
}

/** The options with their defaults. */
export type CacheBounds = Required<SharedCacheOptions>;

/** Throws `ERR_RINGLOOM_INVALID_OPTION` for what is not allowed. */
export function checkCacheOptions(name: string, options: SharedCacheOptions): CacheBounds {
  rejectUnknownOptions(options, ["maxBytes", "maxEntries", "ttlMs"]);
  const { maxBytes = CACHE_BYTES_DEFAULT, ttlMs = 0 } = options;
  requireInteger(name, "maxBytes", maxBytes, [CACHE_BYTES_MIN, CACHE_BYTES_MAX]);
  const { maxEntries = Math.max(WAYS, Math.floor(maxBytes / ENTRY_BYTES_USUAL)) } = options;
  requireInteger(name, "maxEntries", maxEntries, [WAYS, ENTRIES_MAX]);
  if (!(ttlMs >= 0 && Number.isFinite(ttlMs))) throw invalidCache(name, `ttlMs is ${ttlMs}, not 0 or more`);
  return { maxBytes, maxEntries, ttlMs };
}

/** The shape of the memory: neither more bytes nor more entries than the bounds. */
export function cacheShape({ maxBytes, maxEntries }: CacheBounds): CacheShape {
  let segments = 1;
  while (
    segments < SEGMENTS_USUAL_MAX &&
    maxBytes / segments >= 2 * SEGMENT_BYTES_MIN &&
    maxEntries / segments >= 2 * WAYS
  ) {
    segments *= 2;
  }
  while (maxBytes / segments > SEGMENT_BYTES_MAX && maxEntries / segments >= 2 * WAYS) segments *= 2;
  const ringBytes = Math.min(maxBytes / segments, SEGMENT_BYTES_MAX);
  const ringUnits = Math.floor(ringBytes / UNIT_BYTES);
  return {
    base: 0,
    threads: THREADS,
    segments,
    buckets: Math.max(1, Math.floor(maxEntries / segments / WAYS)),
    ways: WAYS,
    ringUnits,
    spareUnits: Math.floor(ringUnits / SPARE_SHARE),
    spins: SPINS,
  };
}

/** The largest entry, key and value together, in bytes. */
export function entryBytesMax({ ringUnits }: CacheShape): number {
  return Math.floor(ringUnits / ENTRY_SHARE) * UNIT_BYTES;
}

/** An error about the cache of that name. */
export function invalidCache(name: string, why: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot open the shared cache "${name}": ${why}.`, {
    operation: "sharedCache",
    details: { name },
  });
}

function requireInteger(name: string, option: string, value: number, [least, most]: readonly [number, number]): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw invalidCache(name, `${option} is ${value}, not a whole number from ${least} to ${most}`);
}
