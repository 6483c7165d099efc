import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ModuleServer } from "../../src/http/serve-module.js";
import { actor } from "../../src/index.js";
import { ownerOf } from "../../src/scheduler/placement.js";
import type { Asked } from "./fixtures/actor-app.js";
import { persistently, SHARDS, shardNumbers, withShards } from "./rig.js";

const folder = mkdtempSync(join(tmpdir(), "ringloom-actor-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

interface Words {
  readonly words: readonly string[];
  readonly shard: number;
  readonly threadId: number;
}

function ask<Value = unknown>(server: ModuleServer, shard: number, asked: Asked): Promise<Value> {
  return server.invokeOnShard("ask", { shard }, asked) as Promise<Value>;
}

/** A key that belongs to the shard. */
function keyOf(shard: number): string {
  for (let n = 0; ; n++) if (ownerOf(`key${n}`, SHARDS) === shard) return `key${n}`;
}

/** Runs with a new file for what the actors note, and gives its lines. */
async function noting(use: (lines: () => string[]) => Promise<void>): Promise<void> {
  const file = join(folder, `kept-${files++}`);
  process.env.KEPT_FILE = file;
  await use(() => {
    try {
      return readFileSync(file, "utf8").trim().split("\n");
    } catch {
      return [];
    }
  });
}

describe("actor()", () => {
  test("keeps the state of a key on the shard that owns it, whoever calls", async () => {
    await withShards("actor-app", async (server) => {
      for (const owner of shardNumbers()) {
        const key = keyOf(owner);
        for (const shard of shardNumbers())
          await ask(server, shard, { actor: "words", key, method: "add", args: [`${shard}`, 0] });
        const all = await ask<Words>(server, 0, { actor: "words", key, method: "all" });
        assert.deepEqual(all.words, shardNumbers().map(String));
        assert.equal(all.shard, owner);
      }
    });
  });

  test("runs one call of a key at a time, in the order of each sender", async () => {
    await withShards("actor-app", async (server) => {
      const key = keyOf(SHARDS - 1);
      const rounds = shardNumbers().map(async (shard) => {
        for (let round = 0; round < 10; round++) {
          const pair = [0, 1].map(
            (n): Asked => ({ actor: "few", key, method: "add", args: [`${shard}.${round * 2 + n}`, n === 0 ? 3 : 0] }),
          );
          const results = (await server.invokeOnShard("askAll", { shard }, pair)) as { together: number }[];
          assert.deepEqual(
            results.map((result) => result.together),
            [1, 1],
          );
        }
      });
      await Promise.all(rounds);
      const { words } = await ask<Words>(server, 0, { actor: "few", key, method: "all" });
      assert.equal(words.length, 20 * SHARDS);
      for (const shard of shardNumbers()) {
        const own = words.filter((word) => word.startsWith(`${shard}.`));
        assert.deepEqual(
          own,
          Array.from({ length: 20 }, (_, n) => `${shard}.${n}`),
        );
      }
    });
  });

  test("refuses at once what a mailbox or a shard has no room for", async () => {
    await withShards("actor-app", async (server) => {
      for (const shard of shardNumbers()) {
        const key = `${keyOf(0)}`;
        const many = Array.from({ length: 8 }, (): Asked => ({ actor: "words", key, method: "add", args: ["w", 30] }));
        const results = (await server.invokeOnShard("askAll", { shard }, many)) as unknown[];
        assert.deepEqual(results.slice(5), Array(3).fill("ERR_RINGLOOM_OVERLOADED"), "one runs, four wait");
        assert.ok(results.slice(0, 5).every((result) => typeof result === "object"));
      }
      const keys = Array.from({ length: 100 }, (_, n) => `k${n}`)
        .filter((key) => ownerOf(key, SHARDS) === 0)
        .slice(0, 3);
      const asked = keys.map((key): Asked => ({ actor: "few", key, method: "add", args: ["w", 0] }));
      const results = (await server.invokeOnShard("askAll", { shard: 0 }, asked)) as unknown[];
      assert.equal(results[2], "ERR_RINGLOOM_OVERLOADED");
    });
  });

  test("rejects with what the method threw, what could not be cloned, or because there is no such thing", async () => {
    await withShards("actor-app", async (server) => {
      for (const shard of shardNumbers()) {
        const key = keyOf(0);
        await assert.rejects(
          ask(server, shard, { actor: "words", key, method: "fail" }),
          (error: Error & { cause: Error & { code: string; cause: Error & { code: string } } }) => {
            assert.equal(error.cause.code, "ERR_RINGLOOM_CALL_FAILED");
            assert.equal(error.cause.cause.code, "E_WORDS");
            assert.match(error.cause.cause.stack ?? "", /actor-app/);
            return true;
          },
        );
        const bad: Asked[] = [
          { actor: "words", key, method: "uncloneable" },
          { actor: "kept", key: "bad", method: "add" },
        ];
        assert.deepEqual(await server.invokeOnShard("askAll", { shard }, bad), [
          "ERR_RINGLOOM_NOT_CLONEABLE",
          "ERR_RINGLOOM_CALL_FAILED",
        ]);
        const { words } = await ask<Words>(server, shard, { actor: "words", key, method: "all" });
        assert.deepEqual(words, [], "the instance lives on");
      }
    });
  });

  test("copies arguments and results on every shard, and gives each call an async context of its own", async () => {
    await withShards("actor-app", async (server) => {
      const key = keyOf(0);
      for (const shard of shardNumbers()) {
        assert.deepEqual(await server.invokeOnShard("isShared", { shard }, key), { own: 1, back: 5 });
        await ask(server, shard, { actor: "words", key, method: "enter" });
        assert.equal(await ask(server, shard, { actor: "words", key, method: "context" }), "nothing");
      }
    });
  });

  test("gives up when the time is over or the signal aborts, and does not begin what nobody waits for", async () => {
    await withShards(
      "actor-app",
      async (server) => {
        for (const shard of shardNumbers()) {
          const key = `${keyOf(0)}`;
          const asked: Asked[] = [
            { actor: "words", key: `${key}`, method: "add", args: ["a", 200] },
            { actor: "words", key: `${key}`, method: "add", args: ["b", 0], options: { timeoutMs: 20 } },
          ];
          const results = (await server.invokeOnShard("askAll", { shard }, asked)) as unknown[];
          assert.equal(results[1], "ERR_RINGLOOM_TIMEOUT");
          const { words } = await ask<Words>(server, shard, { actor: "words", key, method: "all" });
          assert.ok(!words.includes("b"));
        }
        for (const shard of shardNumbers()) {
          const key = Array.from({ length: 100 }, (_, n) => `never${n}`).filter((one) => ownerOf(one, SHARDS) === 0)[
            shard
          ];
          assert.equal(await server.invokeOnShard("aborted", { shard }, key), "ERR_RINGLOOM_ABORTED");
        }
      },
      500,
    );
  });

  test("settles calls that are in flight when the owner dies, and makes the instance anew on the next thread", async () => {
    await withShards("actor-app", async (server) => {
      const key = keyOf(0);
      const from = SHARDS - 1;
      await ask(server, from, { actor: "words", key, method: "add", args: ["before", 0] });
      const fatal: Asked[] = [
        { actor: "words", key, method: "add", args: ["slow", 50] },
        { actor: "words", key, method: "die" },
        { actor: "words", key, method: "add", args: ["after", 0] },
      ];
      const results = await server
        .invokeOnShard("askAll", { shard: from }, fatal)
        .catch((error: { code: string }) => [0, error.code, error.code]);
      assert.deepEqual((results as unknown[]).slice(1), Array(2).fill("ERR_RINGLOOM_THREAD_LOST"));
      const answer = await persistently(async () => {
        const [value] = (await server.invokeOnShard("askAll", { shard: from }, [
          { actor: "words", key, method: "all" },
        ])) as [Words | string];
        if (typeof value === "string") throw Object.assign(new Error(value), { code: value });
        return value;
      });
      assert.deepEqual(answer.words, [], "its state is gone");
    });
  });

  test("puts away an instance that is idle, and loads it again", async () => {
    await noting(async (lines) => {
      await withShards("actor-app", async (server) => {
        const asked: Asked = { actor: "kept", key: "idle", method: "add" };
        assert.equal((await ask<{ count: number }>(server, 0, asked)).count, 1);
        while (!lines().some((line) => line.startsWith("evicted idle"))) await sleep(10);
        assert.equal((await ask<{ count: number }>(server, 0, asked)).count, 2, "what the hook saved was loaded");
        assert.equal(lines().filter((line) => line.startsWith("load idle")).length, 2);
        assert.match(lines()[1] ?? "", / idle$/);
      });
    });
  });

  test("has one instance at a time in a rolling restart: the old one is put away before the new one is loaded", async () => {
    await noting(async (lines) => {
      await withShards("actor-app", async (server) => {
        if (!(await restarts(server))) return;
        const keys = shardNumbers().map(keyOf);
        let isOver = false;
        const results: number[] = [];
        const callers = shardNumbers().map(async (shard) => {
          for (let n = 0; !isOver || n < 20; n++) {
            for (const key of keys) {
              const found = await persistently(() =>
                ask<{ count: number }>(server, shard, { actor: "long", key, method: "addSlowly", args: [1] }),
              );
              results.push(found.count);
            }
          }
        });
        await sleep(100);
        await server.restart();
        isOver = true;
        await Promise.all(callers);
        const total = results.length;
        await server.stop();
        for (const key of keys) assertOneAtATime(lines().filter((line) => line.split(" ")[1] === key));
        const sum = lines()
          .filter((line) => line.startsWith("evicted"))
          .reduce((all, line) => all + Number(line.split(" ")[4]), 0);
        assert.equal(sum, total, "no call was lost or made twice");
        assert.ok(lines().some((line) => line.includes("handover")));
        assert.ok(lines().some((line) => line.includes("stop")));
      });
    });
  });

  test("is there for the last request of any shard when the server stops, and ends before hooks and tasks do", {
    skip: SHARDS === 1 && "it takes two shards",
  }, async () => {
    await noting(async (lines) => {
      await withShards("stop-app", async (server) => {
        const late = fetch(`${server.url}/late`).then((response) => response.text());
        while (!lines().includes("begun")) await sleep(10);
        const report = await server.stop();
        assert.equal(await late, "1", "its shard had long nothing to do");
        assert.deepEqual(report.failures, []);
        const owner = lines()
          .find((line) => line.startsWith("evicted"))
          ?.split(" ")[1];
        assert.deepEqual(
          lines().filter((line) => line === "answered" || line.endsWith(` ${owner}`)),
          ["answered", `evicted ${owner}`, `task 42 ${owner}`, `close ${owner}`],
        );
      });
    });
  });

  test("puts instances away outside of the context of whoever called", async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen: (string | undefined)[] = [];
    class Seen {
      note() {
        seen.push(storage.getStore());
      }
    }
    const notes = actor("notes", Seen, { idleMs: 1, evicted: () => void seen.push(storage.getStore()) });
    await storage.run("caller", () => notes("a").note());
    while (seen.length < 2) await sleep(5);
    assert.deepEqual(seen, [undefined, undefined]);
  });

  test("works on the main thread of a program without shards", async () => {
    class Counter {
      readonly key: string;
      #count = 0;
      constructor(key: string) {
        this.key = key;
      }
      add(amount: number) {
        this.#count += amount;
        return `${this.key}${this.#count}`;
      }
    }
    const counters = actor("counters", Counter);
    assert.deepEqual(await Promise.all([counters("a").add(1), counters("a").add(2), counters("b").add(3)]), [
      "a1",
      "a3",
      "b3",
    ]);
    await assert.rejects(counters("a").add((() => 1) as never), { code: "ERR_RINGLOOM_NOT_CLONEABLE" });
    const unset = { timeoutMs: undefined } as object;
    assert.equal(await counters("a", unset).add(1), "a4");
    await assert.rejects(counters("a", { timeoutMs: -1 }).add(1), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    await assert.rejects(counters("a", { signal: AbortSignal.abort() }).add(1), { code: "ERR_RINGLOOM_ABORTED" });
    assert.throws(() => counters(1 as never), TypeError);
    assert.throws(() => actor("counters", Counter), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    for (const options of [
      { mailbox: 0 },
      { keysMax: 0.5 },
      { idleMs: -1 },
      { timeoutMs: Number.NaN },
      { load: 1 },
      { size: 1 },
    ]) {
      assert.throws(() => actor("other", Counter, options as never), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    }
  });
});

/** Where a port cannot be shared a server does not restart its shards. */
async function restarts(server: ModuleServer): Promise<boolean> {
  if (SHARDS > 1) return true;
  return server.restart().then(
    () => true,
    () => false,
  );
}

function assertOneAtATime(lines: readonly string[]): void {
  let owner: string | undefined;
  for (const line of lines) {
    const [what, , thread] = line.split(" ");
    if (what === "load") {
      assert.equal(owner, undefined, `loaded while another thread had it: ${lines.join("; ")}`);
      owner = thread;
    } else {
      assert.equal(thread, owner);
      owner = undefined;
    }
  }
}
