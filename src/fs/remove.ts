/** Removes a tree. */

import type { FilePath } from "../driver/contract.js";
import type { FileType } from "../driver/file-stat.js";
import { checkConcurrency, forEachBounded } from "./bounded.js";
import { type CallOptions, shared } from "./call.js";
import { readdirBytes } from "./directory.js";
import { type FileName, nameBelow, toPath } from "./file-name.js";
import { rmdir, unlink } from "./paths.js";
import { stat } from "./stat.js";

/**
 * What {@link remove} removes.
 * @experimental
 */
export interface RemoveOptions extends CallOptions {
  /** Directories, too, with all that is in them. Symbolic links go themselves, never what they point to. Default false. */
  readonly recursive?: boolean;
  /** Nothing of that name is no error. Default false. What goes while a tree is removed is never one: others may be at it, too. */
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
  const path = toPath(name);
  const isTree = await unlessMissing(missingOk, async () => {
    const { type } = await stat(path, { ...limits, followLinks: false });
    if (type === "directory" && recursive) return true;
    await (type === "directory" ? rmdir(path, limits) : unlink(path, limits));
    return false;
  });
  if (isTree === true) await removeTree(path, concurrency, limits);
}

/**
 * Files of a directory several at a time, its directories one after the other: else the number of calls under way would grow with the depth.
 *
 * Each call by itself forgives what is gone: one name that somebody else was quicker with must not end the removal of all others.
 */
async function removeTree(path: FilePath, concurrency: number, limits: CallOptions | undefined): Promise<void> {
  const directories: FilePath[] = [];
  const entries = await unlessMissing(true, () => readdirBytes(path, limits));
  await forEachBounded(entries ?? [], concurrency, async ({ name, type }) => {
    const below = nameBelow(path, name);
    const found = type === "unknown" ? await unlessMissing(true, () => typeOf(below, limits)) : type;
    if (found === "directory") directories.push(below);
    else await unlessMissing(true, () => unlink(below, limits));
  });
  for (const directory of directories) await removeTree(directory, concurrency, limits);
  await unlessMissing(true, () => rmdir(path, limits));
}

async function typeOf(path: FilePath, limits: CallOptions | undefined): Promise<FileType> {
  return (await stat(path, { ...limits, followLinks: false })).type;
}

/** Undefined when there is nothing of that name, and that is no error. */
async function unlessMissing<T>(isForgiven: boolean, run: () => Promise<T>): Promise<T | undefined> {
  try {
    return await run();
  } catch (error) {
    if (isForgiven && (error as { code?: unknown }).code === "ENOENT") return undefined;
    throw error;
  }
}
