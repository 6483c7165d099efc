/**
 * Watches files for `ringloom dev`. What the operating system reports is only a hint that something may have happened; the truth is what a file looks like now
 * compared with what it looked like when it was loaded. So editors that save through a second file, two events for one change, and events for a mere
 * look at a file need no special care, and polling is the same thing without the hints.
 *
 * Folders are watched, not files: a file that is replaced by another is another file to the operating system.
 */
import { type FSWatcher, statSync, watch } from "node:fs";
import { dirname } from "node:path";
import { MISSING, signatureOf, treeBelow } from "./dev-files.js";

/** How long it must be quiet after a hint, in milliseconds: one save is several events, one checkout thousands. */
const QUIET_MS = 60;
/** How long a file may be away before that counts as a change, in milliseconds: some editors take it away and write it anew. */
const AWAY_MS = 400;
/** How far the time of a file may lie behind the system's clock, in milliseconds (the kernel stamps with its timer tick). */
const CLOCK_GRAIN_MS = 10;
/** How often to look where nothing can be watched, in milliseconds. */
const FALLBACK_POLL_MS = 500;

/** What a {@link FileWatch} is made with. */
export interface FileWatchOptions {
  /** Paths that count although no module names them, folders with all that is below them. */
  readonly extraPaths: readonly string[];
  /** How often to look without being told, in milliseconds; 0 relies on the operating system. */
  readonly pollMs: number;
  /** Called once for a change, with the paths; what they look like now is then the known state. */
  readonly changed: (paths: readonly string[]) => void;
  /** Called once when the operating system refuses to watch, with its reason. */
  readonly refused: (reason: string) => void;
}

interface FolderWatch {
  readonly watcher: FSWatcher;
  /** A folder that was taken away and made again is another one, which the old watcher does not know. */
  readonly identity: string;
}

/** The files that decide about a restart. */
export class FileWatch {
  readonly #options: FileWatchOptions;
  /** By path: what the file looked like when it was loaded, or last seen to change. */
  readonly #known = new Map<string, string>();
  /** The same of the round before. */
  #before: ReadonlyMap<string, string> = new Map();
  readonly #watchers = new Map<string, FolderWatch>();
  /** The tree that counts as a whole, because what is missing there is not known. */
  #tree: string | undefined;
  #quiet: NodeJS.Timeout | undefined;
  #poll: NodeJS.Timeout | undefined;
  #awaySinceMs: number | undefined;
  /** When this round's load began, in milliseconds since 1970. */
  #begunAtMs = 0;
  #isClosed = false;

  constructor(options: FileWatchOptions) {
    this.#options = options;
    if (options.pollMs > 0) this.#startPolling(options.pollMs);
  }

  /** How many files are watched. */
  get count(): number {
    return this.#known.size;
  }

  /** Forgets all files but the extra ones and `entry`: the module is about to be loaded anew. */
  begin(entry: string): void {
    this.#begunAtMs = Date.now();
    this.#tree = undefined;
    this.#before = new Map(this.#known);
    this.#known.clear();
    this.follow(entry);
    this.#addTrees();
    const folders = new Set([...this.#known.keys()].map(dirname));
    for (const folder of this.#watchers.keys()) if (!folders.has(folder)) this.#unwatch(folder);
  }

  /** Adds a file that was loaded in this round. */
  follow(path: string): void {
    if (this.#known.has(path)) return;
    const before = this.#before.get(path);
    this.#known.set(path, before ?? signatureOf(path));
    this.#watchFolder(dirname(path));
    // It may have changed again between the look that found the change and now; at worst this is one restart too many.
    if (before !== undefined) this.#lookAfter(QUIET_MS);
  }

  /** From now on every source below `folder` counts, new ones too: the module did not load, and what would help is not known. */
  widen(folder: string): void {
    this.#tree = folder;
    for (const path of this.#treeFiles()) {
      // What was made since the load began may be what the load missed: to this round it is new, and the next look finds it.
      if (!this.#known.has(path) && changedSince(path, this.#begunAtMs)) this.#known.set(path, MISSING);
      else this.follow(path);
    }
    this.#lookAfter(QUIET_MS);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#quiet);
    clearInterval(this.#poll);
    for (const folder of [...this.#watchers.keys()]) this.#unwatch(folder);
  }

  #addTrees(): void {
    for (const path of this.#treeFiles()) this.follow(path);
  }

  /** The files of everything that counts as a whole. Watches its folders too, the empty ones included. */
  #treeFiles(): string[] {
    const trees = this.#options.extraPaths.map((path) => treeBelow(path, false));
    if (this.#tree !== undefined) trees.push(treeBelow(this.#tree, true));
    for (const folder of trees.flatMap((tree) => tree.folders)) this.#watchFolder(folder);
    return trees.flatMap((tree) => tree.files);
  }

  #watchFolder(folder: string): void {
    if (this.#isClosed || this.#options.pollMs > 0) return;
    const identity = identityOf(folder);
    if (identity === this.#watchers.get(folder)?.identity) return;
    this.#unwatch(folder);
    if (identity === undefined) return;
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#lookAfter(QUIET_MS));
      watcher.on("error", () => this.#unwatch(folder));
      this.#watchers.set(folder, { watcher, identity });
    } catch (error) {
      if (this.#poll === undefined) this.#options.refused(error instanceof Error ? error.message : String(error));
      this.#startPolling(FALLBACK_POLL_MS);
    }
  }

  #unwatch(folder: string): void {
    this.#watchers.get(folder)?.watcher.close();
    this.#watchers.delete(folder);
  }

  #startPolling(ms: number): void {
    if (this.#poll !== undefined || this.#isClosed) return;
    this.#poll = setInterval(() => this.#look(), ms);
    this.#poll.unref();
  }

  #lookAfter(ms: number): void {
    clearTimeout(this.#quiet);
    if (this.#isClosed) return;
    this.#quiet = setTimeout(() => this.#look(), ms);
    this.#quiet.unref();
  }

  #look(): void {
    if (this.#isClosed) return;
    const paths = new Set([...this.#known.keys(), ...this.#treeFiles()]);
    const changed: [path: string, signature: string][] = [];
    for (const path of paths) {
      const signature = signatureOf(path);
      if (signature !== (this.#known.get(path) ?? MISSING)) changed.push([path, signature]);
    }
    this.#watchFolders();
    const isAway = changed.some(([, signature]) => signature === MISSING);
    if (isAway && !this.#wasAwayLong()) {
      this.#lookAfter(AWAY_MS / 4);
      return;
    }
    this.#awaySinceMs = undefined;
    if (changed.length === 0) return;
    for (const [path, signature] of changed) this.#known.set(path, signature);
    this.#options.changed(changed.map(([path]) => path));
  }

  #wasAwayLong(): boolean {
    this.#awaySinceMs ??= performance.now();
    return performance.now() - this.#awaySinceMs >= AWAY_MS;
  }

  /** Nothing tells when a folder that has gone is back, so it is looked for. */
  #watchFolders(): void {
    for (const folder of new Set([...this.#known.keys()].map(dirname))) {
      this.#watchFolder(folder);
      if (!this.#watchers.has(folder)) this.#startPolling(FALLBACK_POLL_MS);
    }
  }
}

function identityOf(folder: string): string | undefined {
  const found = statSync(folder, { throwIfNoEntry: false });
  return found === undefined ? undefined : `${found.dev}:${found.ino}`;
}

function changedSince(path: string, epochMs: number): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found !== undefined && found.ctimeMs >= epochMs - CLOCK_GRAIN_MS;
}
