import assert from "node:assert/strict";
import { once } from "node:events";
import { after, describe, it } from "node:test";
import type { MessagePort } from "node:worker_threads";
import { callSignal } from "./call-signal.js";
import { CALLS_MAX, ShardCallee, ShardCalls, shardFunction } from "./shard-functions.js";

describe("ShardCalls.invoke()", () => {
  it("keeps the room of calls that were given up until they are answered", async () => {
    let callee: MessagePort | undefined;
    const calls = new ShardCalls(1, (_, port) => {
      callee = port;
    });
    const given = new AbortController();
    const options = { shard: 0, timeoutMs: 0, signal: given.signal };
    const abandoned = Array.from({ length: CALLS_MAX }, () => calls.invoke("stuck", options, []));
    given.abort();
    for (const { status } of await Promise.allSettled(abandoned)) assert.equal(status, "rejected");
    const another = (timeoutMs = 60_000): Promise<unknown> => calls.invoke("stuck", { shard: 0, timeoutMs }, []);
    await assert.rejects(another(10_000), { code: "ERR_RINGLOOM_OVERLOADED", operation: "invokeOnShard" });
    const port = callee;
    assert.ok(port !== undefined);
    const [{ call }] = (await once(port, "message")) as [{ call: number }];
    port.postMessage({ call, value: "nobody waits for it" });
    // There is room for one when the answer has come.
    let answered: Promise<unknown> | undefined;
    while (answered === undefined) {
      await new Promise((resolve) => setImmediate(resolve));
      const attempt = another();
      const isRefused = await Promise.race([
        attempt.then(
          () => false,
          () => true,
        ),
        new Promise((resolve) => setImmediate(() => resolve(false))),
      ]);
      if (isRefused === false) answered = attempt;
    }
    await assert.rejects(another(), { code: "ERR_RINGLOOM_OVERLOADED" });
    port.postMessage({ call: CALLS_MAX, value: "the last one" });
    assert.equal(await answered, "the last one");
    calls.close();
    port.close();
  });
});

// The ports of lines keep no thread alive.
const alive = setInterval(() => undefined, 1_000);
after(() => clearInterval(alive));

/** Shards that live on this thread. */
function shardsHere(count: number, options: { readonly closesIdleLines?: boolean } = {}) {
  const ports: MessagePort[][] = Array.from({ length: count }, () => []);
  const callees = Array.from({ length: count }, () => new ShardCallee());
  const calls = new ShardCalls(
    count,
    (shard, port) => {
      ports[shard]?.push(port);
      callees[shard]?.accept(port);
    },
    options,
  );
  return { calls, ports };
}

