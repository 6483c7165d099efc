/** The file of a Unix socket: one that a dead server has left behind stands in the way of the next. */
import { chmodSync, lstatSync, unlinkSync } from "node:fs";

/** Which file a listener has made; undefined for an abstract name, and where it cannot be said. */
export interface SocketFile {
  readonly path: string;
  readonly device: number;
  readonly node: number;
}

/** The file at `path`, if it is a socket. */
export function socketFile(path: string): SocketFile | undefined {
  if (path.startsWith("\0")) return undefined;
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat?.isSocket() === true ? { path, device: stat.dev, node: stat.ino } : undefined;
}

/** Removes the file, if it is still the same one. */
export function removeSocketFile(file: SocketFile): void {
  try {
    const now = socketFile(file.path);
    if (now?.device === file.device && now.node === file.node) unlinkSync(file.path);
  } catch {
    // Somebody else has removed it, or its folder.
  }
}

/** Sets who may connect. */
export function setSocketMode(path: string, mode: number): void {
  if (!path.startsWith("\0")) chmodSync(path, mode);
}
