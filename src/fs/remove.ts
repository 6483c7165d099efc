/** Removes a tree. */
import { join } from "node:path";
import { checkConcurrency, forEachBounded } from "./bounded.js";
import { type CallOptions, shared } from "./call.js";
import { readdir } from "./directory.js";
import { type FileName, toText } from "./file-name.js";
import { rmdir, unlink } from "./paths.js";
import { stat } from "./stat.js";

/**
 * What {@link remove} removes.
 * @experimental
 */
export interface RemoveOptions extends CallOptions {
  /** Directories, too, with all that is in them. Symbolic links go themselves, never what they point to. Default false. */
  readonly recursive?: boolean;
  /** Nothing of that name is no error. Default false. */
  readonly missingOk?: boolean;
  /** Entries of one directory that are removed at a time, 1 to 1,024. Default 16. */
  readonly concurrency?: number;
}

const CONCURRENCY_DEFAULT = 16;

/**
 * Removes a file, an empty directory or, with `recursive`, a tree.
 * @throws RingloomError the kernel's code: `ENOENT`, `ENOTEMPTY`, `EACCES`. What was removed before stays removed.
 * @experimental
 */
export async function remove(name: FileName, options: RemoveOptions = {}): Promise<void> {
  const { recursive = false, missingOk = false, concurrency = CONCURRENCY_DEFAULT } = options;
  checkConcurrency(concurrency);
  const limits = shared(options);
  const path = toText(name);
  try {
    const { type } = await stat(path, { ...limits, followLinks: false });
    if (type !== "directory") await unlink(path, limits);
    else if (recursive) await removeTree(path, concurrency, limits);
    else await rmdir(path, limits);
  } catch (error) {
    if (!missingOk || (error as { code?: unknown }).code !== "ENOENT") throw error;
  }
}

/** Files of a directory several at a time, its directories one after the other: else the number of calls under way would grow with the depth. */
async function removeTree(path: string, concurrency: number, limits: CallOptions | undefined): Promise<void> {
  const directories: string[] = [];
  await forEachBounded(await readdir(path, limits), concurrency, async ({ name, type }) => {
    const below = join(path, name);
    const isDirectory =
      type === "unknown"
        ? (await stat(below, { ...limits, followLinks: false })).type === "directory"
        : type === "directory";
    if (isDirectory) directories.push(below);
    else await unlink(below, limits);
  });
  for (const directory of directories) await removeTree(directory, concurrency, limits);
  await rmdir(path, limits);
}