/** Runs until the function that `release` belongs to is told to go on. */
const held: { readonly release: () => void; readonly signal: AbortSignal }[] = [];
shardFunction("held", () => {
  const signal = callSignal();
  return new Promise<string>((resolve) => held.push({ signal, release: () => resolve("released") }));
});
shardFunction("late", async () => {
  await undefined;
  return callSignal().aborted;
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

describe("ShardCalls.invoke() with least-pending", () => {
  it("spreads what waits, and goes where the fewest wait", async () => {
    const { calls } = shardsHere(3);
    held.length = 0;
    const any = { shard: "least-pending", timeoutMs: 0 } as const;
    const waiting = Array.from({ length: 6 }, () => calls.invoke("held", any, []));
    assert.deepEqual(calls.pending(), [2, 2, 2]);
    waiting.push(calls.invoke("held", { ...any, shard: 1 }, []), calls.invoke("held", { ...any, preferred: 2 }, []));
    assert.deepEqual(calls.pending(), [2, 3, 3]);
    waiting.push(calls.invoke("held", { ...any, preferred: 2 }, []));
    assert.deepEqual(calls.pending(), [3, 3, 3]);
    await until(() => held.length === 9);
    for (const { release } of held) release();
    assert.deepEqual([...new Set(await Promise.all(waiting))], ["released"]);
    assert.deepEqual(calls.pending(), [0, 0, 0]);
    calls.close();
  });

  it("leaves out a shard that is gone, and refuses what is no choice", async () => {
    const { calls, ports } = shardsHere(2);
    held.length = 0;
    const any = { shard: "least-pending", timeoutMs: 0 } as const;
    const first = calls.invoke("held", { ...any, preferred: 0 }, []);
    await until(() => held.length === 1);
    ports[0]?.[0]?.close();
    await assert.rejects(first, { code: "ERR_RINGLOOM_THREAD_LOST" });
    const others = [calls.invoke("held", any, []), calls.invoke("held", any, [])];
    assert.deepEqual(calls.pending(), [0, 2]);
    await until(() => held.length === 3);
    for (const { release } of held) release();
    await Promise.all(others);
    for (const options of [
      { shard: "least-pending", preferred: 2 },
      { shard: 0, preferred: 1 },
      { shard: "most-pending" },
      { shard: 2 },
    ])
      await assert.rejects(calls.invoke("held", options as never, []), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    calls.close();
  });

  it("closes lines that nothing waits on, where the thread asks for it", async () => {
    const { calls, ports } = shardsHere(1, { closesIdleLines: true });
    held.length = 0;
    const call = calls.invoke("held", { shard: 0 }, []);
    await assert.rejects(calls.invoke("held", { shard: 0, timeoutMs: 1 }, []), { code: "ERR_RINGLOOM_TIMEOUT" });
    await until(() => held.length === 2);
    const port = ports[0]?.[0];
    assert.ok(port !== undefined);
    const closed = once(port, "close");
    held[0]?.release();
    await call;
    assert.deepEqual(calls.pending(), [1], "the one that was given up runs there still");
    held[1]?.release();
    await closed;
    assert.deepEqual(calls.pending(), [0]);
    const next = calls.invoke("held", { shard: 0 }, []);
    await until(() => held.length === 3);
    held[2]?.release();
    assert.equal(await next, "released");
    assert.equal(ports[0]?.length, 2);
  });
});

describe("callSignal()", () => {
  it("is aborted when the caller gives up, with the reason's code, and when its thread is gone", async () => {
    const { calls } = shardsHere(1);
    held.length = 0;
    const given = new AbortController();
    const aborted = calls.invoke("held", { shard: 0, signal: given.signal }, []);
    const late = calls.invoke("held", { shard: 0, timeoutMs: 20 }, []);
    const last = calls.invoke("held", { shard: 0, timeoutMs: 0 }, []);
    await until(() => held.length === 3);
    assert.deepEqual(
      held.map(({ signal }) => signal.aborted),
      [false, false, false],
    );
    given.abort();
    await assert.rejects(aborted, { code: "ERR_RINGLOOM_ABORTED" });
    await assert.rejects(late, { code: "ERR_RINGLOOM_TIMEOUT" });
    await until(() => held[0]?.signal.aborted === true && held[1]?.signal.aborted === true);
    assert.equal(held[0]?.signal.reason.code, "ERR_RINGLOOM_ABORTED");
    assert.equal(held[1]?.signal.reason.code, "ERR_RINGLOOM_TIMEOUT");
    assert.equal(held[2]?.signal.aborted, false, "nobody has given that one up");
    calls.close();
    await assert.rejects(last, { code: "ERR_RINGLOOM_THREAD_LOST" });
    await until(() => held[2]?.signal.aborted === true);
    assert.equal(held[2]?.signal.reason.code, "ERR_RINGLOOM_THREAD_LOST");
  });

  it("is a signal that is never aborted outside of a call, and behind its first await", async () => {
    assert.equal(callSignal().aborted, false);
    const { calls } = shardsHere(1);
    assert.equal(await calls.invoke("late", { shard: 0 }, []), false);
    calls.close();
  });
});
