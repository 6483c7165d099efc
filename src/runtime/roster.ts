/**
 * What the supervisor knows of each shard, for all threads to read: three 32-bit words a shard. The supervisor is the only writer;
 * shards read them for `runtimeStats()`. A reader may see words of two moments, which statistics can bear.
 */
import { assert } from "../assert.js";

/**
 * Where a shard is in its life, as the supervisor sees it: `serving` takes new connections, `stuck` is not turning its event loop,
 * `down` has died and not been replaced yet.
 * @experimental
 */
export type ShardCondition = (typeof CONDITIONS)[number];

const CONDITIONS = ["starting", "serving", "stuck", "down", "draining", "stopped"] as const;

/**
 * One shard's line.
 * @experimental
 */
export interface RosterEntry {
  readonly condition: ShardCondition;
  /** Which thread serves as this shard: the first is 1, and each that takes over is one more. */
  readonly generation: number;
  /** How often the shard died and was replaced. */
  readonly restarts: number;
}

const WORDS = 3;
const CONDITION = 0;
const GENERATION = 1;
const RESTARTS = 2;

/** Memory for the lines of `shardCount` shards. */
export function createRoster(shardCount: number): SharedArrayBuffer {
  assert(shardCount > 0, "a roster is for at least one shard");
  return new SharedArrayBuffer(shardCount * WORDS * Int32Array.BYTES_PER_ELEMENT);
}

/** A view of all lines. */
export class Roster {
  readonly shardCount: number;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
    this.shardCount = this.#words.length / WORDS;
    assert(Number.isInteger(this.shardCount), "a roster has whole lines");
  }

  /** For the supervisor alone. */
  write(shard: number, entry: RosterEntry): void {
    assert(shard >= 0 && shard < this.shardCount, "only existing shards have a line");
    const at = shard * WORDS;
    Atomics.store(this.#words, at + CONDITION, CONDITIONS.indexOf(entry.condition));
    Atomics.store(this.#words, at + GENERATION, entry.generation);
    Atomics.store(this.#words, at + RESTARTS, entry.restarts);
  }

  read(shard: number): RosterEntry {
    assert(shard >= 0 && shard < this.shardCount, "only existing shards have a line");
    const at = shard * WORDS;
    return {
      condition: CONDITIONS[Atomics.load(this.#words, at + CONDITION)] ?? "starting",
      generation: Atomics.load(this.#words, at + GENERATION),
      restarts: Atomics.load(this.#words, at + RESTARTS),
    };
  }
}
