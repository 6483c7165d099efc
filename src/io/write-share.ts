/**
 * How much of the write pool one connection may take. All connections of a driver share the pool, and peers that do not read must not stop those that do. Half of the pool goes to whoever comes. Of what is left,
 * each connection leaves less to the next, and the last quarter of the pool is for one smallest block a connection.
 */
import { WRITE_BLOCK_BYTES_MIN } from "../constants.js";
import type { Driver } from "../driver/contract.js";

/** The part of what is free that one connection may have, once half of the pool is taken. */
const SHARE_PARTS = 32;
/** The part of the pool that is not shared out. */
const COMMON_PARTS = 2;
/** The part of the pool that is kept for connections that have next to nothing in it. */
const RESERVED_PARTS = 4;
/** More than this waits for no peer of a stream, in bytes: what keeps a fast one busy. */
export const QUEUED_BYTES_MAX = 256 * 1024;

type Pool = Pick<Driver, "writeBytes" | "writeRoomBytes">;

/** Bytes that one connection may have queued now, at most `bytesMax`, and at least one smallest block. */
export function writeShare(pool: Pool, bytesMax: number): number {
  const common = pool.writeRoomBytes - pool.writeBytes.length / COMMON_PARTS;
  const share = Math.max(common, Math.floor(spareBytes(pool) / SHARE_PARTS));
  return Math.max(WRITE_BLOCK_BYTES_MIN, Math.min(bytesMax, share));
}

/** Whether `length` bytes may join the `queued` ones of a connection as a whole: within its share, or the only ones, where the pool can spare them. */
export function mayQueue(
  pool: Pool,
  bytes: { readonly queued: number; readonly length: number; readonly max: number },
): boolean {
  const { queued, length, max } = bytes;
  return queued + length <= writeShare(pool, max) || (queued === 0 && length <= spareBytes(pool));
}

function spareBytes({ writeBytes, writeRoomBytes }: Pool): number {
  return writeRoomBytes - writeBytes.length / RESERVED_PARTS;
}
