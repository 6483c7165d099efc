/** What the kernel knows of a file. */
import type { FilePath } from "../driver/contract.js";
import type { FileStat } from "../driver/file-stat.js";
import { type Call, type CallOptions, operate } from "./call.js";
import { type FileName, toPath, toText } from "./file-name.js";

/**
 * How {@link stat} looks.
 * @experimental
 */
export interface StatOptions extends CallOptions {
  /** A symbolic link stands for what it points to. Default true. */
  readonly followLinks?: boolean;
}

/**
 * What the kernel knows of a file: type, size, times, owner.
 * @throws RingloomError the kernel's code (`ENOENT`, `EACCES`, `ELOOP`).
 * @experimental
 */
export async function stat(name: FileName, options: StatOptions = {}): Promise<FileStat> {
  const path = toPath(name);
  const call: Call = { operation: "stat", details: { path: toText(name) }, options };
  return await statOf(path, call, options.followLinks ?? true);
}

/**
 * Whether there is something of that name that can be reached. A symbolic link that leads nowhere is not there.
 * @throws RingloomError the kernel's code for any other failure than `ENOENT` and `ENOTDIR`.
 * @experimental
 */
export async function exists(name: FileName, options: CallOptions = {}): Promise<boolean> {
  try {
    await stat(name, options);
    return true;
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === "ENOENT" || code === "ENOTDIR") return false;
    throw error;
  }
}

/** The same for a name or a descriptor, in the name of a call. */
export async function statOf(target: FilePath | number, call: Call, followLinks = true): Promise<FileStat> {
  let found: FileStat | undefined;
  await operate(call, (operations, done) =>
    operations.stat(target, followLinks, (result, stat) => {
      found = stat;
      done(result);
    }),
  );
  return found as FileStat;
}
