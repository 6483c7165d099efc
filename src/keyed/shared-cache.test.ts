import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { cacheLength } from "../shared/cache-layout.js";
import { buryCacheThread } from "../shared/cache-table.js";
import { SharedWords } from "../shared/words.js";
import { CacheEntries } from "./cache-entries.js";
import { cacheShape, checkCacheOptions, entryBytesMax } from "./cache-size.js";
import { sharedCache } from "./shared-cache.js";

const KEEP = { ttlMs: 0, stamp: undefined };

/** Two threads' views of one memory, and what a test needs to bury one. */
function pair(options: { maxBytes: number; maxEntries?: number }) {
  const shape = cacheShape(checkCacheOptions("test", options));
  const memory = new SharedArrayBuffer(cacheLength(shape) * 4);
  return {
    shape,
    first: new CacheEntries(memory, shape, 0),
    second: new CacheEntries(memory, shape, 1),
    bury: (thread: number) => buryCacheThread(new SharedWords(memory), shape, thread),
  };
}

/** Keys of the same bucket whose number is another one: of eight numbers each has an eighth of the keys. */
function keysBeside(key: string, options: { maxBytes: number; maxEntries: number }): string[] {
  const { first } = pair(options);
  return Array.from({ length: 100 }, (_, n) => `other${n}`).filter((other) => {
    const stamp = first.stampOf(key);
    first.delete(other);
    return first.stampOf(key) === stamp;
  });
}

