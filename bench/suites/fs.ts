/** The suite `fs`: reads of 4 KiB from a file in the page cache, one after the other and 32 at once. */
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { numbersOf, type ProgramSubject, runPrograms } from "../harness/programs.js";
import type { Run } from "../harness/rounds.js";
import type { Metric } from "../harness/rows.js";
import type { Context, Goal, Suite } from "../harness/suite.js";
import { fileSubjects } from "./fs-subjects.js";

interface FileCase {
  readonly name: string;
  readonly about: string;
}

/** The cases, with the names and constants of the field's usual benchmark; `peers/files/main.js` has the constants. */
const fileCases: readonly FileCase[] = [
  { name: "fs_read_rtt_4k", about: "256 reads of 4 KiB, each awaited before the next" },
  { name: "fs_read_throughput_4k_qd32", about: "4,096 reads of 4 KiB, in batches of 32 that are awaited together" },
];

const FILE_BYTES = 16 * 1024 * 1024;
const FILL = 0xa5;

const time: Metric = { name: "ns/op", unit: "ns", better: "lower", decimals: 0 };
const rate: Metric = { name: "MiB/s", unit: "MiB/s", better: "higher", decimals: 0 };
const cpu: Metric = { name: "cpu%", unit: "%", better: "lower", decimals: 0 };

/** The suite. */
export const fsSuite: Suite = {
  name: "fs",
  about: "reads of 4 KiB from the page cache: one at a time, and 32 at once",
  cases: fileCases,
  subjects: fileSubjects,
  metrics: [time, rate, cpu],
  comparisons: [
    { metric: time.name, base: "tokio" },
    { metric: time.name, base: "node-fs-promises" },
  ],
  plotted: [time.name],
  goals: [
    goal("fs_read_rtt_4k", "tokio", 6),
    goal("fs_read_rtt_4k", "node-fs-promises", 15),
    goal("fs_read_throughput_4k_qd32", "node-fs-callbacks", 2),
  ],
  run,
};

function goal(caseName: string, base: string, times: number): Goal {
  return {
    suite: "fs",
    case: caseName,
    metric: time.name,
    subject: "ringloom",
    base,
    relation: "at most",
    value: 1 / times,
  };
}

async function run(context: Context): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "ringloom-bench-fs-"));
  try {
    const path = join(folder, "data");
    makeFile(path);
    await runPrograms(context, {
      cases: fileCases,
      subjects: fileSubjects,
      argsFor: ({ name }, { warmupSeconds, seconds }) => [name, String(warmupSeconds), String(seconds), path],
      accept: (fileRun, output) => accept(context, fileRun, output),
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** On the device as well, so that nothing is written back while it is read. */
function makeFile(path: string): void {
  const fd = openSync(path, "w");
  writeSync(fd, Buffer.alloc(FILE_BYTES, FILL));
  fsyncSync(fd);
  closeSync(fd);
}

function accept(
  { results }: Context,
  { runCase: { name: caseName }, subject, round }: Run<FileCase, ProgramSubject>,
  output: unknown,
): string {
  const { count, ns, cpuNs, wallNs } = numbersOf(output, ["count", "ns", "cpuNs", "wallNs"]);
  if (count === 0) throw new Error("nothing was read in time");
  const perRead = ns / count;
  results.add("fs", caseName, subject.name, time, round, perRead);
  results.add("fs", caseName, subject.name, rate, round, (4096 / 1024 ** 2 / perRead) * 1e9);
  results.add("fs", caseName, subject.name, cpu, round, (cpuNs / wallNs) * 100);
  return `${perRead.toFixed(0)} ns`;
}
