/** The file of a Unix socket: one that a dead server has left behind stands in the way of the next. */
import { chmodSync, linkSync, lstatSync, mkdtempSync, rmSync, unlinkSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { errnoError } from "../errors.js";

const { EADDRINUSE } = constants.errno;

/** Which file a listener has made; undefined for an abstract name, and where it cannot be said. */
export interface SocketFile {
  readonly path: string;
  readonly device: number;
  readonly node: number;
  /** Numbers of files are used again at once. */
  readonly bornMs: number;
}

/** The file at `path`, if it is a socket. */
export function socketFile(path: string): SocketFile | undefined {
  if (path.startsWith("\0")) return undefined;
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat?.isSocket() === true ? { path, device: stat.dev, node: stat.ino, bornMs: stat.birthtimeMs } : undefined;
}

/** Removes the file, if it is still the same one. */
export function removeSocketFile(file: SocketFile): void {
  try {
    const now = socketFile(file.path);
    const isSame = now?.device === file.device && now.node === file.node && now.bornMs === file.bornMs;
    if (isSame) unlinkSync(file.path);
  } catch {
    // Somebody else has removed it, or its folder.
  }
}

/**
 * A place for a socket in a folder that only this user can enter, beside the place where it is to be seen: there it gets its mode first.
 */
export class PrivatePlace {
  readonly path: string;
  readonly #target: string;
  readonly #folder: string;

  /** @throws RingloomError `EADDRINUSE` when something is at the target. */
  constructor(target: string) {
    if (lstatSync(target, { throwIfNoEntry: false }) !== undefined)
      throw errnoError("listen", EADDRINUSE, { path: target });
    this.#target = target;
    this.#folder = attempt(target, () => mkdtempSync(join(dirname(target), ".")));
    this.path = join(this.#folder, "s");
  }

  /** Gives the socket its mode, and then its place. */
  publish(mode: number): void {
    attempt(this.#target, () => {
      chmodSync(this.path, mode);
      // Other than a rename, a link replaces nothing.
      linkSync(this.path, this.#target);
    });
  }

  /** Removes the folder, and the socket if it is still there only. */
  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function attempt<Result>(path: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    throw errno === undefined ? error : errnoError("listen", Math.abs(errno), { path });
  }
}
