/** What the tests of tasks have in common. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RingloomError } from "../../src/errors.js";
import { type Scheduler, type SchedulerOptions, startScheduler } from "../../src/scheduler/scheduler.js";

/** What `assert.rejects` takes: an error of ours with this code. */
export function withCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof RingloomError && error.code === code;
}

/** Runs with a scheduler, and a folder for what tasks write. Afterwards no task may be left. */
export async function withScheduler(
  options: SchedulerOptions,
  run: (folder: string, scheduler: Scheduler) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "ringloom-scheduler-"));
  const scheduler = startScheduler(options);
  try {
    await run(folder, scheduler);
    await until(() => scheduler.stats.inFlight === 0);
  } finally {
    await scheduler.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Resolves when `isTrue`, or fails after twenty seconds. */
export async function until(isTrue: () => boolean): Promise<void> {
  for (let tries = 0; !isTrue(); tries++) {
    assert.ok(tries < 2000, "it comes true in the end");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
