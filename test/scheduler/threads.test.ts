/** The threads of a scheduler: what one does while it loads a module, and what becomes of one that cannot start. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { pinned } from "../../src/scheduler/placement.js";
import { startScheduler } from "../../src/scheduler/scheduler.js";
import { tasks } from "../../src/scheduler/tasks.js";
import type * as GatedModule from "./fixtures/gated-module.js";
import type * as TaskModule from "./task-module.js";

const work = tasks<typeof TaskModule>(new URL("./task-module.js", import.meta.url));
const gated = tasks<typeof GatedModule>(new URL("./fixtures/gated-module.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "ringloom-threads-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function until(isTrue: () => boolean): Promise<void> {
  for (let tries = 0; !isTrue(); tries++) {
    assert.ok(tries < 2000, "it comes true in the end");
    await sleep(10);
  }
}

describe("a thread that loads a module", () => {
  test("leaves the tasks of that module to others", async () => {
    const gate = join(folder, "gate");
    const go = join(folder, "go");
    // Threads get the environment of the moment in which they start.
    process.env.RINGLOOM_TEST_GATE = gate;
    const scheduler = startScheduler({ compute: 2 });
    try {
      const onFirst = { placement: pinned(0) };
      const onSecond = { placement: pinned(1) };
      await Promise.all([work.with(onFirst).nothing(), work.with(onSecond).nothing(), gated.with(onSecond).add(1, 1)]);
      writeFileSync(gate, "");
      const held = gated.with(onFirst).add(1, 2);
      await until(() => scheduler.stats.threads[0]?.waiting === 1);
      const busy = work.with(onSecond).burnUntil(go);
      await until(() => existsSync(`${go}.begun`));
      const others = Array.from({ length: 200 }, (_, n) => gated.add(n, 1));
      // The first thread finds them all.
      await sleep(50);
      writeFileSync(go, "");
      assert.equal(await busy, true);
      assert.deepEqual(
        await Promise.all(others),
        others.map((_, n) => n + 1),
      );
      assert.ok(existsSync(gate), "the import goes on");
      rmSync(gate);
      assert.equal(await held, 3);
    } finally {
      rmSync(gate, { force: true });
      delete process.env.RINGLOOM_TEST_GATE;
      await scheduler.close();
    }
  });
});
