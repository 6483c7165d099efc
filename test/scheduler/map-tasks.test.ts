import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { group } from "../../src/scheduler/group.js";
import { mapTasks } from "../../src/scheduler/map-tasks.js";
import { reduceTasks } from "../../src/scheduler/reduce-tasks.js";
import { tasks } from "../../src/scheduler/tasks.js";
import type * as MapModule from "./map-module.js";
import { until, withCode, withScheduler } from "./scheduler-rig.js";

const work = tasks<typeof MapModule>(new URL("./map-module.js", import.meta.url));

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}

async function list<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) found.push(item);
  return found;
}

/** Gives one item, and then nothing for as long as it is read. */
async function* onlyOne(): AsyncGenerator<number, void, undefined> {
  yield 7;
  await new Promise(() => undefined);
}

/** Counts how far it was read, and whether it was closed. */
class Source implements AsyncIterable<number> {
  read = 0;
  isClosed = false;

  async *[Symbol.asyncIterator](): AsyncGenerator<number, void, undefined> {
    try {
      for (;;) yield this.read++;
    } finally {
      this.isClosed = true;
    }
  }
}

describe("mapTasks()", () => {
  test("gives the results in the order of the items, or as they come", () =>
    withScheduler({ compute: 2 }, async () => {
      const squares = upTo(30).map((n) => n * n);
      assert.deepEqual(await list(mapTasks(upTo(30), work.squareLater)), squares);
      const found = await list(mapTasks(upTo(30), work.squareLater, { ordered: false, concurrency: 30 }));
      assert.notDeepEqual(found, squares);
      assert.deepEqual(
        found.sort((a, b) => a - b),
        squares,
      );
      assert.deepEqual(await list(mapTasks([], work.square)), []);
    }));

  for (const count of [1, 63, 64, 65, 1000]) {
    test(`runs ${count} items in chunks`, () =>
      withScheduler({ compute: 2 }, async (_folder, scheduler) => {
        const before = scheduler.stats.spawned;
        assert.deepEqual(
          await list(mapTasks(upTo(count), work.square, { chunk: 64 })),
          upTo(count).map((n) => n * n),
        );
        assert.equal(scheduler.stats.spawned - before, Math.ceil(count / 64));
      }));
  }

  test("has as many tasks under way as it may", () =>
    withScheduler({ compute: 1 }, async () => {
      const seen = await list(mapTasks(upTo(40), work.together, { concurrency: 3 }));
      assert.equal(Math.max(...seen), 3);
      // A function that does not pass its options on counts as well.
      const others = await list(mapTasks(upTo(40), (item: number) => work.together(item), { concurrency: 4 }));
      assert.equal(Math.max(...others), 4);
    }));

  test("reads no further than its reader takes, and closes the source when the loop is left", () =>
    withScheduler({ compute: 1 }, async () => {
      const source = new Source();
      let count = 0;
      for await (const square of mapTasks(source, work.square, { concurrency: 4 })) {
        assert.equal(square, count * count);
        count += 1;
        await new Promise((resolve) => setTimeout(resolve, 5));
        assert.ok(source.read <= count + 8 + 1, `${source.read} were read for ${count}`);
        if (count === 20) break;
      }
      await until(() => source.isClosed);
    }));

  test("gives up what is under way when the loop is left, and waits for its end", () =>
    withScheduler({ compute: 2 }, async (folder) => {
      const path = join(folder, "seen");
      const results = mapTasks([0, 1], (n, options) => work.with(options).waitUnlessFirst(path, n));
      for await (const _first of results) {
        await until(() => existsSync(`${path}.begun`));
        break;
      }
      assert.ok(existsSync(path));
    }));

  for (const chunk of [1, 4]) {
    test(`rejects with the first failure (chunk ${chunk})`, () =>
      withScheduler({ compute: 2 }, async () => {
        const source = new Source();
        const failing = mapTasks(source, work.failAt as (n: number) => Promise<number>, { chunk, concurrency: 2 });
        await assert.rejects(list(failing), (error) => error instanceof RangeError && error.message === "no 5");
        await until(() => source.isClosed);
      }));
  }

  test("hears its signal while the source has nothing", () =>
    withScheduler({ compute: 1 }, async () => {
      const controller = new AbortController();
      const results = mapTasks(onlyOne(), work.square, { signal: controller.signal });
      assert.deepEqual(await results.next(), { done: false, value: 49 });
      const next = results.next();
      controller.abort();
      await assert.rejects(next, withCode("ERR_RINGLOOM_ABORTED"));
    }));

  test("hands over what the calls of a chunk hand over", () =>
    withScheduler({ compute: 1 }, async () => {
      const found = await list(mapTasks(upTo(5), work.bytesOf, { chunk: 2 }));
      assert.deepEqual(
        found.map((bytes) => [...bytes]),
        [[0], [1], [2], [3], [4]],
      );
    }));

  test("rejects when the source does, and when the signal is aborted", () =>
    withScheduler({ compute: 1 }, async (folder) => {
      function* broken(): Generator<number, void, undefined> {
        yield 1;
        throw new RangeError("no more");
      }
      await assert.rejects(list(mapTasks(broken(), work.square)), /no more/);
      const path = join(folder, "seen");
      const controller = new AbortController();
      const waiting = list(mapTasks([path], work.waitForSignal, { signal: controller.signal }));
      await until(() => existsSync(`${path}.begun`));
      controller.abort();
      await assert.rejects(waiting, withCode("ERR_RINGLOOM_ABORTED"));
      assert.ok(existsSync(path));
      await assert.rejects(
        list(mapTasks([1], work.square, { signal: controller.signal })),
        withCode("ERR_RINGLOOM_ABORTED"),
      );
    }));

  test("refuses options that cannot be", () =>
    withScheduler({ compute: 1 }, async () => {
      for (const options of [{ concurrency: 0 }, { chunk: 0.5 }, { chunk: Number.POSITIVE_INFINITY }]) {
        assert.throws(() => mapTasks([1], work.square, options), withCode("ERR_RINGLOOM_INVALID_OPTION"));
      }
      assert.throws(() => mapTasks([1], async (n: number) => n, { chunk: 2 }), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    }));

  test("and reduceTasks() refuse a function with a group, since they have their own", () =>
    withScheduler({ compute: 1 }, async () => {
      const grouped = work.with({ group: group() });
      for (const chunk of [1, 2]) {
        assert.throws(() => mapTasks([1], grouped.square, { chunk }), withCode("ERR_RINGLOOM_INVALID_OPTION"));
      }
      await assert.rejects(reduceTasks([1, 2], grouped.addLater), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    }));
});

describe("reduceTasks()", () => {
  test("combines items in their order", () =>
    withScheduler({ compute: 2 }, async () => {
      const letters = upTo(1000).map((n) => String.fromCharCode(97 + (n % 26)));
      for (const chunk of [2, 7, 64, 1000]) {
        assert.equal(await reduceTasks(letters, work.concat, { chunk }), letters.join(""));
      }
      assert.equal(await reduceTasks(letters, work.concat, { initial: ">" }), `>${letters.join("")}`);
    }));

  test("goes over what a map gives", () =>
    withScheduler({ compute: 2 }, async () => {
      const sum = await reduceTasks(mapTasks(upTo(200), work.square, { chunk: 8 }), work.addLater, { chunk: 16 });
      assert.equal(
        sum,
        upTo(200).reduce((all, n) => all + n * n, 0),
      );
    }));

  test("of one item is that, and of none the initial one", () =>
    withScheduler({ compute: 1 }, async () => {
      assert.equal(await reduceTasks([7], work.addLater), 7);
      assert.equal(await reduceTasks([], work.addLater, { initial: 3 }), 3);
      await assert.rejects(reduceTasks([], work.addLater), TypeError);
      await assert.rejects(reduceTasks([1], work.addLater, { chunk: 1 }), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    }));
});
