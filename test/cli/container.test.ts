/** `ringloom serve` in a real control group: what it says, and that it stays inside while it is pressed. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type GroupLimits, makeGroup, type TestGroup } from "../support/cgroups.js";
import { driversUnderTest } from "../support/drivers.js";
import { fixture, run, withServe } from "./ringloom.js";

const MIB = 1_048_576;
const HUNGRY = fixture("hungry.js");

async function inGroup(t: TestContext, limits: GroupLimits, use: (group: TestGroup) => Promise<void>): Promise<void> {
  const group = makeGroup("ringloom-test", limits);
  if (typeof group === "string") return t.skip(group);
  try {
    await use(group);
  } finally {
    await remove(group);
  }
}

/** A process that has been waited for can still be on its way out of its group. */
async function remove(group: TestGroup): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      group.remove();
      return;
    } catch (error) {
      if (attempt === 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Sends `count` requests over 24 connections at a time; resolves with how often each status came. */
async function press(url: string, count: number): Promise<Map<number, number>> {
  const statuses = new Map<number, number>();
  const body = Buffer.alloc(MIB);
  let sent = 0;
  async function client(): Promise<void> {
    while (sent < count) {
      const kind = sent++ % 3;
      const response = await (kind === 0
        ? fetch(`${url}/body`, { method: "POST", body })
        : fetch(`${url}${kind === 1 ? "/garbage" : "/large"}`));
      await response.arrayBuffer();
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    }
  }
  await Promise.all(Array.from({ length: 24 }, client));
  return statuses;
}

/** Has tasks run, four at a time, that make garbage; the results of half of them are too large for shared memory. */
async function runTasks(url: string, count: number): Promise<void> {
  const limits = (await (await fetch(`${url}/task-limits`)).json()) as Record<string, number>;
  assert.ok((limits.maxOldGenerationSizeMb ?? 0) <= 32, JSON.stringify(limits));
  let sent = 0;
  async function client(): Promise<void> {
    while (sent < count) {
      const kind = sent++ % 2 === 0 ? "large" : "small";
      const response = await fetch(`${url}/task?kind=${kind}`);
      assert.equal(await response.text(), kind === "large" ? "2000000" : "100000");
    }
  }
  await Promise.all(Array.from({ length: 4 }, client));
}

for (const { name: driver, skip } of driversUnderTest) {
  test(`ringloom serve sizes itself to 128 MiB and half a CPU, and stays inside under load (${driver})`, {
    skip,
  }, async (t) => {
    await inGroup(t, { memoryBytes: 128 * MIB, cpus: 0.5 }, async (group) => {
      const args = [HUNGRY, "--port", "0", "--driver", driver];
      await withServe(args, { launcher: group.launcher }, async (server, url) => {
        assert.match(server.stdout, /^ {2}shards {2}1 \(CPU quota 0\.5 of \d+ allowed CPUs\), spin off \(/m);
        assert.match(server.stdout, /^ {2}memory {2}128 MiB allowed \(cgroup v[12]\)/m);
        assert.match(
          server.stdout,
          /^ {2}budget {2}Node 36 MiB \+ 1 shard of .* MiB to spare \(messages take up to [0-9.]+ MiB of it\); besides, .+$/m,
        );
        const limits = (await (await fetch(`${url}/limits`)).json()) as Record<string, number>;
        assert.ok((limits.maxOldGenerationSizeMb ?? 0) <= 64, JSON.stringify(limits));
        const statuses = await press(url, 600);
        // A full pool of bodies answers 503, and that is how it stays inside.
        assert.deepEqual(
          [...statuses.keys()].filter((status) => status !== 200 && status !== 503),
          [],
        );
        assert.ok((statuses.get(200) ?? 0) >= 400, JSON.stringify([...statuses]));
        await runTasks(url, 200);
        assert.equal(await server.stop(), 0);
      });
      assert.equal(group.kills(), 0);
      assert.ok(group.peakBytes() < 128 * MIB, `${group.peakBytes()} bytes`);
    });
  });
}

test("ringloom serve refuses to start in 64 MiB and says what to change; doctor says the same", async (t) => {
  await inGroup(t, { memoryBytes: 64 * MIB, cpus: 1 }, async ({ launcher }) => {
    const { code, stderr } = await run(["serve", HUNGRY, "--port", "0"], { launcher });
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^ringloom: Cannot start 1 shard in 64 MiB \(cgroup v[12]\).*raise the memory limit to \d+ MiB.*\[ERR_RINGLOOM_MEMORY_LIMIT\]$/m,
    );
    const doctor = await run(["doctor"], { launcher });
    assert.equal(doctor.code, 1);
    assert.match(doctor.stdout, /^verdict: servers do not start: Cannot start 1 shard in 64 MiB/m);
  });
});
