/**
 * The tasks of one thread that want to know when they are given up. Their words are looked at when the thread is about to sleep, since who gives one up rings the thread that runs it, and every
 * millisecond while there is work: that is the delay with which a task that waits hears of it on a busy thread.
 */
/** What is looked at. */
export interface Watched {
  readonly isCancelled: boolean;
  /** Called once, when it is. */
  giveUp(): void;
}

const LOOK_MS = 1;

/** One thread's watch. */
export class CancelWatch {
  readonly #watched = new Set<Watched>();
  #lookedMs = 0;
  #isDue = false;

  add(task: Watched): void {
    this.#watched.add(task);
  }

  delete(task: Watched): void {
    this.#watched.delete(task);
  }

  /** Whether {@link look} would tell somebody: part of what is rechecked before the thread sleeps. */
  hasNews(): boolean {
    if (this.#watched.size === 0) return false;
    for (const task of this.#watched) {
      if (!task.isCancelled) continue;
      this.#isDue = true;
      return true;
    }
    return false;
  }

  /** Tells those that were given up, if it is time to look. `nowMs` is `performance.now()`. */
  look(nowMs: number): void {
    if (this.#watched.size === 0 || (!this.#isDue && nowMs - this.#lookedMs < LOOK_MS)) return;
    this.#isDue = false;
    this.#lookedMs = nowMs;
    for (const task of this.#watched) {
      if (!task.isCancelled) continue;
      this.#watched.delete(task);
      task.giveUp();
    }
  }
}
