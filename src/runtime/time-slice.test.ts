import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { nativeProblem } from "../native.js";

/** What the kernel says of the calling thread; it says so only where it was built for that. */
const SCHED = "/proc/thread-self/sched";
/** The first kernel with slices of each thread's own. */
const FIRST = [6, 12] as const;

function whyNot(): string | false {
  const problem = nativeProblem();
  if (problem !== undefined) return problem;
  if (!existsSync(SCHED)) return `this kernel has no ${SCHED}`;
  const [major = 0, minor = 0] = readFileSync("/proc/sys/kernel/osrelease", "utf8").split(".").map(Number);
  const isOld = major < FIRST[0] || (major === FIRST[0] && minor < FIRST[1]);
  return isOld ? "this kernel is older than Linux 6.12" : false;
}

test("a thread gets the time slice that it wants, and no other thread does", { skip: whyNot() }, async () => {
  const before = sliceNanos();
  const wanted = await new Promise((resolve, reject) => {
    const source = `
      const { wantTimeSlice, SHARD_SLICE_MICROS } = await import(${JSON.stringify(new URL("./time-slice.js", import.meta.url).href)});
      const { readFileSync } = await import("node:fs");
      const { parentPort } = await import("node:worker_threads");
      wantTimeSlice(SHARD_SLICE_MICROS);
      parentPort.postMessage(readFileSync(${JSON.stringify(SCHED)}, "utf8"));`;
    const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
    thread.once("message", resolve);
    thread.once("error", reject);
  });
  assert.equal(sliceNanos(String(wanted)), 100_000);
  assert.equal(sliceNanos(), before);
});

function sliceNanos(text = readFileSync(SCHED, "utf8")): number {
  return Number(/^se\.slice\s*:\s*(\d+)/m.exec(text)?.[1]);
}
