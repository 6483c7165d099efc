/** `ringloom/fs`: files and folders. */
export type { FileStat, FileType } from "../driver/file-stat.js";
export { type AdoptOptions, adoptFile } from "./adopt.js";
export type { CallOptions } from "./call.js";
export {
  type CopyOptions,
  copy,
  readFile,
  readTextFile,
  type WriteFileAtomicOptions,
  type WriteFileOptions,
  writeFile,
  writeFileAtomic,
} from "./contents.js";
export { type DirectoryEntry, readdir } from "./directory.js";
export { type DiskUsage, type DiskUsageOptions, diskUsage } from "./disk-usage.js";
export { File, open, type ReadToEndOptions, type TransferOptions } from "./file.js";
export type { LockOptions } from "./file-lock.js";
export type { FileName } from "./file-name.js";
export type { OpenOptions } from "./open-options.js";
export {
  canonicalize,
  chmod,
  chown,
  link,
  type MkdirOptions,
  mkdir,
  readLink,
  rename,
  rmdir,
  setTimes,
  symlink,
  unlink,
} from "./paths.js";
export { type RemoveOptions, remove } from "./remove.js";
export { exists, type StatOptions, stat } from "./stat.js";
export { type WalkEntry, type WalkOptions, walk } from "./walk.js";
export { type WatchEvent, type WatchOptions, watch } from "./watch.js";
