/** What a tree takes on its device, as `du` counts it. */
import type { FileStat } from "../driver/file-stat.js";
import { checkConcurrency, forEachBounded } from "./bounded.js";
import { type CallOptions, isGivenUp, shared } from "./call.js";
import { type FileName, toText } from "./file-name.js";
import { stat } from "./stat.js";
import { walk } from "./walk.js";

/**
 * How {@link diskUsage} counts.
 * @experimental
 */
export interface DiskUsageOptions extends CallOptions {
  /** Files that are looked at, at a time, 1 to 1,024; a quarter as many directories are read. Default 32. */
  readonly concurrency?: number;
  /** Told of what cannot be read; it is left out. Default: the call rejects. */
  readonly onError?: (error: unknown) => void;
}

/**
 * What {@link diskUsage} found. A file with several names counts once.
 * @experimental
 */
export interface DiskUsage {
  /** What is taken on the device, in bytes: without holes, in whole blocks. */
  readonly allocatedBytes: number;
  /** The lengths of all files together, in bytes. */
  readonly apparentBytes: number;
  readonly directories: number;
  /** Whatever is no directory. */
  readonly files: number;
}

const CONCURRENCY_DEFAULT = 32;

/**
 * Counts what a file or a tree takes. Symbolic links count themselves.
 * @throws RingloomError the kernel's code for what cannot be read, unless `onError` takes it.
 * @experimental
 */
export async function diskUsage(name: FileName, options: DiskUsageOptions = {}): Promise<DiskUsage> {
  const { concurrency = CONCURRENCY_DEFAULT, onError } = options;
  checkConcurrency(concurrency);
  const limits = shared(options);
  const path = toText(name);
  const count = new Count();
  const root = await stat(path, { ...limits, followLinks: false });
  count.add(root);
  if (root.type !== "directory") return count.usage();
  const entries = walk(path, {
    ...limits,
    concurrency: Math.ceil(concurrency / 4),
    ...(onError === undefined ? {} : { onError }),
  });
  await forEachBounded(entries, concurrency, async (entry) => {
    try {
      count.add(await stat(entry.path, { ...limits, followLinks: false }));
    } catch (error) {
      if (onError === undefined || isGivenUp(error)) throw error;
      onError(error);
    }
  });
  return count.usage();
}

class Count {
  #allocatedBytes = 0;
  #apparentBytes = 0;
  #directories = 0;
  #files = 0;
  /** Files with several names that have been counted: device and number. */
  readonly #seen = new Set<string>();

  add(stat: FileStat): void {
    if (stat.type === "directory") this.#directories += 1;
    else if (this.#isCounted(stat)) return;
    else this.#files += 1;
    this.#allocatedBytes += stat.allocatedBytes;
    // The length of a directory says something about its file system and nothing about what is in it.
    if (stat.type !== "directory") this.#apparentBytes += stat.size;
  }

  usage(): DiskUsage {
    return {
      allocatedBytes: this.#allocatedBytes,
      apparentBytes: this.#apparentBytes,
      directories: this.#directories,
      files: this.#files,
    };
  }

  #isCounted({ links, device, inode }: FileStat): boolean {
    if (links < 2) return false;
    const identity = `${device}:${inode}`;
    if (this.#seen.has(identity)) return true;
    this.#seen.add(identity);
    return false;
  }
}
