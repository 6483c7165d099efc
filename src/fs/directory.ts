/** What is in a directory. */
import type { Dirent } from "node:fs";
import { readdir as nodeReaddir } from "node:fs/promises";
import type { FilePath } from "../driver/contract.js";
import type { FileType } from "../driver/file-stat.js";
import { type CallOptions, pooled } from "./call.js";
import { type FileName, toNodePath, toText } from "./file-name.js";

/**
 * One name in a directory.
 * @experimental
 */
export interface DirectoryEntry {
  readonly name: string;
  /** What it is, links not followed; `unknown` where the file system does not say without a look at the file. */
  readonly type: FileType;
}

/**
 * The names in a directory, `.` and `..` left out, in no order. All of them at once: {@link walk} is for trees.
 * @throws RingloomError the kernel's code (`ENOENT`, `ENOTDIR`, `EACCES`).
 * @experimental
 */
export async function readdir(name: FileName, options?: CallOptions): Promise<DirectoryEntry[]> {
  const call = { operation: "readdir", details: { path: toText(name) }, options };
  const entries = await pooled(call, () => nodeReaddir(toNodePath(name), { withFileTypes: true }));
  return entries.map((entry) => ({ name: entry.name, type: typeOf(entry) }));
}

/** The same with names as bytes, for what must find every name again. */
export async function readdirBytes(
  path: FilePath,
  options?: CallOptions,
): Promise<{ readonly name: Buffer; readonly type: FileType }[]> {
  const call = { operation: "readdir", details: { path: toText(path) }, options };
  const how = { withFileTypes: true, encoding: "buffer" } as const;
  const entries = await pooled(call, () => nodeReaddir(toNodePath(path), how));
  return entries.map((entry) => ({ name: entry.name, type: typeOf(entry) }));
}

function typeOf(entry: Omit<Dirent, "name" | "path" | "parentPath">): FileType {
  if (entry.isFile()) return "file";
  if (entry.isDirectory()) return "directory";
  if (entry.isSymbolicLink()) return "symlink";
  if (entry.isFIFO()) return "fifo";
  if (entry.isSocket()) return "socket";
  if (entry.isCharacterDevice()) return "character-device";
  return entry.isBlockDevice() ? "block-device" : "unknown";
}
