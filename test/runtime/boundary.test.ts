import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { MessageChannel, Worker } from "node:worker_threads";
import { type Boundary, boundary } from "../../src/index.js";
import type { Ask } from "./fixtures/boundary-thread.js";

const THREAD = new URL("./fixtures/boundary-thread.js", import.meta.url);

async function withThread(
  options: Parameters<typeof boundary>[0],
  use: (end: Boundary<Ask, unknown>, thread: Worker) => Promise<void>,
): Promise<void> {
  const end = boundary<Ask, unknown>(options);
  assert.ok(end.port);
  const thread = new Worker(THREAD, { workerData: end.port, transferList: [end.port] });
  thread.on("error", () => undefined);
  try {
    await use(end, thread);
  } finally {
    end.close();
    await thread.terminate();
  }
}

/** Waits until `holds`, for as long as the test runner lets it. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(5);
}

describe("boundary()", () => {
  test("Boundary.call() crosses threads in both directions, and SharedArrayBuffers by reference", async () => {
    await withThread({}, async (end) => {
      const shared = new Int32Array(new SharedArrayBuffer(4));
      const back = (await end.call({ kind: "echo", value: { shared, list: [1, "a"] } })) as {
        shared: Int32Array;
        list: unknown;
      };
      Atomics.store(shared, 0, 7);
      assert.equal(back.shared[0], 7);
      assert.deepEqual(back.list, [1, "a"]);
    });
    const near = boundary<number, number>();
    const far = boundary<number, number>({ port: near.port! });
    near.serve((n) => n + 1);
    far.serve((n) => n * 2);
    assert.deepEqual(await Promise.all([near.call(20), far.call(20)]), [40, 21]);
    far.close();
    await near.closed;
  });

  test("Boundary.call() rejects with what the handler threw, or what could not be cloned", async () => {
    await withThread({}, async (end) => {
      await assert.rejects(
        end.call({ kind: "fail" }),
        (error: Error & { code: string; cause: Error & { code: string } }) => {
          assert.equal(error.code, "ERR_RINGLOOM_CALL_FAILED");
          assert.ok(error.cause instanceof TypeError);
          assert.equal(error.cause.code, "E_THERE");
          assert.match(String(error.cause.stack), /boundary-thread/);
          return true;
        },
      );
      await assert.rejects(end.call({ kind: "uncloneable" }), { code: "ERR_RINGLOOM_NOT_CLONEABLE" });
      await assert.rejects(end.call({ kind: "echo", value: () => 1 }), { code: "ERR_RINGLOOM_NOT_CLONEABLE" });
      assert.equal(await end.call({ kind: "echo", value: 1 }), 1);
      assert.equal(end.stats.inFlight, 0);
    });
  });

  test("Boundary.call() passes its deadline on, and rejects when it is over", async () => {
    await withThread({ timeoutMs: 60_000 }, async (end) => {
      const deadline = Date.now() + 20_000;
      const time = (await end.call({ kind: "time" }, { deadline })) as { remainingMs: number; deadline: number };
      assert.ok(time.remainingMs > 0 && time.remainingMs <= 20_000, `${time.remainingMs} ms`);
      assert.ok(Math.abs(time.deadline - deadline) < 5, "the clock is the same");
      const free = (await end.call({ kind: "time" }, { timeoutMs: 0 })) as { remainingMs: number; deadline: undefined };
      assert.deepEqual(free, { remainingMs: Number.POSITIVE_INFINITY, deadline: undefined });
      await assert.rejects(end.call({ kind: "sleep", ms: 60_000, heedsSignal: true }, { timeoutMs: 30 }), {
        code: "ERR_RINGLOOM_TIMEOUT",
      });
      // The handler has heard of it by itself, and its answer is dropped if it came behind the caller's own timer.
      await until(() => end.stats.inFlight === 0);
      const { dropped } = end.stats;
      assert.ok(dropped <= 1);
      assert.equal(await end.call({ kind: "aborted" }), 1);
      await assert.rejects(end.call({ kind: "time" }, { deadline: Date.now() - 1 }), { code: "ERR_RINGLOOM_TIMEOUT" });
      assert.equal(end.stats.dropped, dropped, "it was not even asked");
    });
  });

  test("Boundary.call() drops the answer of a call that was given up, and its room comes back only then", async () => {
    await withThread({ capacity: 1 }, async (end) => {
      const controller = new AbortController();
      const call = end.call({ kind: "sleep", ms: 300, heedsSignal: false }, { signal: controller.signal });
      controller.abort(new Error("enough"));
      await assert.rejects(call, (error: Error & { code: string; cause: Error }) => {
        assert.equal(error.code, "ERR_RINGLOOM_ABORTED");
        assert.equal(error.cause.message, "enough");
        return true;
      });
      assert.equal(end.stats.inFlight, 1, "its handler still runs");
      await assert.rejects(end.tryCall({ kind: "time" }), { code: "ERR_RINGLOOM_OVERLOADED" });
      assert.equal(await end.call({ kind: "echo", value: "next" }), "next");
      assert.deepEqual(end.stats, { inFlight: 0, waiting: 0, running: 0, dropped: 1 });
      await assert.rejects(end.call({ kind: "time" }, { signal: AbortSignal.abort() }), {
        code: "ERR_RINGLOOM_ABORTED",
      });
    });
  });

  test("Boundary.call() waits for room in order, as many as may wait, and a waiter that gives up is forgotten", async () => {
    await withThread({ capacity: 1, waiting: 2 }, async (end) => {
      const controller = new AbortController();
      const slow = end.call({ kind: "sleep", ms: 60_000, heedsSignal: true }, { signal: controller.signal });
      const held = { n: 1 };
      const first = end.call({ kind: "echo", value: held });
      held.n = 2;
      const second = end.call({ kind: "sleep", ms: 1, heedsSignal: true }, { timeoutMs: 20 });
      assert.equal(end.stats.waiting, 2);
      await assert.rejects(end.call({ kind: "time" }), { code: "ERR_RINGLOOM_OVERLOADED" });
      await assert.rejects(second, { code: "ERR_RINGLOOM_TIMEOUT" });
      assert.equal(end.stats.waiting, 1);
      controller.abort();
      await assert.rejects(slow, { code: "ERR_RINGLOOM_ABORTED" });
      assert.deepEqual(await first, { n: 1 }, "the value is that of the call");
      assert.deepEqual(end.stats, { inFlight: 0, waiting: 0, running: 0, dropped: 1 });
    });
  });

  test("Boundary.serve() refuses what is above its own capacity", async () => {
    await withThread({ capacity: 100 }, async (end) => {
      const calls = Array.from({ length: 6 }, () => end.call({ kind: "sleep", ms: 500, heedsSignal: false }));
      const results = await Promise.allSettled(calls);
      const codes = results.map((result) => (result.status === "rejected" ? result.reason.code : result.value));
      assert.deepEqual(codes, [...Array(4).fill("slept"), ...Array(2).fill("ERR_RINGLOOM_OVERLOADED")]);
    });
  });

  test("Boundary.serve() gives each call an async context of its own", async () => {
    await withThread({}, async (end) => {
      await end.call({ kind: "enter" });
      assert.equal(await end.call({ kind: "left" }), "nothing");
    });
  });

  test("Boundary.call() rejects when the other thread ends, and so do those that wait", async () => {
    await withThread({ capacity: 2 }, async (end) => {
      const calls = [
        end.call({ kind: "sleep", ms: 60_000, heedsSignal: true }, { timeoutMs: 0 }),
        end.call({ kind: "exit" }, { timeoutMs: 0 }),
        end.call({ kind: "time" }, { timeoutMs: 0 }),
      ];
      for (const call of calls) await assert.rejects(call, { code: "ERR_RINGLOOM_CLOSED" });
      await end.closed;
      await assert.rejects(end.call({ kind: "time" }), { code: "ERR_RINGLOOM_CLOSED" });
      assert.deepEqual(end.stats, { inFlight: 0, waiting: 0, running: 0, dropped: 0 });
    });
  });

  test("Boundary.close() aborts the handlers of the other side", async () => {
    const near = boundary<string, string>();
    const far = boundary<string, string>({ port: near.port! });
    const heard = new Promise<{ code: string }>((resolve) => {
      far.serve((_, { signal }) => {
        signal.addEventListener("abort", () => resolve(signal.reason));
        return new Promise(() => undefined);
      });
    });
    const call = near.call("x");
    await until(() => far.stats.running === 1);
    near.close();
    await assert.rejects(call, { code: "ERR_RINGLOOM_CLOSED" });
    assert.equal((await heard).code, "ERR_RINGLOOM_CLOSED");
    assert.equal(far.stats.running, 0);
  });

  test("Boundary.call() waits for a side that does not serve yet, and is not begun when it was given up before", async () => {
    const near = boundary<string, string>();
    const far = boundary<string, string>({ port: near.port! });
    const controller = new AbortController();
    const kept = near.call("kept");
    const gone = near.call("gone", { signal: controller.signal });
    await until(() => far.stats.running === 2);
    controller.abort();
    await assert.rejects(gone, { code: "ERR_RINGLOOM_ABORTED" });
    await until(() => far.stats.running === 1);
    const served: string[] = [];
    far.serve((value) => {
      served.push(value);
      return value;
    });
    assert.equal(await kept, "kept");
    assert.deepEqual(served, ["kept"]);
    near.close();
    await far.closed;
  });

  test("boundary() rejects bad options, and serve() a second handler", () => {
    for (const options of [
      { capacity: 0 },
      { capacity: 1.5 },
      { waiting: -1 },
      { timeoutMs: Number.NaN },
      { port: {} },
      { size: 1 },
    ]) {
      assert.throws(() => boundary(options as never), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    }
    const { port1, port2 } = new MessageChannel();
    const end = boundary({ port: port1 });
    assert.equal(end.port, undefined);
    end.serve(() => 1);
    assert.throws(() => end.serve(() => 2), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    assert.throws(() => boundary({ port: port2 }).serve(1 as never), TypeError);
    end.close();
  });

  test("Boundary.call() rejects bad options", async () => {
    const end = boundary();
    await assert.rejects(end.call(1, { timeoutMs: -1 }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    await assert.rejects(end.call(1, { deadline: Number.NaN }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    end.close();
  });
});
