/** What a server promises of its tasks, in each topology alike; and which threads run them, in which the topologies differ. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type ModuleServer, type ServeModuleOptions, serveModule } from "../../src/http/serve-module.js";
import { portSharing } from "../../src/runtime/listeners.js";
import type { RuntimeStats } from "../../src/runtime/stats.js";
import type { Placement } from "../../src/scheduler/placement.js";
import { TOPOLOGIES, type Topology } from "../../src/scheduler/topology.js";
import { driversUnderTest } from "../support/drivers.js";

const APP = new URL("./fixtures/topology-app.js", import.meta.url);
const SHARDS = portSharing().isPossible ? 2 : 1;
const SMALL = {
  port: 0,
  shards: SHARDS,
  connections: 1_024,
  receiveSlabMib: 2,
  writePoolMib: 2,
  logLevel: "silent",
} as const;
const folder = mkdtempSync(join(tmpdir(), "ringloom-topologies-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Compute threads, where there are some. */
function threadsOf(topology: Topology): Pick<ServeModuleOptions, "topology" | "compute"> {
  return topology === "io+compute" ? { topology, compute: 2 } : { topology };
}

async function withServer(options: ServeModuleOptions, use: (server: ModuleServer) => Promise<void>): Promise<void> {
  const server = await serveModule(APP, { ...SMALL, ...options });
  try {
    await use(server);
  } finally {
    await server.stop();
  }
}

async function get(url: string): Promise<unknown> {
  const response = await fetch(url, { headers: { connection: "close" } });
  return await response.json();
}

function call(server: ModuleServer, shard: number, name: string, ...args: unknown[]): Promise<unknown> {
  return server.invokeOnShard(name, { shard, timeoutMs: 0 }, ...args);
}

function statsOf(server: ModuleServer): Promise<RuntimeStats> {
  return call(server, 0, "stats") as Promise<RuntimeStats>;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolves when `isTrue`, or fails after 20 seconds. */
async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isTrue()); tries++) {
    assert.ok(tries < 1000, what);
    await sleep(20);
  }
}

function isAtRest({ shards }: RuntimeStats): boolean {
  return shards.every(({ tasks }) => tasks.inFlight === 0);
}

for (const topology of TOPOLOGIES) {
  for (const { name: driver, skip } of driversUnderTest) {
    test(
      `tasks under ${topology} on the ${driver} driver answer the requests that spawned them, and leave nothing in flight`,
      {
        skip,
      },
      () =>
        withServer({ ...threadsOf(topology), driver }, async (server) => {
          for (let round = 0; round < 3; round++) {
            const sums = Array.from({ length: 20 }, (_, n) => get(`${server.url}/add/${n}/${round}`));
            const trees = Array.from({ length: 4 }, () => get(`${server.url}/tree`));
            assert.deepEqual(
              await Promise.all(sums),
              sums.map((_, n) => n + round),
            );
            assert.deepEqual(await Promise.all(trees), [64, 64, 64, 64]);
          }
          // Tasks that wait, on threads that sleep meanwhile.
          for (let shard = 0; shard < SHARDS; shard++) {
            assert.deepEqual(await call(server, shard, "outcomes", 50, 20), { done: 50 });
          }
          await until("all tasks are settled", async () => isAtRest(await statsOf(server)));
          const { totals, compute } = await statsOf(server);
          assert.equal(totals.tasks.spawned, totals.tasks.settled);
          const executed = compute.reduce((sum, thread) => sum + thread.executed, 0);
          assert.ok(executed >= 100, `${executed} are counted where they ran`);
        }),
    );
  }

  describe(`tasks under ${topology}`, () => {
    const options = threadsOf(topology);

    test("run on the threads that the topology names", () =>
      withServer(options, async (server) => {
        const shards = await Promise.all(
          Array.from({ length: SHARDS }, (_, shard) => call(server, shard, "threadId") as Promise<number>),
        );
        for (let shard = 0; shard < SHARDS; shard++) {
          const calls = Array.from({ length: 30 }, () => call(server, shard, "thread") as Promise<number>);
          for (const thread of await Promise.all(calls)) {
            if (topology === "io+compute") assert.ok(!shards.includes(thread));
            else if (topology === "work-stealing") assert.ok(shards.includes(thread));
            else assert.equal(thread, shards[shard]);
          }
        }
      }));

    test("run on threads of their own when they block", () =>
      withServer(options, async (server) => {
        const others = new Set<unknown>();
        for (let shard = 0; shard < SHARDS; shard++) {
          others.add(await call(server, shard, "threadId"));
          others.add(await call(server, shard, "thread", { kind: "pinned", thread: shard }));
        }
        for (let shard = 0; shard < SHARDS; shard++) {
          assert.equal(others.has(await call(server, shard, "blockingThread")), false);
        }
      }));

    test("see that they were given up, wherever they wait", () =>
      withServer(options, async (server) => {
        for (let thread = 0; thread < SHARDS; thread++) {
          const path = join(folder, `given-up-${topology}-${thread}`);
          assert.equal(await call(server, 0, "giveUp", path, { kind: "pinned", thread }), "ERR_RINGLOOM_ABORTED");
          await until("the task sees it", () => existsSync(`${path}.seen`));
        }
      }));

    test("see nothing of the contexts in which they are called", () =>
      withServer(options, async (server) => {
        for (let shard = 0; shard < SHARDS; shard++) {
          assert.deepEqual(await call(server, shard, "seenUsers"), Array(6).fill(undefined));
          assert.equal(await call(server, shard, "wakeAndDetach"), Number.POSITIVE_INFINITY);
        }
      }));

    test("run where they are placed", () =>
      withServer(options, async (server) => {
        const { compute } = await statsOf(server);
        const seen = new Set<number>();
        for (const { thread } of compute) {
          const placement: Placement = { kind: "pinned", thread };
          const calls = Array.from({ length: 10 }, (_, n) => call(server, n % SHARDS, "thread", placement));
          const ids = new Set((await Promise.all(calls)) as number[]);
          assert.equal(ids.size, 1);
          for (const id of ids) seen.add(id);
        }
        assert.equal(seen.size, compute.length);
        const sticky = { kind: "sticky", key: "user" } satisfies Placement;
        const same = await Promise.all(
          Array.from({ length: 10 }, (_, n) => call(server, n % SHARDS, "thread", sticky)),
        );
        assert.equal(new Set(same).size, 1);
        const none = { kind: "pinned", thread: compute.length } satisfies Placement;
        await assert.rejects(call(server, 0, "thread", none), (error: Error & { cause?: { code?: string } }) => {
          return error.cause?.code === "ERR_RINGLOOM_INVALID_OPTION";
        });
      }));

    test("are refused at once when too many are in flight", () =>
      withServer({ ...options, tasksMax: 8 }, async (server) => {
        assert.deepEqual(await call(server, 0, "outcomes", 20, 50), { done: 8, ERR_RINGLOOM_OVERLOADED: 12 });
        assert.deepEqual(await call(server, 0, "outcomes", 8, 1), { done: 8 });
      }));

    test("that are many and nested finish", () =>
      withServer(options, async (server) => {
        assert.equal(await call(server, 0, "tree", 6, 5), 15_625);
      }));

    test("settle once each when a shard dies, and go on", { skip: SHARDS === 1 && "one shard" }, () =>
      withServer(options, async (server) => {
        const pinned = { kind: "pinned", thread: 1 } satisfies Placement;
        assert.equal(await call(server, 0, "add", 1, 1), 2);
        const outcomes = [
          call(server, 0, "outcomes", 100, 300),
          call(server, 0, "outcomes", 100, 300, pinned),
        ] as Promise<Record<string, number>>[];
        await sleep(100);
        server.terminateShard(1);
        for (const outcome of await Promise.all(outcomes)) {
          const { done = 0, ERR_RINGLOOM_THREAD_LOST: lost = 0, ...others } = outcome;
          assert.deepEqual(others, {});
          assert.equal(done + lost, 100);
        }
        await until("the shard serves again", () => server.health.shards[1]?.condition === "serving");
        assert.deepEqual(await call(server, 0, "outcomes", 10, 1, pinned), { done: 10 });
        assert.deepEqual(await call(server, 1, "outcomes", 10, 1), { done: 10 });
      }),
    );

    test("lose nothing in a rolling restart", { skip: SHARDS === 1 && "one shard" }, () =>
      withServer(options, async (server) => {
        let isDone = false;
        let count = 0;
        async function lane(n: number): Promise<void> {
          while (!isDone) {
            const thread = n % SHARDS;
            assert.equal(await get(`${server.url}/pinned/${thread}`), thread);
            assert.equal(await get(`${server.url}/handed-over/${thread}`), thread);
            assert.equal(await get(`${server.url}/add/${n}/1`), n + 1);
            count += 1;
          }
        }
        const lanes = Array.from({ length: 8 }, (_, n) => lane(n));
        for (let round = 0; round < 3; round++) await server.restart();
        isDone = true;
        await Promise.all(lanes);
        assert.ok(count >= 8);
        await until("all tasks are settled", async () => isAtRest(await statsOf(server)));
      }),
    );
  });
}

