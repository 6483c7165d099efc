import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import type { MessagePort } from "node:worker_threads";
import { CALLS_MAX, ShardCalls } from "./shard-functions.js";

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
