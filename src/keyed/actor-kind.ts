/** All keys of one actor that live on this shard. */

import { log } from "../observe/log.js";
import { monotonicMs } from "../observe/monotonic.js";
import { runIsolated } from "../runtime/isolated.js";
import { toShardError } from "../runtime/shard-error.js";
import { ActorCell, type ActorMessage, type ActorOutcome, type CellHost } from "./actor-cell.js";
import type { ActorBounds, ActorOptions, EvictionReason } from "./actor-options.js";

/** The longest pause between two looks for instances that have been idle for too long, in milliseconds. */
const SWEEP_MS_MAX = 30_000;

/** What an actor is made of. */
export interface ActorParts {
  readonly name: string;
  readonly make: (key: string) => object;
  readonly methods: ReadonlySet<string>;
  readonly options: Pick<ActorOptions<object>, "load" | "evicted">;
  readonly bounds: ActorBounds;
  /** Resolves when this thread owns the keys of its shard. */
  readonly tenure: () => Promise<void>;
}

/** See the top of the file. */
export class ActorKind implements CellHost {
  readonly parts: ActorParts;
  /** Those that have been idle for longest come first. */
  readonly #cells = new Map<string, ActorCell>();
  #sweepTimer: NodeJS.Timeout | undefined;
  /** Cells that have something to do. */
  #busyCount = 0;
  #onIdle: () => void = () => undefined;

  constructor(parts: ActorParts) {
    this.parts = parts;
  }

  /** Whether anything runs, is being loaded or put away. */
  get isBusy(): boolean {
    return this.#busyCount > 0;
  }

  /** Resolves at the next moment at which nothing runs; something may have begun again when that is heard. */
  whenIdle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve;
    });
  }

  /** Puts a call into its key's mailbox at once; resolves with what became of it. */
  call(key: string, message: Omit<ActorMessage, "settle">): Promise<ActorOutcome> {
    const { mailbox, keysMax } = this.parts.bounds;
    if (!this.parts.methods.has(message.method)) return Promise.resolve({ refused: "no-method" });
    let cell = this.#cells.get(key);
    if (cell === undefined) {
      if (this.#cells.size >= keysMax) return Promise.resolve({ refused: "full-shard" });
      cell = new ActorCell(key, this);
      this.#cells.set(key, cell);
    }
    if (cell.waiting >= mailbox) return Promise.resolve({ refused: "full-mailbox" });
    const owner = cell;
    return new Promise((settle) => owner.put({ ...message, settle }));
  }

  /** Waits until nothing runs, and puts all instances away. */
  async putAway(reason: EvictionReason): Promise<void> {
    for (;;) {
      const idle = [...this.#cells.values()].filter((cell) => !cell.isBusy);
      await Promise.all(idle.map((cell) => cell.evict(reason)));
      if (this.#cells.size === 0) break;
      if (this.isBusy) await this.whenIdle();
    }
    clearTimeout(this.#sweepTimer);
  }

  async load(key: string): Promise<object> {
    await this.parts.tenure();
    const { make, options } = this.parts;
    return options.load === undefined ? make(key) : options.load(key);
  }

  async evicted(instance: object, key: string, reason: EvictionReason): Promise<void> {
    try {
      // Outside of the context of whoever called last.
      await runIsolated("RINGLOOM_ACTOR", () => this.parts.options.evicted?.(instance, { key, reason }));
    } catch (error) {
      log.error("the evicted hook of an actor failed", {
        actor: this.parts.name,
        key,
        reason,
        error: toShardError(error),
      });
    }
  }

  busy(): void {
    this.#busyCount += 1;
  }

  idle(cell: ActorCell): void {
    this.#busyCount -= 1;
    this.#cells.delete(cell.key);
    if (!cell.isEmpty) {
      this.#cells.set(cell.key, cell);
      this.#sweepLater();
    }
    if (this.#busyCount === 0) this.#onIdle();
  }

  #sweepLater(): void {
    const { idleMs } = this.parts.bounds;
    if (idleMs === 0 || this.#sweepTimer !== undefined) return;
    this.#sweepTimer = setTimeout(() => this.#sweep(), Math.min(Math.max(idleMs / 2, 1), SWEEP_MS_MAX));
    this.#sweepTimer.unref();
  }

  #sweep(): void {
    this.#sweepTimer = undefined;
    const expired = monotonicMs() - this.parts.bounds.idleMs;
    for (const cell of this.#cells.values()) {
      if (cell.isBusy) continue;
      if (cell.idleSinceMs > expired) break;
      void cell.evict("idle");
    }
    if (this.#cells.size > 0) this.#sweepLater();
  }
}
