/**
 * Walks a tree of directories, several of them at a time.
 *
 *     directories to read (a stack) → at most `concurrency` reads under way → entries (a bounded list) → the loop of the caller
 *
 * Directories found last are read first: so the stack grows with the depth of the tree and not with its width. No read begins while the list is full.
 */
import { join } from "node:path";
import type { FileType } from "../driver/file-stat.js";
import { Fifo } from "../messages/fifo.js";
import { checkConcurrency } from "./bounded.js";
import { type CallOptions, isGivenUp, shared, throwIfGivenUp } from "./call.js";
import { type DirectoryEntry, readdir } from "./directory.js";
import { type FileName, toText } from "./file-name.js";

/**
 * How {@link walk} goes.
 * @experimental
 */
export interface WalkOptions extends CallOptions {
  /** Directories that are read at a time, 1 to 1,024. Default 8. */
  readonly concurrency?: number;
  /** How deep to go: 0 is the entries of the directory itself. Default: without bound. */
  readonly depthMax?: number;
  /** Told of a directory that cannot be read; the walk goes on without it. Default: the walk rejects. */
  readonly onError?: (error: unknown) => void;
}

/**
 * Something found by {@link walk}.
 * @experimental
 */
export interface WalkEntry {
  readonly path: string;
  readonly name: string;
  /** What it is; symbolic links are not followed. */
  readonly type: FileType;
  /** 0 for the entries of the directory itself. */
  readonly depth: number;
}

const CONCURRENCY_DEFAULT = 8;
/** Entries that wait for the caller before no further directory is read. */
const WAITING_MAX = 4096;

/**
 * Everything below a directory, in no order but a directory before what is in it. Symbolic links are not followed.
 *
 * ```ts run
 * import { walk } from "ringloom/fs";
 *
 * let files = 0;
 * for await (const entry of walk(".", { depthMax: 0 })) if (entry.type === "file") files += 1;
 * if (files === 0) throw new Error("an empty directory");
 * ```
 * @throws RingloomError the kernel's code for a directory that cannot be read, unless `onError` takes it.
 * @experimental
 */
export async function* walk(name: FileName, options: WalkOptions = {}): AsyncGenerator<WalkEntry, void, void> {
  const { concurrency = CONCURRENCY_DEFAULT } = options;
  checkConcurrency(concurrency);
  const state = new Walk(toText(name), options);
  const call = { operation: "walk", details: { path: toText(name) }, options };
  try {
    while (true) {
      throwIfGivenUp(call);
      state.readMore(concurrency);
      const entry = state.take();
      if (entry !== undefined) yield entry;
      else if (state.isOver) return;
      else await state.changed();
    }
  } finally {
    state.end();
  }
}

interface Directory {
  readonly path: string;
  readonly depth: number;
}

/** What a walk has before it. */
class Walk {
  readonly #options: WalkOptions;
  readonly #limits: CallOptions | undefined;
  readonly #depthMax: number;
  readonly #directories: Directory[];
  readonly #waiting = new Fifo<WalkEntry>();
  #reading = 0;
  #failure: { readonly error: unknown } | undefined;
  #notify: (() => void) | undefined;
  #isEnded = false;

  constructor(path: string, options: WalkOptions) {
    this.#options = options;
    this.#limits = shared(options);
    this.#depthMax = options.depthMax ?? Number.POSITIVE_INFINITY;
    this.#directories = [{ path, depth: 0 }];
  }

  /** Nothing is left, and nothing can come. */
  get isOver(): boolean {
    return this.#reading === 0 && this.#directories.length === 0;
  }

  readMore(concurrency: number): void {
    while (this.#reading < concurrency && this.#waiting.length < WAITING_MAX && !this.#isEnded) {
      const directory = this.#directories.pop();
      if (directory === undefined) return;
      void this.#read(directory);
    }
  }

  /** The next entry; throws what made the walk fail. */
  take(): WalkEntry | undefined {
    if (this.#failure !== undefined) throw this.#failure.error;
    return this.#waiting.shift();
  }

  /** A read has ended. */
  changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#notify = resolve;
    });
  }

  /** What still comes is dropped. */
  end(): void {
    this.#isEnded = true;
    this.#directories.length = 0;
  }

  async #read(directory: Directory): Promise<void> {
    this.#reading += 1;
    try {
      const entries = await readdir(directory.path, this.#limits);
      if (!this.#isEnded) this.#add(directory, entries);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#reading -= 1;
      this.#notify?.();
    }
  }

  #add({ path, depth }: Directory, entries: readonly DirectoryEntry[]): void {
    for (const { name, type } of entries) {
      const entry = { path: join(path, name), name, type, depth };
      this.#waiting.push(entry);
      if (type === "directory" && depth < this.#depthMax)
        this.#directories.push({ path: entry.path, depth: depth + 1 });
    }
  }

  #failed(error: unknown): void {
    const { onError } = this.#options;
    try {
      if (onError === undefined || isGivenUp(error)) this.#failure ??= { error };
      else onError(error);
    } catch (thrown) {
      this.#failure ??= { error: thrown };
    }
  }
}
