/**
 * The subjects of the suite `tasks`, and the one place where Ringloom's own pools join it.
 *
 * A pool of Node's joins as a module with `open(executors)` (see peers/pools/main.js) and a line `pool(…)` here.
 */

import { goVersion, type Need, peerVersion, programPath, tokioPath, tokioVersion } from "../harness/prepare.js";
import type { ProgramSubject } from "../harness/programs.js";

/** Threads that run tasks, in every subject. The submitter is the main thread on Node, and a task or goroutine on these threads in `ringloom-nested`, Tokio and Go. */
export const EXECUTORS = 2;

/** All subjects. */
export const taskSubjects: readonly ProgramSubject[] = [
  pool(
    "ringloom",
    () => `tasks(), ${EXECUTORS} compute threads, Node ${process.versions.node}`,
    "bench/apps/tasks.js",
    ["ringloom"],
  ),
  pool(
    "ringloom-nested",
    () => `tasks() called in a task, ${EXECUTORS} compute threads, Node ${process.versions.node}`,
    "bench/apps/tasks-nested.js",
    ["ringloom"],
  ),
  pool(
    "inline",
    () => `no threads: the submitter does each task, Node ${process.versions.node}`,
    "bench/peers/pools/inline.js",
    [],
  ),
  peer("piscina", "defaults"),
  peer("piscina", "concurrentTasksPerWorker 8", "piscina-8"),
  peer("tinypool", "defaults"),
  peer("workerpool", "worker_threads"),
  peer("poolifier", "FixedThreadPool, defaults"),
  {
    name: "tokio",
    about: () => `Tokio ${tokioVersion()}, spawn and JoinHandle from a task of the runtime`,
    needs: ["tokio"],
    executable: tokioPath,
    args: ["tasks", String(EXECUTORS)],
  },
  {
    name: "go",
    about: () => `${goVersion()}, goroutines, GOMAXPROCS ${EXECUTORS}`,
    needs: ["go"],
    executable: programPath("go-peer"),
    args: ["tasks", String(EXECUTORS)],
  },
];

function peer(packageName: string, how: string, name = packageName): ProgramSubject {
  const about = (): string => `${packageName} ${peerVersion(packageName)}, ${how}, Node ${process.versions.node}`;
  return pool(name, about, `bench/peers/pools/${name}.js`, ["peers"]);
}

function pool(name: string, about: () => string, module: string, needs: readonly Need[]): ProgramSubject {
  const args = ["bench/peers/pools/main.js", module, String(EXECUTORS)];
  return { name, about, needs, executable: process.execPath, args };
}
