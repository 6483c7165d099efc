import assert from "node:assert/strict";
import { release } from "node:os";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { compareKernelReleases, RING_MESSAGES_RELEASE_MIN } from "../../src/driver/kernel-ladder.js";
import { type ModuleServer, type ServeModuleOptions, serveModule } from "../../src/http/serve-module.js";
import { type ShardMessage, shard } from "../../src/index.js";
import { portSharing } from "../../src/runtime/listeners.js";
import { driversUnderTest } from "../support/drivers.js";

const APP = fileURLToPath(new URL("./fixtures/messages-app.js", import.meta.url));
const SHARDS = 3;
const DEADLINE_MS = 60_000;
const SIZES = { connections: 1_024, receiveSlabMib: 2, writePoolMib: 2 };

/** A running server, and short names for what the tests ask of it. */
class Shards {
  readonly server: ModuleServer;

  constructor(server: ModuleServer) {
    this.server = server;
  }

  call<Result = unknown>(shardNumber: number, name: string, ...args: readonly unknown[]): Promise<Result> {
    const options = { shard: shardNumber, timeoutMs: DEADLINE_MS };
    return this.server.invokeOnShard(name, options, ...args) as Promise<Result>;
  }

  /** Calls until the answer is what is wanted: a successor may not be there yet. */
  async until<Result>(isWanted: (result: Result) => boolean, shardNumber: number, name: string): Promise<Result> {
    const endMs = performance.now() + DEADLINE_MS;
    let found: unknown;
    while (performance.now() < endMs) {
      try {
        const result = await this.call<Result>(shardNumber, name);
        if (isWanted(result)) return result;
        found = result;
      } catch (error) {
        found = error;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(`${name} on shard ${shardNumber} never came to what was waited for: ${JSON.stringify(found)}`);
  }
}

async function withShards(options: ServeModuleOptions, use: (shards: Shards) => Promise<void>): Promise<void> {
  const server = await serveModule(APP, { port: 0, shards: SHARDS, drainMs: 2_000, ...SIZES, ...options });
  try {
    await use(new Shards(server));
  } finally {
    await server.stop();
  }
}

const values = (messages: readonly ShardMessage[]) => messages.map(({ value }) => value);

for (const { name: driver, skip: noDriver } of driversUnderTest) {
  const skip = noDriver !== false ? noDriver : portSharing().isPossible ? false : "several shards need SO_REUSEPORT";
  describe(`messages between shards on the ${driver} driver`, { skip }, () => {
    test("arrive in order, with sender, tag and value, whatever the value is", async () => {
      await withShards({ driver }, async (shards) => {
        await shards.call(1, "collect");
        const sent = [
          0,
          1,
          2 ** 32 - 1,
          -1,
          2 ** 32,
          1.5,
          "text",
          { a: [1, "two", null] },
          undefined,
          /re/g,
          new Map([[1, 2]]),
        ];
        for (const value of sent) await shards.call(0, "send", 1, 9, value);
        await shards.call(2, "sendMany", 1, sent);
        const got = await shards.call<ShardMessage[]>(1, "got");
        assert.deepEqual(values(got), [...sent, ...sent]);
        assert.deepEqual(
          got.map(({ from, tag }) => [from, tag]),
          [...sent.map(() => [0, 9]), ...sent.map((_, index) => [2, index])],
        );
      });
    });

    test("wake a shard that sleeps, again and again", async () => {
      await withShards({ driver, spin: "off" }, async (shards) => {
        await shards.call(1, "echo");
        assert.equal(await shards.call(0, "pingPong", 1, 300), "all came back");
        // Long enough for the loops to be asleep, and nothing but messages to wake them.
        await new Promise((resolve) => setTimeout(resolve, 200));
        assert.equal(await shards.call(0, "pingPong", 1, 20), "all came back");
      });
    });

    test("wake a shard that sleeps directly: from ring to ring where there are rings", async () => {
      await withShards({ driver, spin: "off" }, async (shards) => {
        await shards.call(1, "echo", { direct: true });
        assert.equal(await shards.call(0, "pingPong", 1, 300, { direct: true }), "all came back");
        await new Promise((resolve) => setTimeout(resolve, 200));
        assert.equal(await shards.call(0, "pingPong", 1, 20, { direct: true }), "all came back");
        const { direct, ringMessages } = await shards.call<Record<string, number>>(0, "figures");
        const tellsRings = driver === "uring" && compareKernelReleases(release(), RING_MESSAGES_RELEASE_MIN) >= 0;
        assert.deepEqual([direct, ringMessages], [320, tellsRings ? 320 : 0]);
        // The ring of a thread that is gone tells nobody, and nothing is lost by it.
        await assert.rejects(shards.call(1, "exit"));
        await shards.until<number[]>(() => true, 1, "who");
        await shards.call(1, "echo", { direct: true });
        assert.equal(await shards.call(0, "pingPong", 1, 20, { direct: true }), "all came back");
      });
    });

    test("arrive once each, in order for each pair, when three shards send to each other at once", async () => {
      const perPair = 20_000;
      await withShards({ driver, messagesMax: 64 }, async (shards) => {
        const results = await Promise.all(
          Array.from({ length: SHARDS }, (_, number) =>
            shards.call<{ problems: string[]; got: number[] }>(number, "storm", perPair),
          ),
        );
        for (const [number, { problems, got }] of results.entries()) {
          assert.deepEqual(problems, []);
          assert.deepEqual(
            got,
            got.map((_, from) => (from === number ? 0 : perPair)),
          );
        }
        const figures = await shards.call<Record<string, number>>(0, "figures");
        assert.equal(figures.sent, (SHARDS - 1) * perPair);
        assert.equal(figures.received, (SHARDS - 1) * perPair);
        assert.ok((figures.doorbells ?? 0) > 0 && (figures.doorbells ?? 0) <= 2 * (SHARDS - 1) * perPair);
      });
    });

    test("reject with what is wrong when the receiver dies, and reach its successor afterwards", async () => {
      await withShards({ driver }, async (shards) => {
        // Nobody takes these.
        await shards.call(0, "sendTickets", 1, 5, { some: "value" });
        assert.deepEqual(await shards.call(0, "outcomes"), []);
        await assert.rejects(shards.call(1, "exit"), { code: "ERR_RINGLOOM_THREAD_LOST" });
        const outcomes = await shards.until<string[]>((found) => found.length === 5, 0, "outcomes");
        assert.deepEqual(new Set(outcomes), new Set(["ERR_RINGLOOM_THREAD_LOST"]));
        await shards.until<number[]>(() => true, 1, "who");
        await shards.call(1, "collect");
        await shards.call(0, "send", 1, 2, "to the successor");
        assert.deepEqual(await shards.call(1, "got"), [{ from: 0, tag: 2, value: "to the successor" }]);
        const figures = await shards.call<Record<string, number>>(0, "figures");
        assert.equal(figures.failed, 6);
      });
    });

    test("of a sender that dies are whole and delivered, and its successor goes on behind them", async () => {
      await withShards({ driver }, async (shards) => {
        await shards.call(0, "sendTickets", 1, 5, { from: "the first" });
        await assert.rejects(shards.call(0, "exit"), { code: "ERR_RINGLOOM_THREAD_LOST" });
        await shards.until<number[]>(() => true, 0, "who");
        for (let count = 0; count < 5; count++)
          await shards.call(0, "sendNoWait", 1, 100, { from: "the second", count });
        await shards.call(1, "collect");
        const got = await shards.until<ShardMessage[]>((found) => found.length === 11, 1, "got");
        assert.deepEqual(
          values(got.slice(6)),
          Array.from({ length: 5 }, (_, count) => ({ from: "the second", count })),
        );
        assert.deepEqual(
          new Set(values(got.slice(0, 6)).map((value) => JSON.stringify(value))),
          new Set(['{"from":"the first"}']),
        );
      });
    });

    test("go to the new thread of a rolling restart, none lost and none twice", async () => {
      await withShards({ driver }, async (shards) => {
        for (let index = 0; index < 10; index++) await shards.call(0, "sendNoWait", 1, index, "before");
        for (let index = 0; index < 10; index++) {
          await shards.call(0, "sendNoWait", 1, index, "hot", { hot: true, direct: true });
        }
        const report = await shards.server.restart();
        assert.equal(report.shards, SHARDS);
        await shards.call(1, "collect");
        for (let index = 0; index < 10; index++) await shards.call(0, "send", 1, index, "after");
        const got = await shards.until<ShardMessage[]>(({ length }) => length === 30, 1, "got");
        // Two threads have sent, and by two lanes, so the order is that of each.
        for (const phase of ["before", "hot", "after"]) {
          const tags = got.filter(({ value }) => value === phase).map(({ tag }) => tag);
          assert.deepEqual(
            tags,
            Array.from({ length: 10 }, (_, index) => index),
            phase,
          );
        }
      });
    });
  });
}

const skip = portSharing().isPossible ? false : "several shards need SO_REUSEPORT";

describe("messages between shards", { skip }, () => {
  test("are refused with a typed error when the lane or the memory for values is full, and pass again when there is room", async () => {
    await withShards({ messagesMax: 8 }, async (shards) => {
      assert.deepEqual(await shards.call(0, "fill", 1, 5), [8, "ERR_RINGLOOM_OVERLOADED"]);
      await assert.rejects(
        shards.call(0, "sendMany", 2, new Array(9).fill(1)),
        (error: Error & { cause: { code: string } }) => error.cause.code === "ERR_RINGLOOM_OVERLOADED",
      );
      assert.deepEqual(await shards.call(2, "gotCount"), 0, "none of them was sent");
      await shards.call(1, "collect");
      await shards.until<number>((count) => count === 8, 1, "gotCount");
      await shards.call(0, "send", 1, 1, 6);
      assert.deepEqual(values(await shards.call<ShardMessage[]>(1, "got")), [...new Array<number>(8).fill(5), 6]);
      const figures = await shards.call<Record<string, number>>(0, "figures");
      assert.equal(figures.backpressured, 1 + 9);
    });
    await withShards({ messagesMax: 1_024 }, async (shards) => {
      const large = "x".repeat(200_000);
      const [count, code] = await shards.call<[number, string]>(0, "fill", 1, large);
      assert.equal(code, "ERR_RINGLOOM_OVERLOADED");
      assert.ok(count >= 8 && count < 1_024, `${count} fitted`);
      await shards.call(1, "collect");
      await shards.until<number>((found) => found === count, 1, "gotCount");
      await shards.call(0, "send", 1, 1, large);
      assert.equal(await shards.call(1, "gotCount"), count + 1);
      // Everything was given back: as many fit again.
      await shards.call(1, "stopCollecting");
      assert.deepEqual(await shards.call(0, "fill", 1, large), [count, code]);
    });
  });

  test("of which one is sent by a getter of another are whole, and none is lost without an error", async () => {
    await withShards({ messagesMax: 4 }, async (shards) => {
      const full = "ERR_RINGLOOM_OVERLOADED";
      assert.deepEqual(await shards.call(0, "sendFromGetter", 1), ["sent", "sent", "sent", "sent", full, full]);
      await shards.call(1, "collect");
      const got = await shards.until<ShardMessage[]>((found) => found.length === 4, 1, "got");
      assert.deepEqual(
        values(got),
        [0, 1, 2, 3].map((inner) => ({ inner })),
      );
      await shards.call(1, "stopCollecting");
      await shards.call(0, "fill", 1, 1);
    });
  });

  test("are refused with a typed error where shard, tag, value or amount cannot be", async () => {
    await withShards({}, async (shards) => {
      const option = "ERR_RINGLOOM_INVALID_OPTION";
      const value = "ERR_RINGLOOM_NOT_CLONEABLE";
      const large = "ERR_RINGLOOM_UNSUPPORTED";
      assert.deepEqual(await shards.call(0, "refusals"), [
        option,
        option,
        option,
        option,
        option,
        value,
        value,
        value,
        large,
        option,
        option,
        option,
        option,
      ]);
    });
    for (const use of [() => shard.number, () => shard.sendNoWait(0, 1), () => shard.tryTakeHotCount(1)]) {
      assert.throws(use, { code: "ERR_RINGLOOM_WRONG_THREAD" });
    }
    await assert.rejects(shard.send(0, 1), { code: "ERR_RINGLOOM_WRONG_THREAD" });
    await assert.rejects(shard.nextEvent(), { code: "ERR_RINGLOOM_WRONG_THREAD" });
    await assert.rejects(shard.nextEvents(), { code: "ERR_RINGLOOM_WRONG_THREAD" });
    assert.throws(() => shard.tryNextEvents(), { code: "ERR_RINGLOOM_WRONG_THREAD" });
  });

  test("wait in the lane until somebody asks for them: nextEvent() in turn, messages() one by one", async () => {
    await withShards({}, async (shards) => {
      for (const value of ["a", "b", "c", "d", "e"]) await shards.call(0, "sendNoWait", 1, 1, value);
      assert.deepEqual(values([await shards.call(1, "next"), await shards.call(1, "next")]), ["a", "b"]);
      assert.deepEqual(await shards.call(1, "iterate", 3), ["c", "d", "e"]);
      assert.equal(await shards.call(1, "nextAborted"), "ERR_RINGLOOM_ABORTED");
      assert.deepEqual(await shards.call(2, "waitOften", 10_002), [
        "ERR_RINGLOOM_OVERLOADED",
        "ERR_RINGLOOM_OVERLOADED",
      ]);
      // The one that was given up takes nothing away.
      await shards.call(0, "sendNoWait", 1, 1, "f");
      assert.deepEqual(values([await shards.call(1, "next")]), ["f"]);
    });
  });

  test("that are there come together from nextEvents() and tryNextEvents(), each once and in order, and their tickets with them", async () => {
    await withShards({ messagesMax: 64 }, async (shards) => {
      const sent = Array.from({ length: 50 }, (_, index) => (index % 3 === 0 ? { index } : index));
      const ticket = shards.call(0, "sendMany", 1, sent);
      await shards.until<number>((count) => count >= 50, 0, "sentCount");
      await shards.call(2, "sendNoWait", 1, 9, "other");
      const first = await shards.call<ShardMessage[]>(1, "nextMany", 7);
      assert.equal(first.length, 7);
      const rest = await shards.call<ShardMessage[]>(1, "nextMany");
      assert.equal(rest.length, 44, "all of the others");
      await ticket;
      const all = [...first, ...rest];
      assert.deepEqual(values(all.filter(({ from }) => from === 0)), sent);
      assert.deepEqual(values(all.filter(({ from }) => from === 2)), ["other"]);
      assert.ok(all.findIndex(({ from }) => from === 2) <= 17, "no more than 16 in a row from one sender");
      assert.deepEqual(await shards.call(1, "takeMany"), []);
      // The cells are the sender's again.
      await Promise.all([shards.call(0, "sendMany", 1, sent), shards.call(1, "nextMany", 50)]);
      await shards.call(1, "takeMany");
    });
  });

  test("go to those that wait for one or for several in their turn", async () => {
    await withShards({}, async (shards) => {
      const waited = shards.call<{ outcome: string; values: unknown[][] }>(1, "waitInTurn");
      for (let value = 0; value < 4; value++) {
        await new Promise((resolve) => setTimeout(resolve, value === 0 ? 100 : 20));
        await shards.call(0, "sendNoWait", 1, 1, value);
      }
      const { outcome, values: got } = await waited;
      assert.equal(outcome, "ERR_RINGLOOM_ABORTED");
      assert.ok(
        got.every((batch) => batch.length > 0),
        "nobody gets nothing",
      );
      assert.deepEqual(got.flat(), [0, 1, 2, 3].slice(0, got.flat().length), "the first waits first");
      await new Promise((resolve) => setTimeout(resolve, 20));
      const late = await shards.call<ShardMessage[]>(1, "takeMany");
      assert.deepEqual([...got.flat(), ...values(late)], [0, 1, 2, 3], "none is lost");
    });
  });

  test("that never end leave the event loop its turn, in batches too, and batches of no size are refused", async () => {
    await withShards({}, async (shards) => {
      const most = await shards.call<number>(1, "longestBatches", 4_000, 100);
      assert.ok(most < 1_000, `${most} messages in one turn`);
      const refusals = await shards.call<string[]>(2, "batchRefusals");
      assert.deepEqual(refusals, new Array<string>(12).fill("ERR_RINGLOOM_INVALID_OPTION"));
    });
  });

  test("flush() resolves when all shards have taken what was sent before, and not earlier", async () => {
    await withShards({}, async (shards) => {
      await shards.call(0, "flush");
      for (const to of [1, 2]) await shards.call(0, "sendNoWait", to, 1, { to });
      let isFlushed = false;
      const flushed = shards.call(0, "flush").then(() => (isFlushed = true));
      await shards.call(1, "collect");
      await shards.until<number>((count) => count === 1, 1, "gotCount");
      assert.equal(isFlushed, false, "shard 2 has taken nothing");
      await shards.call(2, "collect");
      await flushed;
      assert.equal(await shards.call(2, "gotCount"), 1);
      // What was lost without anybody waiting for it is known to the next flush, and to that one alone.
      await shards.call(2, "stopCollecting");
      await shards.call(0, "sendNoWait", 2, 1, 1);
      shards.server.terminateShard(2);
      await shards.until<number[]>(() => shards.server.health.shards[2]?.generation === 2, 2, "who");
      await assert.rejects(
        shards.call(0, "flush"),
        (error: Error & { cause: { code: string } }) => error.cause.code === "ERR_RINGLOOM_THREAD_LOST",
      );
      await shards.call(0, "flush");
    });
  });

  test("flush() without a message in between is one flush, and so many wait and no more", async () => {
    await withShards({}, async (shards) => {
      await shards.call(2, "collect");
      await shards.call(0, "sendNoWait", 1, 1, 1);
      assert.equal(await shards.call(0, "flushOften", 5_000), 0);
      // The one that waits already is the first of 1,024.
      assert.deepEqual(await shards.call(0, "floodFlushes", 1, 2), ["ERR_RINGLOOM_OVERLOADED", 1_023]);
      await shards.call(1, "collect");
      assert.equal(await shards.call(0, "flushed"), 1_023);
      await shards.call(0, "flush");
    });
  });

  test("from an iterable without an end are refused when the lane is full, and nothing was sent", async () => {
    await withShards({ messagesMax: 64 }, async (shards) => {
      await shards.call(0, "sendNoWait", 1, 1, "before");
      assert.deepEqual(await shards.call(0, "sendEndless", 1), ["ERR_RINGLOOM_OVERLOADED", 64, true]);
      await shards.call(1, "collect");
      assert.deepEqual(values(await shards.until<ShardMessage[]>(({ length }) => length > 0, 1, "got")), ["before"]);
      await shards.call(0, "flush");
      // All values were given back: as many fit as ever.
      await shards.call(1, "stopCollecting");
      assert.deepEqual(await shards.call(0, "fill", 1, "x".repeat(20_000)), [64, "ERR_RINGLOOM_OVERLOADED"]);
    });
  });

  test("that are hot have a lane of their own: it holds up no other, and they come in their order", async () => {
    await withShards({ messagesMax: 32 }, async (shards) => {
      assert.deepEqual(await shards.call(0, "fillHot", 1), [32, "ERR_RINGLOOM_OVERLOADED"]);
      for (const value of ["a", "b", "c"]) await shards.call(0, "sendNoWait", 1, 1, value);
      const first = await shards.call<ShardMessage[]>(1, "takeNow", 20);
      assert.deepEqual(
        values(first.filter(({ tag }) => tag === 1)),
        ["a", "b", "c"],
        "they are not behind all of the hot ones",
      );
      const hot = [...first, ...(await shards.call<ShardMessage[]>(1, "takeNow", 100))].filter(({ tag }) => tag === 2);
      assert.deepEqual(
        values(hot),
        Array.from({ length: 32 }, (_, n) => ({ n })),
      );
      await shards.call(0, "flush");
      const figures = await shards.call<Record<string, number>>(0, "figures");
      assert.equal(figures.hotSent, 32);
      // A ticket of a hot message that nobody has taken when the receiver dies.
      const lost = shards.call<string>(0, "hotTicket", 1);
      await shards.until<number>((sent) => sent >= 36, 0, "sentCount");
      await assert.rejects(shards.call(1, "exit"));
      assert.equal(await lost, "ERR_RINGLOOM_THREAD_LOST");
    });
  });

  test("run in an async context each, and a bounded number in one turn", async () => {
    await withShards({}, async (shards) => {
      const count = 5;
      const seen = await shards.call<unknown[]>(0, "contexts", count);
      const before = seen.filter((_, index) => seen.indexOf(undefined) <= index && seen[index] === undefined);
      assert.equal(before.length, count, `each handler began with an empty store: ${JSON.stringify(seen)}`);
      const most = await shards.call<number>(1, "longestTurn", 1_000);
      assert.ok(most < 1_000, `${most} messages in one turn`);
      const iterated = await shards.call<number>(2, "longestIteration", 1_000);
      assert.ok(iterated < 1_000, `${iterated} messages in one turn`);
    });
  });

  test("that a handler throws on are uncaught exceptions of that shard", async () => {
    await withShards({}, async (shards) => {
      await shards.call(1, "throwInHandler");
      await shards.call(0, "sendNoWait", 1, 1, 1);
      await shards.until<number[]>(() => shards.server.health.shards[1]?.generation === 2, 1, "who");
    });
  });

  test("that nobody takes do not hold up a stop, and no ticket is left unsettled", async () => {
    const server = await serveModule(APP, { port: 0, shards: 2, drainMs: 1_000, ...SIZES });
    const shards = new Shards(server);
    const flushing = shards.call(0, "sendAndReport", 1).catch((error: { code: string }) => error.code);
    const waiting = shards.call(0, "next").catch((error: { cause: { code: string } }) => error.cause.code);
    await shards.until<number>((sent) => sent > 0, 0, "sentCount");
    const report = await server.stop();
    assert.equal(report.exitCode, 0);
    assert.deepEqual(report.failures, []);
    // The calls came by another way, which may have ended first.
    for (const outcome of [await flushing, await waiting]) {
      assert.ok(
        ["ERR_RINGLOOM_CLOSED", "ERR_RINGLOOM_THREAD_LOST", undefined].includes(outcome as string),
        `${outcome}`,
      );
    }
  });

  test("that are sent while the modules load are there when the receiver asks", async () => {
    process.env.RINGLOOM_TEST_LOADING = "1";
    try {
      await withShards({}, async (shards) => {
        for (let number = 0; number < SHARDS; number++) {
          const from = (number + SHARDS - 1) % SHARDS;
          assert.deepEqual(await shards.call(number, "next"), { from, tag: 7, value: { loaded: from } });
        }
      });
    } finally {
      delete process.env.RINGLOOM_TEST_LOADING;
    }
  });

  test("work without a scheduler, and with libuv's own loop", async () => {
    for (const options of [{ compute: 0 }, { loop: "uv" }] as const) {
      await withShards({ ...options, spin: "off" }, async (shards) => {
        await shards.call(1, "echo");
        assert.equal(await shards.call(0, "pingPong", 1, 100), "all came back");
      });
    }
  });
});

describe("messages through a shard that is killed again and again", { skip }, () => {
  for (const { name: driver, skip: noDriver } of driversUnderTest) {
    test(`come whole, in order and once on the ${driver} driver, and every ticket is settled`, {
      skip: noDriver,
    }, async () => {
      process.env.RINGLOOM_TEST_CHAIN = "1";
      try {
        await withShards({ driver, restartsMax: 100, restartBackoffMs: 0, messagesMax: 256 }, async (shards) => {
          await shards.call(2, "chainEnd");
          const sending = shards.call<Record<string, unknown> & { sent: number; other: string[] }>(0, "chainStart");
          for (let kill = 1; kill <= 5; kill++) {
            const before = await shards.call<number>(2, "chainLength");
            await shards.until<number>((length) => length > before + 200, 2, "chainLength");
            shards.server.terminateShard(1);
            // Not before it serves: its messages flow earlier, and a thread that is only starting cannot be terminated.
            const isBack = (): boolean => {
              const { generation, condition } = shards.server.health.shards[1] ?? {};
              return generation === kill + 1 && condition === "serving";
            };
            await shards.until<number[]>(isBack, 1, "who");
          }
          await shards.call(0, "chainStop");
          const { sent, taken, refused, lost, other } = await sending;
          assert.deepEqual(other, []);
          assert.equal(sent, (taken as number) + (refused as number) + (lost as number), "each ticket is settled once");
          assert.ok((lost as number) > 0, "something was under way at a death");
          const { links, broken } = await shards.call<{ links: number[]; broken: unknown[] }>(2, "chainLinks");
          assert.deepEqual(broken, []);
          assert.deepEqual(
            links.filter((link, index) => index > 0 && link <= links[index - 1]!),
            [],
            "in order, and none twice",
          );
          assert.ok(links.length <= sent);
        });
      } finally {
        delete process.env.RINGLOOM_TEST_CHAIN;
      }
    });
  }
});

describe("hot counts", { skip }, () => {
  test("add up over senders and batches, beyond 32 bits", async () => {
    await withShards({ hotThreshold: 1_000_000 }, async (shards) => {
      const first = shards.call<bigint>(2, "nextHot", 3);
      await shards.call(0, "addHot", 2, 3, [1]);
      assert.equal(await first, 1n, "the first update waits for no threshold");
      const amounts = new Array<number>(1_000).fill(3);
      const most = 2 ** 32 - 1;
      const total = BigInt(most) * 4n + 6_000n;
      const sum = shards.call<bigint>(2, "sumHot", 3, total);
      await Promise.all([
        shards.call(0, "addHot", 2, 3, [...amounts, most, most]),
        shards.call(1, "addHot", 2, 3, [most, ...amounts, most]),
      ]);
      assert.equal(await sum, total);
      assert.equal(await shards.call(2, "tryHot", 3), undefined);
      await shards.call(0, "addHot", 0, 31, [5, 6]);
      assert.equal(await shards.call(0, "tryHot", 31), 11n, "to itself");
    });
  });

  test("of a receiver that dies or is restarted stay for its successor", async () => {
    await withShards({}, async (shards) => {
      await shards.call(0, "addHot", 1, 4, [10]);
      await assert.rejects(shards.call(1, "exit"));
      await shards.until<number[]>(() => true, 1, "who");
      await shards.call(0, "addHot", 1, 4, [1]);
      const sum = await shards.call<bigint>(1, "nextHot", 4);
      assert.ok(sum === 11n || sum === 1n, `${sum}`);
      await shards.call(0, "addHot", 1, 4, [20]);
      await shards.server.restart();
      await shards.call(0, "addHot", 1, 4, [1]);
      assert.equal(await shards.call(1, "sumHot", 4, 21n), 21n);
    });
  });
});
