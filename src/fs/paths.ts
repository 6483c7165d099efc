/** Calls that name files. Those with a ring opcode run as operations of the thread's driver; `docs/fs.md` has the table. */
import * as nodeFs from "node:fs/promises";
import type { FilePath, PathRequest } from "../driver/contract.js";
import { type Call, type CallOptions, operate, pooled, shared } from "./call.js";
import { type FileName, folderOf, toNodePath, toPath } from "./file-name.js";
import { stat } from "./stat.js";

/**
 * How {@link mkdir} makes a directory.
 * @experimental
 */
export interface MkdirOptions extends CallOptions {
  /** Makes the directories above it, too, and does not mind one that is there. Default false. */
  readonly recursive?: boolean;
  /** Permission bits, less the process's umask. Default 0o777. */
  readonly mode?: number;
}

/**
 * Gives a file another name. What has that name already is replaced, in one step.
 * @throws RingloomError the kernel's code; `EXDEV` when the names are on different file systems.
 * @experimental
 */
export async function rename(from: FileName, to: FileName, options?: CallOptions): Promise<void> {
  await pathCall({ call: "rename", path: toPath(from), to: toPath(to) }, options);
}

/**
 * Gives a file one more name.
 * @throws RingloomError the kernel's code; `EEXIST` when there is something of that name.
 * @experimental
 */
export async function link(from: FileName, to: FileName, options?: CallOptions): Promise<void> {
  await pathCall({ call: "link", path: toPath(from), to: toPath(to) }, options);
}

/**
 * Makes `name` a symbolic link to `target`, which need not be there.
 * @throws RingloomError the kernel's code; `EEXIST` when there is something of that name.
 * @experimental
 */
export async function symlink(target: FileName, name: FileName, options?: CallOptions): Promise<void> {
  await pathCall({ call: "symlink", path: toPath(target), to: toPath(name) }, options);
}

/**
 * Takes a name away from a file, which goes with its last one. A symbolic link goes itself.
 * @throws RingloomError the kernel's code; `EISDIR` or `EPERM` for a directory.
 * @experimental
 */
export async function unlink(name: FileName, options?: CallOptions): Promise<void> {
  await pathCall({ call: "unlink", path: toPath(name) }, options);
}

/**
 * Removes an empty directory.
 * @throws RingloomError the kernel's code; `ENOTEMPTY`, `ENOTDIR`.
 * @experimental
 */
export async function rmdir(name: FileName, options?: CallOptions): Promise<void> {
  await pathCall({ call: "rmdir", path: toPath(name) }, options);
}

/**
 * Makes a directory.
 * @throws RingloomError the kernel's code; `EEXIST` when there is something of that name (with `recursive`, when that is no directory).
 * @experimental
 */
export async function mkdir(name: FileName, options: MkdirOptions = {}): Promise<void> {
  const { recursive = false, mode = 0o777 } = options;
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777)
    throw new RangeError(`Cannot make a directory: mode ${mode} is not between 0 and 0o7777`);
  const limits = shared(options);
  if (!recursive) await pathCall({ call: "mkdir", path: toPath(name), mode }, limits);
  else await makeWithParents(toPath(name), mode, limits);
}

/**
 * Where a symbolic link points, as it was written.
 * @throws RingloomError the kernel's code; `EINVAL` for what is no link.
 * @experimental
 */
export function readLink(name: FileName, options?: CallOptions): Promise<string> {
  return pooledPath("readlink", name, options, (path) => nodeFs.readlink(path));
}

/**
 * The absolute name of what `name` leads to, without links, `.` and `..`.
 * @throws RingloomError the kernel's code (`ENOENT`, `ELOOP`).
 * @experimental
 */
export function canonicalize(name: FileName, options?: CallOptions): Promise<string> {
  return pooledPath("canonicalize", name, options, (path) => nodeFs.realpath(path));
}

/**
 * Sets the permission bits of a file.
 * @throws RingloomError the kernel's code (`EPERM`).
 * @experimental
 */
export function chmod(name: FileName, mode: number, options?: CallOptions): Promise<void> {
  return pooledPath("chmod", name, options, (path) => nodeFs.chmod(path, mode));
}

/**
 * Sets the owner and the group of a file, by number.
 * @throws RingloomError the kernel's code (`EPERM`).
 * @experimental
 */
export function chown(
  name: FileName,
  { owner, group }: { readonly owner: number; readonly group: number },
  options?: CallOptions,
): Promise<void> {
  return pooledPath("chown", name, options, (path) => nodeFs.chown(path, owner, group));
}

/**
 * Sets when a file was last read and last changed, in milliseconds since 1970.
 * @throws RingloomError the kernel's code (`EPERM`).
 * @experimental
 */
export function setTimes(
  name: FileName,
  { accessedMs, modifiedMs }: { readonly accessedMs: number; readonly modifiedMs: number },
  options?: CallOptions,
): Promise<void> {
  return pooledPath("set times of", name, options, (path) => nodeFs.utimes(path, accessedMs / 1000, modifiedMs / 1000));
}

/** One system call that names one file or two. */
async function pathCall(request: PathRequest, options: CallOptions | undefined): Promise<void> {
  const details =
    request.to === undefined ? { path: textOf(request.path) } : { path: textOf(request.path), to: textOf(request.to) };
  const call: Call = { operation: request.call, details, options };
  await operate(call, (operations, done) => operations.path(request, done));
}

function pooledPath<T>(
  operation: string,
  name: FileName,
  options: CallOptions | undefined,
  run: (path: string | Buffer) => Promise<T>,
): Promise<T> {
  return pooled({ operation, details: { path: String(name) }, options }, () => run(toNodePath(name)));
}

/** From the bottom up until one can be made, then down again. */
async function makeWithParents(path: FilePath, mode: number, options: CallOptions | undefined): Promise<void> {
  try {
    await pathCall({ call: "mkdir", path, mode }, options);
    return;
  } catch (error) {
    const { code } = error as { code?: unknown };
    const parent = parentOf(path);
    if (code !== "ENOENT" || parent === undefined) {
      // Whatever the kernel says of a name that is there (EEXIST, EISDIR, EROFS), a directory is what was wanted.
      if (await isDirectory(path, options)) return;
      throw error;
    }
    await makeWithParents(parent, mode, options);
  }
  await makeWithParents(path, mode, options);
}

async function isDirectory(path: FilePath, options: CallOptions | undefined): Promise<boolean> {
  try {
    return (await stat(path, options)).type === "directory";
  } catch {
    return false;
  }
}

function parentOf(path: FilePath): FilePath | undefined {
  const parent = folderOf(path);
  return textOf(parent) === textOf(path) || textOf(parent) === "." ? undefined : parent;
}

function textOf(path: PathRequest["path"]): string {
  return typeof path === "string" ? path : Buffer.from(path).toString();
}
