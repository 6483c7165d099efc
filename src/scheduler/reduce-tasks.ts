/** Combining many items into one, in parallel. */
import { checkMapOptions, checkUngrouped, chunksOf, type MapOptions, mapChunks } from "./map-tasks.js";
import { callOf } from "./task-calls.js";
import { invalid } from "./task-checks.js";
import { tasks } from "./tasks.js";

/**
 * How a reduction is run.
 * @experimental
 */
export interface ReduceOptions<Item> extends Pick<MapOptions, "concurrency" | "signal"> {
  /** Items that one task combines, 2 or more. Default 64. */
  readonly chunk?: number;
  /** Stands before the first item, and is the result when there is none. */
  readonly initial?: Item;
}

const CHUNK_DEFAULT = 64;
const chunkTasks = tasks<typeof import("./chunk-module.js")>(new URL("./chunk-module.js", import.meta.url));

/**
 * Combines all items with an associative task function, in the order of the items: lists of `chunk` items in tasks of their own, then the results of those, until one is left.
 *
 * With what {@link mapTasks} gives as its items, map and reduction go on at the same time.
 * @param items An iterable or an async one.
 * @param combine A function of {@link tasks} for which `combine(combine(a, b), c)` is `combine(a, combine(b, c))`.
 * @throws TypeError when there is no item and no `initial`; RingloomError `ERR_RINGLOOM_INVALID_OPTION`; what `combine` throws.
 * @example
 * ```ts
 * import { reduceTasks, tasks } from "ringloom";
 * const words = tasks<{ merge(a: Map<string, number>, b: Map<string, number>): Map<string, number> }>(new URL("./words.js", import.meta.url));
 * export const count = (pages: Map<string, number>[]) => reduceTasks(pages, words.merge, { initial: new Map<string, number>() });
 * ```
 * @experimental
 */
export async function reduceTasks<Item>(
  items: Iterable<Item> | AsyncIterable<Item>,
  combine: (a: Item, b: Item) => Promise<Item>,
  options: ReduceOptions<Item> = {},
): Promise<Item> {
  const { chunk = CHUNK_DEFAULT, initial, ...rest } = options;
  checkMapOptions({ ...rest, chunk });
  if (chunk < 2) throw invalid("chunk", chunk, "2 or more is needed: a list of one item is combined already");
  const found = callOf(combine, "combine");
  checkUngrouped(found, "combine");
  const { module, name, options: given } = found;
  let left: Iterable<Item> | AsyncIterable<Item> = initial === undefined ? items : startingWith(initial, items);
  for (;;) {
    const lists = chunksOf(left, chunk);
    const sums: Item[] = [];
    const results = mapChunks(lists, (list, { group }) => sumOf(list, { ...given, group }), rest);
    for await (const sum of results) sums.push(sum);
    if (sums.length === 0) throw new TypeError("Cannot reduce: there are no items, and no initial one.");
    if (sums.length === 1) return sums[0]!;
    left = sums;
  }

  function sumOf(list: readonly Item[], how: Parameters<typeof chunkTasks.with>[0]): Promise<Item> {
    // The cast is safe because the function combines items into one.
    return chunkTasks.with(how).reduceChunk({ module, name }, list) as Promise<Item>;
  }
}

async function* startingWith<Item>(
  first: Item,
  items: Iterable<Item> | AsyncIterable<Item>,
): AsyncGenerator<Item, void, undefined> {
  yield first;
  yield* items;
}
