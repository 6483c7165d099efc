/** Who else listens on our port, through SO_REUSEPORT, in another process: read from /proc/net/tcp and /proc/net/tcp6. */
import { readlinkSync } from "node:fs";
import { readTextFile } from "../driver/system-files.js";

/** The state of a listening socket in /proc/net/tcp (include/net/tcp_states.h). */
const LISTEN = "0A";

/** A line of the table, as far as it matters here. */
interface Row {
  readonly address: string;
  readonly inode: string;
}

/**
 * How many sockets of other processes began to listen on the address of `descriptors` after them; 0 when any did so before, because
 * then the order within the group is not known. The kernel puts a new socket at the head of its list, over IPv6 at the end.
 */
export function laterNeighbours(descriptors: readonly number[], isIpv6: boolean): number {
  const ours = new Set(descriptors.map(inodeOf));
  const rows = parseListening(readTextFile(isIpv6 ? "/proc/net/tcp6" : "/proc/net/tcp") ?? "");
  const address = rows.find((row) => ours.has(row.inode))?.address;
  const group = rows.filter((row) => row.address === address);
  const youngestFirst = isIpv6 ? group.reverse() : group;
  const later = youngestFirst.findIndex((row) => ours.has(row.inode));
  const isOldest = youngestFirst.slice(later).every((row) => ours.has(row.inode));
  return isOldest && later > 0 ? later : 0;
}

/** The listening sockets of a table, in its order. */
export function parseListening(table: string): Row[] {
  return table
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === LISTEN)
    .map((fields) => ({ address: fields[1] ?? "", inode: fields[9] ?? "" }));
}

/** The inode of a socket: the descriptor's link reads `socket:[4711]`. */
function inodeOf(descriptor: number): string {
  try {
    return /\[(\d+)\]/.exec(readlinkSync(`/proc/self/fd/${descriptor}`))?.[1] ?? "";
  } catch {
    return "";
  }
}
