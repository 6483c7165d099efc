/**
 * Which shard a call goes to where any will do: the one that has answered all but the fewest of this thread's calls, those that were given up included. Several that are equal take turns.
 *
 * Each caller counts its own, so choosing costs no shared word, and two callers may choose the same shard: what one has put there the other sees by getting its answers later.
 */
import { assert } from "../assert.js";

/** A shard whose line has broken has no calls pending, and would draw all of them: it is left out so long, in milliseconds. By then its successor serves, as a rule. */
const LOST_MS = 1_000;

/** One caller's choices. */
export class ShardChoice {
  readonly #lostUntilMs: Float64Array;
  readonly #now: () => number;
  #next = 0;

  constructor(shardCount: number, now: () => number = () => performance.now()) {
    assert(shardCount > 0, "there is a shard to choose");
    this.#lostUntilMs = new Float64Array(shardCount).fill(Number.NEGATIVE_INFINITY);
    this.#now = now;
  }

  /** The shard with the fewest pending calls; `preferred` where none has fewer than that. */
  pick(pendingOf: (shard: number) => number, preferred?: number): number {
    const nowMs = this.#now();
    const count = this.#lostUntilMs.length;
    const first = this.#next % count;
    let best = -1;
    let fewest = Number.POSITIVE_INFINITY;
    for (let index = 0; index < count; index++) {
      const shard = (first + index) % count;
      if (this.#isLost(shard, nowMs)) continue;
      const pending = pendingOf(shard);
      if (pending > fewest || (pending === fewest && shard !== preferred)) continue;
      best = shard;
      fewest = pending;
    }
    // All of them are lost: one has to say so.
    if (best < 0) best = preferred ?? first;
    this.#next = best + 1;
    return best;
  }

  /** The line to a shard has broken. */
  lost(shard: number): void {
    this.#lostUntilMs[shard] = this.#now() + LOST_MS;
  }

  #isLost(shard: number, nowMs: number): boolean {
    return nowMs < this.#lostUntilMs[shard]!;
  }
}
