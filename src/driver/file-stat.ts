/**
 * What the kernel knows of a file, the same from both sources: the `struct statx` that a ring fills in, and Node's own call.
 *
 *     struct statx, in bytes:   0 mask (4)     4 block size (4)   8 attributes (8)   16 links (4)   20 owner (4)   24 group (4)   28 mode (2)
 *                               32 inode (8)   40 size (8)        48 blocks (8)      64 accessed   80 born   96 changed   112 modified
 *                               128 device of a special file: major (4), minor (4)   136 device: major (4), minor (4)       256 in all
 *     a time:                   seconds (8), nanoseconds (4)
 *
 * Source: statx(2).
 */
import type { BigIntStats } from "node:fs";

/**
 * What a file is.
 * @experimental
 */
export type FileType =
  | "file"
  | "directory"
  | "symlink"
  | "fifo"
  | "socket"
  | "character-device"
  | "block-device"
  | "unknown";

/**
 * What the kernel knows of a file: type, size, times, owner.
 * @experimental
 */
export interface FileStat {
  readonly type: FileType;
  /** Permission bits, with those for set-user-id, set-group-id and sticky: 0 to 0o7777. */
  readonly mode: number;
  /** Length in bytes. */
  readonly size: number;
  /** What the file takes on its device, in bytes: less than `size` where it has holes. */
  readonly allocatedBytes: number;
  /** The size of a transfer that suits the file system, in bytes. */
  readonly blockBytes: number;
  /** How many names the file has. */
  readonly links: number;
  /** User id of the owner. */
  readonly owner: number;
  /** Group id. */
  readonly group: number;
  /** Number of the device that the file lies on. */
  readonly device: number;
  /** Number of the device that the file is, if it is one; else 0. */
  readonly specialDevice: number;
  /** Number of the file on its device. A bigint, because 64 bits of it are in use. */
  readonly inode: bigint;
  /** Times, in milliseconds since 1970 with fractions. The birth is 0 where the file system does not keep it. */
  readonly accessedMs: number;
  readonly modifiedMs: number;
  readonly changedMs: number;
  readonly bornMs: number;
}

/** Size of a `struct statx`, in bytes. */
export const STATX_BYTES = 256;

const TWO_32 = 0x1_0000_0000;
/** By the upper four bits of a mode, stat(2)'s `S_IF…`. */
const TYPES: Readonly<Record<number, FileType>> = {
  12: "socket",
  10: "symlink",
  8: "file",
  6: "block-device",
  4: "directory",
  2: "character-device",
  1: "fifo",
};

/** Reads a `struct statx` that begins at byte `at`. */
export function statFromStatx(view: DataView, at: number): FileStat {
  const mode = view.getUint16(at + 28, true);
  return {
    type: typeOf(mode),
    mode: mode & 0o7777,
    size: wide(view, at + 40),
    allocatedBytes: wide(view, at + 48) * 512,
    blockBytes: view.getUint32(at + 4, true),
    links: view.getUint32(at + 16, true),
    owner: view.getUint32(at + 20, true),
    group: view.getUint32(at + 24, true),
    device: deviceNumber(view, at + 136),
    specialDevice: deviceNumber(view, at + 128),
    inode: view.getBigUint64(at + 32, true),
    accessedMs: time(view, at + 64),
    modifiedMs: time(view, at + 112),
    changedMs: time(view, at + 96),
    bornMs: time(view, at + 80),
  };
}

/** The same from what Node gives. */
export function statFromNode(stats: BigIntStats): FileStat {
  const mode = Number(stats.mode);
  return {
    type: typeOf(mode),
    mode: mode & 0o7777,
    size: Number(stats.size),
    allocatedBytes: Number(stats.blocks) * 512,
    blockBytes: Number(stats.blksize),
    links: Number(stats.nlink),
    owner: Number(stats.uid),
    group: Number(stats.gid),
    device: Number(stats.dev),
    specialDevice: Number(stats.rdev),
    inode: stats.ino,
    accessedMs: millis(stats.atimeNs),
    modifiedMs: millis(stats.mtimeNs),
    changedMs: millis(stats.ctimeNs),
    bornMs: millis(stats.birthtimeNs),
  };
}

/** The file type of the upper bits of a mode. */
function typeOf(mode: number): FileType {
  return TYPES[mode >>> 12] ?? "unknown";
}

function wide(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * TWO_32 + view.getUint32(at, true);
}

/** Seconds are signed: a file may be older than 1970. */
function time(view: DataView, at: number): number {
  const seconds = view.getInt32(at + 4, true) * TWO_32 + view.getUint32(at, true);
  return seconds * 1000 + view.getUint32(at + 8, true) / 1e6;
}

/** The same rounding as `time` above: whole milliseconds would be exact, their sum with the fraction is rounded once. */
function millis(nanos: bigint): number {
  const seconds = nanos / 1_000_000_000n - (nanos % 1_000_000_000n < 0n ? 1n : 0n);
  return Number(seconds) * 1000 + Number(nanos - seconds * 1_000_000_000n) / 1e6;
}

/** As `makedev` of glibc packs it, which is what Node reports. */
function deviceNumber(view: DataView, at: number): number {
  const major = view.getUint32(at, true);
  const minor = view.getUint32(at + 4, true);
  const low = (((major & 0xfff) << 8) | (minor & 0xff) | ((minor & 0xfff00) << 12)) >>> 0;
  const high = (major & 0xfffff000) >>> 0;
  return high * TWO_32 + low;
}