describe("tasks of one shard", () => {
  for (const { name: driver, skip } of driversUnderTest) {
    for (const [topology, loop] of [
      ["io+compute", "inverted"],
      ["work-stealing", "inverted"],
      ["work-stealing", "uv"],
    ] as const) {
      test(
        `run on two threads at the same time under ${topology} (${driver}, loop ${loop})`,
        {
          skip: SHARDS === 1 ? "one shard" : skip,
        },
        () =>
          withServer({ ...threadsOf(topology), driver, loop }, async (server) => {
            for (let round = 0; round < 5; round++) {
              const path = join(folder, `${topology}-${driver}-${loop}-${round}`);
              assert.deepEqual(await call(server, round % SHARDS, "meet", path), [true, true]);
            }
          }),
      );
    }
  }

  test("are never taken by another one under thread-per-core", () =>
    withServer(threadsOf("thread-per-core"), async (server) => {
      assert.equal(await call(server, 0, "tree", 4, 5), 625);
      const { compute } = await statsOf(server);
      assert.deepEqual(
        compute.map(({ stealAttempts, fromInjector }) => [stealAttempts, fromInjector]),
        compute.map(() => [0, 0]),
      );
      assert.ok((compute[0]?.fromOwnQueue ?? 0) >= 780);
    }));
});

describe("a topology", () => {
  const wrong: [what: string, options: ServeModuleOptions][] = [
    ["compute threads where there are none", { topology: "work-stealing", compute: 2 }],
    ["more shards than can run tasks", { topology: "thread-per-core", shards: 32 }],
    ["a name that is none", { topology: "all" as unknown as Topology }],
  ];
  for (const [what, options] of wrong) {
    test(`is refused with ${what}`, () =>
      assert.rejects(serveModule(APP, { ...SMALL, ...options }), { code: "ERR_RINGLOOM_INVALID_OPTION" }));
  }

  test("with --compute 0 runs no tasks", () =>
    withServer({ topology: "work-stealing", compute: 0 }, async (server) => {
      await assert.rejects(call(server, 0, "add", 1, 1), (error: Error & { cause?: { code?: string } }) => {
        return error.cause?.code === "ERR_RINGLOOM_WRONG_THREAD";
      });
    }));
});
