/** The shared caches that this thread has opened, for what the server tells about itself. */

/**
 * What all threads did with a cache. Each counter of each thread wraps at 2 ** 32.
 * @experimental
 */
export interface SharedCacheCounts {
  readonly hits: number;
  readonly misses: number;
  readonly sets: number;
  readonly deletes: number;
  /** Loads that `getOrLoad` began. */
  readonly loads: number;
  /** Entries that made room for others. */
  readonly evictions: number;
  /** Entries that were found when their time was over. */
  readonly expired: number;
  /** Values that were not taken: too large, or another thread was in the way. */
  readonly refused: number;
}

/**
 * A cache in the server's figures.
 * @experimental
 */
export interface SharedCacheFigures extends SharedCacheCounts {
  /** Its memory, of which the kernel backs what was used. */
  readonly bytes: number;
}

const opened = new Map<string, () => SharedCacheFigures>();

/** A cache was opened; `read` gives its figures and costs little. */
export function noteCache(name: string, read: () => SharedCacheFigures): void {
  opened.set(name, read);
}

/** The figures of all caches that are open on this thread, by name. */
export function cacheFigures(): Readonly<Record<string, SharedCacheFigures>> {
  const figures: Record<string, SharedCacheFigures> = Object.create(null);
  for (const [name, read] of opened) figures[name] = read();
  return figures;
}
