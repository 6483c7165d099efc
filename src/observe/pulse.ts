/**
 * A few words of shared memory for each shard, by which the supervisor's thread sees whether the shard's event loop turns.
 *
 * The shard writes `beat` (its only writer), the watchdog on the main thread the other two. A cell is an aligned 64-bit float, stored
 * whole by every machine that Node runs on. Times are of the one monotonic clock that all threads of a process share.
 */
import { assert } from "../assert.js";

const CELL_BEAT = 0;
const CELL_BLOCKED_COUNT = 1;
const CELL_BLOCKED_MS_MAX = 2;
/** A cache line each, so that the threads' writes do not slow each other down. */
const CELLS_PER_SHARD = 8;

/** Milliseconds of the monotonic clock, the same on every thread. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

/** Memory for the pulses of `shardCount` shards. */
export function createPulses(shardCount: number): SharedArrayBuffer {
  assert(shardCount > 0, "pulses are of at least one shard");
  return new SharedArrayBuffer(shardCount * CELLS_PER_SHARD * Float64Array.BYTES_PER_ELEMENT);
}

/** The pulses of all shards of a server, seen from any of its threads. */
export class Pulses {
  readonly shardCount: number;
  readonly #cells: Float64Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#cells = new Float64Array(buffer);
    this.shardCount = this.#cells.length / CELLS_PER_SHARD;
    assert(Number.isInteger(this.shardCount), "pulses are whole rows");
  }

  /** The shard's loop turned. Called on the shard's thread alone. */
  beat(shard: number, nowMs: number): void {
    this.#cells[shard * CELLS_PER_SHARD + CELL_BEAT] = nowMs;
  }

  /** The shard will beat no more: it is ending, or not there yet. */
  rest(shard: number): void {
    this.#cells[shard * CELLS_PER_SHARD + CELL_BEAT] = 0;
  }

  /** When the shard's loop last turned; 0 while nobody expects it to. */
  lastBeatMs(shard: number): number {
    return this.#cells[shard * CELLS_PER_SHARD + CELL_BEAT] ?? 0;
  }

  /** A blockage was found. Called by the watchdog alone. */
  countBlocked(shard: number): void {
    this.#cells[shard * CELLS_PER_SHARD + CELL_BLOCKED_COUNT] = this.blockedCount(shard) + 1;
  }

  /** How long a blockage has lasted so far. Called by the watchdog alone. */
  noteBlockedMs(shard: number, ms: number): void {
    const cell = shard * CELLS_PER_SHARD + CELL_BLOCKED_MS_MAX;
    this.#cells[cell] = Math.max(this.#cells[cell] ?? 0, ms);
  }

  blockedCount(shard: number): number {
    return this.#cells[shard * CELLS_PER_SHARD + CELL_BLOCKED_COUNT] ?? 0;
  }

  blockedMsMax(shard: number): number {
    return this.#cells[shard * CELLS_PER_SHARD + CELL_BLOCKED_MS_MAX] ?? 0;
  }
}
