/**
 * The counters of all shards in one SharedArrayBuffer, so that any shard can report on all of them.
 *
 *     row 0: [96 numbers]   row 1: [96 numbers]   …
 *
 * Shard i is the only writer of row i, and all threads read. A cell is an aligned 64-bit float and is stored whole by every 64-bit
 * machine that Node runs on, so a reader sees an older or a newer number, never a mixture; numbers of one row may
 * be from two publications, which statistics can bear and nothing else may rely on. The names of the cells are the keys
 * of the first record that a shard publishes: all shards run the same code, so all rows have the same names.
 */
import { assert } from "../assert.js";

/** Numbers that one shard can publish. */
export const COUNTERS_PER_SHARD = 96;

/** Memory for the counters of `shardCount` shards. */
export function createCounters(shardCount: number): SharedArrayBuffer {
  assert(shardCount > 0, "counters are for at least one shard");
  return new SharedArrayBuffer(shardCount * COUNTERS_PER_SHARD * Float64Array.BYTES_PER_ELEMENT);
}

/** A record of counters by name. */
export type CounterRecord = Readonly<Record<string, number>>;

/** One thread's view of all counters, and the writer of its own row. */
export class Counters {
  readonly shardCount: number;
  readonly #shard: number;
  readonly #cells: Float64Array;
  #names: readonly string[] = [];
  /** Each key of the record, and the names of its numbers if it is a group. */
  #groups: readonly { readonly key: string; readonly names: readonly string[] | undefined }[] = [];

  /** @param shard The row that this thread writes. */
  constructor(buffer: SharedArrayBuffer, shard: number) {
    this.#cells = new Float64Array(buffer);
    this.shardCount = this.#cells.length / COUNTERS_PER_SHARD;
    this.#shard = shard;
    assert(Number.isInteger(this.shardCount), "counters are whole rows");
    assert(shard >= 0 && shard < this.shardCount, "a shard has a row of its own");
  }

  /**
   * Writes this shard's row. An object in the record is a group, whose numbers are named `group.name`. The record must have the same keys each time: names are put
   * together once, because a shard publishes ten times a second and a hundred new strings each time are seen in what its requests cost.
   */
  publish(record: Readonly<Record<string, number | object>>): void {
    if (this.#names.length === 0) this.#learnNames(record);
    let cell = this.#shard * COUNTERS_PER_SHARD;
    for (const { key, names } of this.#groups) {
      const value = record[key];
      if (names === undefined) this.#cells[cell++] = Number(value);
      else for (const name of names) this.#cells[cell++] = (value as Record<string, number>)[name] ?? 0;
    }
  }

  #learnNames(record: Readonly<Record<string, number | object>>): void {
    this.#groups = Object.entries(record).map(([key, value]) => ({ key, names: namesOf(value) }));
    this.#names = this.#groups.flatMap(({ key, names }) => names?.map((name) => `${key}.${name}`) ?? [key]);
    assert(this.#names.length <= COUNTERS_PER_SHARD, "a shard publishes at most 96 counters");
  }

  /** What `shard` published last; zeros before its first time, and no names at all before ours. */
  read(shard: number): Record<string, number> {
    assert(shard >= 0 && shard < this.shardCount, "only existing shards have counters");
    const row = shard * COUNTERS_PER_SHARD;
    return Object.fromEntries(this.#names.map((name, index) => [name, this.#cells[row + index] ?? 0]));
  }
}

/** The names of a group's numbers; undefined for a number. */
function namesOf(value: number | object): readonly string[] | undefined {
  if (typeof value === "number") return undefined;
  const numbers = Object.entries(value).filter(([, one]) => typeof one === "number");
  return numbers.map(([name]) => name);
}
