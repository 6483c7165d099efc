/** Whole files: read, written, replaced and copied. */

import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { copyFile } from "node:fs/promises";
import type { FilePath } from "../driver/contract.js";
import { type CallOptions, pooled, shared } from "./call.js";
import { type File, open, openTelling, type ReadToEndOptions } from "./file.js";
import { type FileName, folderOf, nameBelow, toNodePath, toPath, toText } from "./file-name.js";
import { chmod, rename, unlink } from "./paths.js";
import { stat } from "./stat.js";

/**
 * How {@link writeFile} writes.
 * @experimental
 */
export interface WriteFileOptions extends CallOptions {
  /** Fails with `EEXIST` if there is a file of that name. Default false: its contents are replaced. */
  readonly createNew?: boolean;
  /** Adds to the end of the file instead of replacing it. Default false. */
  readonly append?: boolean;
  /** Permission bits of a file that is made, less the process's umask. Default 0o666. */
  readonly mode?: number;
  /** Waits until it has reached the device. Default false. */
  readonly sync?: boolean;
}

/**
 * How {@link writeFileAtomic} replaces.
 * @experimental
 */
export interface WriteFileAtomicOptions extends CallOptions {
  /** Permission bits. Default: those of the file that is replaced, else 0o666 less the process's umask. */
  readonly mode?: number;
  /** Waits until file and name have reached the device; without it a crash of the machine can leave either file, or an empty one. Default true. */
  readonly sync?: boolean;
}

/**
 * How {@link copy} copies.
 * @experimental
 */
export interface CopyOptions extends CallOptions {
  /** Fails with `EEXIST` if there is something of the new name. Default false: it is replaced. */
  readonly createNew?: boolean;
}

/**
 * The contents of a file.
 * @throws RingloomError the kernel's code, `EFBIG` when there is more than `bytesMax`.
 * @experimental
 */
export async function readFile(name: FileName, options: ReadToEndOptions = {}): Promise<Uint8Array> {
  const limits = shared(options);
  const file = await open(name, { ...limits });
  try {
    return await file.readToEnd({
      ...limits,
      ...(options.bytesMax === undefined ? {} : { bytesMax: options.bytesMax }),
    });
  } finally {
    await file.close();
  }
}

/**
 * The contents of a file as text, from UTF-8. What is not UTF-8 becomes U+FFFD.
 * @throws RingloomError as {@link readFile} does.
 * @experimental
 */
export async function readTextFile(name: FileName, options: ReadToEndOptions = {}): Promise<string> {
  return new TextDecoder().decode(await readFile(name, options));
}

/**
 * Makes a file with these contents, or replaces what a file has. Not in one step: see {@link writeFileAtomic}.
 * @throws RingloomError the kernel's code (`ENOSPC`, `EACCES`), `ERR_RINGLOOM_INVALID_OPTION`.
 * @experimental
 */
export async function writeFile(
  name: FileName,
  data: Uint8Array | string,
  options: WriteFileOptions = {},
): Promise<void> {
  const { createNew = false, append = false, mode, sync = false } = options;
  const limits = shared(options);
  const file = await open(name, {
    ...limits,
    ...(append ? { append } : { write: true, truncate: !createNew }),
    create: !createNew,
    createNew,
    ...(mode === undefined ? {} : { mode }),
  });
  await writeAndClose(file, data, sync, limits);
}

/**
 * Replaces a file in one step: whoever opens it finds all of the old contents or all of the new ones, also after a crash. The new contents go to a file beside it, which then gets the name. A symbolic link is
 * itself replaced; so is one name of several, of which the others keep the old contents. The file is the process's own then, whoever had the old one.
 *
 * ```ts run
 * import { readTextFile, remove, writeFileAtomic } from "ringloom/fs";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 *
 * const path = join(tmpdir(), `ringloom-settings-${process.pid}.json`);
 * await writeFileAtomic(path, JSON.stringify({ port: 9090 }));
 * if ((await readTextFile(path)) !== '{"port":9090}') throw new Error("not written");
 * await remove(path);
 * ```
 * @throws RingloomError the kernel's code (`ENOSPC`, `EACCES`); the file beside it is gone then.
 * @experimental
 */
export async function writeFileAtomic(
  name: FileName,
  data: Uint8Array | string,
  options: WriteFileAtomicOptions = {},
): Promise<void> {
  const path = toPath(name);
  const limits = shared(options);
  const { sync = true } = options;
  const mode = options.mode ?? (await modeOf(path, limits));
  const folder = folderOf(path);
  // Without the name of the file in it, which may be as long as a name can be.
  const temporary = nameBelow(folder, `.${randomUUID()}.tmp`);
  try {
    const how = { ...limits, write: true, createNew: true, ...(mode === undefined ? {} : { mode }) };
    // The kernel may make it after this call was given up, and behind the removal below.
    const file = await openTelling(temporary, how, () => void unlink(temporary).catch(() => {}));
    await writeAndClose(file, data, sync, limits);
    // The umask has taken bits away that the old file had.
    if (mode !== undefined) await chmod(temporary, mode, limits);
    await rename(temporary, path, limits);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  if (sync) await syncFolder(folder, limits);
}

/**
 * Copies a file, its contents and its permission bits; without reading it where the file system can share them.
 * @throws RingloomError the kernel's code.
 * @experimental
 */
export async function copy(from: FileName, to: FileName, options: CopyOptions = {}): Promise<void> {
  const how = constants.COPYFILE_FICLONE | (options.createNew === true ? constants.COPYFILE_EXCL : 0);
  const call = { operation: "copy", details: { path: toText(from), to: toText(to) }, options };
  await pooled(call, () => copyFile(toNodePath(from), toNodePath(to), how));
}

async function writeAndClose(
  file: File,
  data: Uint8Array | string,
  sync: boolean,
  limits: CallOptions | undefined,
): Promise<void> {
  try {
    await file.write(data, { ...limits });
    if (sync) await file.sync(limits);
  } finally {
    await file.close();
  }
}

/** Permission bits of a file, undefined if there is none. */
async function modeOf(path: FilePath, limits: CallOptions | undefined): Promise<number | undefined> {
  try {
    return (await stat(path, { ...limits })).mode;
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT") return undefined;
    throw error;
  }
}

/** The name has reached the device when the directory has. Systems whose directories cannot be opened keep names by other means. */
async function syncFolder(folder: FilePath, limits: CallOptions | undefined): Promise<void> {
  if (process.platform === "win32") return;
  const directory = await open(folder, { ...limits, directory: true });
  try {
    await directory.sync(limits);
  } finally {
    await directory.close();
  }
}