/** A small generator with a seed: xorshift. */
function random(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

describe("SharedCache", () => {
  test("get() gives a copy of what set() was given, of every kind that the codec carries", () => {
    const cache = sharedCache("kinds");
    const values = [
      "text",
      "日本",
      "",
      7,
      -1.5,
      null,
      true,
      2n ** 70n,
      new Uint8Array([1, 2, 3]),
      { a: [1, { b: "c" }] },
      new Date(5),
      new Map([[1, new Set(["x"])]]),
    ];
    for (const value of values) {
      assert.equal(cache.set("key", value), true);
      assert.deepStrictEqual(cache.get("key"), value);
    }
    const bytes = cache.get("bytes");
    assert.equal(bytes, undefined);
    const own = { n: 1 };
    cache.set("own", own);
    own.n = 2;
    assert.deepEqual(cache.get("own"), { n: 1 });
    assert.notEqual(cache.get("own"), cache.get("own"));
    assert.equal(cache.delete("own"), true);
    assert.equal(cache.delete("own"), false);
    assert.equal(cache.get("own"), undefined);
    cache.clear();
    assert.equal(cache.get("key"), undefined);
    const { hits, misses, sets, deletes, entries } = cache.stats;
    assert.deepEqual(
      { hits, misses, sets, deletes, entries },
      { hits: 15, misses: 3, sets: 13, deletes: 1, entries: 0 },
    );
  });

  test("an entry is gone when its time is over", async () => {
    const cache = sharedCache<number>("times", { ttlMs: 20 });
    cache.set("short", 1);
    cache.set("long", 2, { ttlMs: 60_000 });
    cache.set("forever", 3, { ttlMs: 0 });
    while (cache.get("short") !== undefined) await sleep(5);
    assert.equal(cache.get("long"), 2);
    assert.equal(cache.get("forever"), 3);
    assert.equal(cache.stats.expired, 1);
    assert.equal(cache.stats.entries, 2);
  });

  test("rejects what cannot be a key, a value or an option", async () => {
    const cache = sharedCache("bad");
    assert.throws(() => cache.set("key", undefined), TypeError);
    for (const value of [() => 1, Symbol("s"), new (class A {})(), new SharedArrayBuffer(4)])
      assert.throws(() => cache.set("key", value), { code: "ERR_RINGLOOM_NOT_CLONEABLE" });
    assert.throws(() => cache.get(1 as never), TypeError);
    assert.throws(() => cache.get("k".repeat(5_000)), TypeError);
    assert.throws(() => cache.set("key", 1, { ttlMs: -1 }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    for (const options of [
      { maxBytes: 1 },
      { maxBytes: 2 ** 31 },
      { maxEntries: 1 },
      { ttlMs: Number.NaN },
      { size: 1 },
    ]) {
      assert.throws(() => sharedCache("other", options as never), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    }
    assert.throws(() => sharedCache("bad", { maxBytes: 2 ** 20 }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    assert.equal(sharedCache("bad"), cache);
    await assert.rejects(
      cache.getOrLoad("key", () => 1, { timeoutMs: -1 }),
      { code: "ERR_RINGLOOM_INVALID_OPTION" },
    );
    await assert.rejects(
      cache.getOrLoad("key", () => 1, { signal: AbortSignal.abort() }),
      { code: "ERR_RINGLOOM_ABORTED" },
    );
  });

  test("a value that uses the cache while it is read in does not disturb it", () => {
    const cache = sharedCache("nested");
    const value = {
      get a() {
        cache.set("inner", "i".repeat(100));
        return cache.get("inner");
      },
      b: "b".repeat(50),
    };
    assert.equal(cache.set("outer", value), true);
    assert.deepEqual(cache.get("outer"), { a: "i".repeat(100), b: "b".repeat(50) });
  });

  test("getOrLoad() gives each of those that wait a value of its own", async () => {
    const cache = sharedCache<{ n: number }>("copies");
    const load = async (): Promise<{ n: number }> => {
      await sleep(10);
      return { n: 1 };
    };
    const [first, second] = await Promise.all([cache.getOrLoad("a", load), cache.getOrLoad("a", load)]);
    first.n = 2;
    assert.deepEqual([second, cache.get("a")], [{ n: 1 }, { n: 1 }]);
  });

  test("getOrLoad() loads once for all that wait, keeps what was loaded, and tries again after a failure", async () => {
    const cache = sharedCache<number | undefined>("loads");
    let loads = 0;
    const load = async (): Promise<number> => {
      loads += 1;
      await sleep(10);
      return 40 + loads;
    };
    assert.deepEqual(await Promise.all([cache.getOrLoad("a", load), cache.getOrLoad("a", load)]), [41, 41]);
    assert.equal(await cache.getOrLoad("a", load), 41);
    const bad = (): never => {
      throw Object.assign(new RangeError("no"), { code: "E_LOAD" });
    };
    await assert.rejects(cache.getOrLoad("b", bad), (error: Error & { code: string; cause: { code: string } }) => {
      assert.equal(error.code, "ERR_RINGLOOM_CALL_FAILED");
      assert.equal(error.cause.code, "E_LOAD");
      return true;
    });
    assert.equal(await cache.getOrLoad("b", load), 42);
    assert.equal(await cache.getOrLoad("c", () => undefined), undefined);
    assert.equal(await cache.getOrLoad("c", load), 43, "nothing was kept");
    await assert.rejects(
      cache.getOrLoad("d", () => sleep(500, 1), { timeoutMs: 5 }),
      { code: "ERR_RINGLOOM_TIMEOUT" },
    );
  });

  test("getOrLoad() does not keep what was deleted while it was loaded", async () => {
    const cache = sharedCache<number>("stale");
    let go: ((value: number) => void) | undefined;
    const loading = cache.getOrLoad("key", () => new Promise<number>((resolve) => (go = resolve)));
    while (go === undefined) await sleep(1);
    assert.equal(cache.delete("key"), false);
    go(1);
    assert.equal(await loading, 1);
    assert.equal(cache.get("key"), undefined);
    assert.equal(cache.stats.refused, 1);
  });

  test("getOrLoad() loads once while other keys of its bucket are set and deleted", async () => {
    // One bucket.
    const options = { maxBytes: 16 * 2 ** 10, maxEntries: 8 };
    const cache = sharedCache<number>("crowded", options);
    const others = keysBeside("key", options);
    let loads = 0;
    let go: (value: number) => void = () => undefined;
    const load = (): Promise<number> => {
      loads += 1;
      return new Promise((resolve) => {
        go = resolve;
      });
    };
    const waiting = [cache.getOrLoad("key", load)];
    for (const other of others.slice(0, 20)) {
      cache.set(other, 1);
      cache.delete(other);
      waiting.push(cache.getOrLoad("key", load));
      await sleep(1);
    }
    assert.equal(loads, 1);
    go(7);
    assert.deepEqual(new Set(await Promise.all(waiting)), new Set([7]));
    assert.equal(cache.stats.loads, 1);
  });

  test("getOrLoad() after a deletion loads anew, and does not join what was begun before it", async () => {
    const cache = sharedCache<string>("deleted");
    let loads = 0;
    const goes: ((value: string) => void)[] = [];
    const load = (): Promise<string> => {
      loads += 1;
      return new Promise((resolve) => goes.push(resolve));
    };
    const before = cache.getOrLoad("key", load);
    while (loads < 1) await sleep(1);
    cache.delete("key");
    const after = cache.getOrLoad("key", load);
    const joined = cache.getOrLoad("key", load);
    const endMs = performance.now() + 10_000;
    while (loads < 2 && performance.now() < endMs) await sleep(1);
    assert.equal(loads, 2);
    goes[1]?.("new");
    assert.deepEqual([await after, await joined], ["new", "new"]);
    goes[0]?.("old");
    assert.equal(await before, "old");
    assert.equal(cache.get("key"), "new", "what was begun before the deletion is not kept");
  });
});

describe("SharedCache.getOrLoad()", () => {
  test("gives the same kinds of values whether they are loaded or found", async () => {
    const cache = sharedCache("loaded kinds");
    const bytes = Buffer.from("abc");
    for (const value of [bytes, { deep: [bytes] }, new Map([["key", bytes]]), bytes.subarray(1), 7n, null]) {
      cache.clear();
      const [first, joined] = await Promise.all([cache.getOrLoad("key", () => value), cache.getOrLoad("key", () => 0)]);
      assert.deepStrictEqual(first, value);
      assert.deepStrictEqual(joined, value);
      assert.notEqual(first === joined, typeof value === "object" && value !== null);
      assert.deepStrictEqual(await cache.getOrLoad("key", () => 0), value);
    }
    // Too large for the cache, so it is handed over and not kept.
    const large = Buffer.alloc(2 ** 22, 1);
    assert.deepStrictEqual(await cache.getOrLoad("large", () => large), large);
    assert.equal(cache.get("large"), undefined);
  });

  test("keeps what was loaded while other keys of the bucket are set", async () => {
    // One bucket; of the keys in it only those that share one of its eight numbers are in each other's way.
    const cache = sharedCache<number>("neighbours", { maxBytes: 16 * 2 ** 10, maxEntries: 8 });
    let kept = 0;
    for (let n = 0; n < 40; n++) {
      await cache.getOrLoad(`key${n}`, () => {
        cache.set("other", n);
        return n;
      });
      if (cache.get(`key${n}`) === n) kept += 1;
    }
    assert.ok(kept >= 20 && kept < 40, `${kept} of 40`);
  });

  test("does not join what was begun before a later set() of the key, when that is gone again", async () => {
    const cache = sharedCache<string>("outlived");
    let go: (value: string) => void = () => undefined;
    let isLoading = false;
    const before = cache.getOrLoad("key", () => {
      isLoading = true;
      return new Promise((resolve) => {
        go = resolve;
      });
    });
    while (!isLoading) await sleep(1);
    cache.set("key", "brief", { ttlMs: 1 });
    while (cache.get("key") !== undefined) await sleep(1);
    assert.equal(await cache.getOrLoad("key", () => "new", { timeoutMs: 10_000 }), "new");
    go("old");
    assert.equal(await before, "old");
    assert.equal(cache.get("key"), "new");
  });
});

describe("CacheEntries", () => {
  test("never gives a stale value, and stays within its bounds, whatever is done", () => {
    const seed = Date.now() >>> 0;
    const next = random(seed);
    const { shape, first, second } = pair({ maxBytes: 64 * 1_024, maxEntries: 200 });
    const expected = new Map<string, string>();
    const largest = entryBytesMax(shape);
    let hits = 0;
    for (let step = 0; step < 50_000; step++) {
      const entries = next() % 2 === 0 ? first : second;
      const key = `key${next() % 300}`;
      const dice = next() % 10;
      if (dice < 3) {
        const value = `${step}:${"v".repeat(next() % (dice === 0 ? largest : 300))}`;
        if (entries.put(key, value, KEEP)) expected.set(key, value);
        else expected.delete(key);
      } else if (dice === 3) {
        entries.delete(key);
        expected.delete(key);
      } else {
        const value = entries.get(key);
        if (value !== undefined) hits += 1;
        if (value !== undefined) assert.equal(value, expected.get(key), `seed ${seed}, step ${step}`);
      }
    }
    assert.ok(hits > 1_000, `seed ${seed}: ${hits} hits`);
  });

  test("keeps what is read and lets go of what is not", () => {
    const { first } = pair({ maxBytes: 64 * 1_024, maxEntries: 4_096 });
    for (let n = 0; n < 20; n++) first.put(`hot${n}`, n, KEEP);
    for (let n = 0; n < 20_000; n++) {
      first.put(`cold${n}`, "x".repeat(50), KEEP);
      if (n % 20 === 0) for (let hot = 0; hot < 20; hot++) first.get(`hot${hot}`);
    }
    const kept = Array.from({ length: 20 }, (_, n) => first.get(`hot${n}`)).filter((value) => value !== undefined);
    assert.ok(kept.length >= 18, `${kept.length} of 20 are there`);
    assert.equal(first.get("cold0"), undefined);
  });

  test("takes values up to a quarter of a segment, and none that is larger", () => {
    const { shape, first } = pair({ maxBytes: 2 ** 20 });
    const largest = entryBytesMax(shape);
    assert.equal(largest, 2 ** 18);
    assert.equal(first.put("large", new Uint8Array(largest - 100).fill(7), KEEP), true);
    assert.deepEqual(first.get("large"), new Uint8Array(largest - 100).fill(7));
    assert.equal(first.put("large", new Uint8Array(largest), KEEP), false);
    assert.equal(first.get("large"), undefined, "the old value is gone too");
  });

  test("goes on when a thread has died with a segment locked, or while it read", () => {
    const { first, second, bury } = pair({ maxBytes: 16 * 1_024 });
    second.put("old", "value", KEEP);
    assert.equal(first.table.lock(0), true);
    assert.equal(second.put("new", 1, KEEP), false, "the segment is held");
    assert.equal(second.get("old"), "value", "readers do not wait");
    bury(0);
    assert.equal(second.put("new", 2, KEEP), true);
    assert.equal(second.get("new"), 2);
    assert.equal(second.get("old"), undefined, "what the dead thread may have damaged is forgotten");
  });
});
