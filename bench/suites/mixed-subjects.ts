/**
 * The servers of the suite `mixed`: `GET /hello`, and `GET /work?ms=N`, which burns N milliseconds of CPU and answers with the kernel's result. Each finds the kernel's
 * steps for a millisecond in BENCH_STEPS_PER_MS. Ringloom's app is apps/mixed.js, in which moving the work to `tasks()` is one line.
 */
import { join } from "node:path";
import { peersDirectory } from "../harness/machine.js";
import { goVersion, peerVersion, programPath } from "../harness/prepare.js";
import { ringloom, type Subject } from "../harness/subjects.js";

/** One for each of the two cores, in every subject that has more than one. */
const THREADS = 2;

const peerCommand = (name: string): string => join(peersDirectory, "node_modules/.bin", name);

/** All subjects. */
export const mixedSubjects: readonly Subject[] = [
  ringloom("ringloom", "uring driver, 2 shards, work as a task on 1 compute thread", "mixed.js", "uring", {
    shards: THREADS,
  }),
  ringloom("ringloom-epoll", "epoll driver, 2 shards, work as a task on 1 compute thread", "mixed.js", "epoll", {
    shards: THREADS,
  }),
  ringloom("ringloom-stealing", "uring driver, 2 shards, which run the work of both", "mixed.js", "uring", {
    shards: THREADS,
    flags: ["--topology", "work-stealing"],
  }),
  ringloom("ringloom-own", "uring driver, 2 shards, each runs its own work", "mixed.js", "uring", {
    shards: THREADS,
    flags: ["--topology", "thread-per-core"],
  }),
  {
    name: "node-http",
    about: () => `node:http, work inline, Node ${process.versions.node}`,
    needs: [],
    executable: process.execPath,
    isNode: true,
    args: ["bench/peers/mixed/node-http.js"],
  },
  {
    name: "node26-http",
    about: () => `node:http, work inline, Node ${peerVersion("node") ?? "26"}`,
    needs: ["peers"],
    executable: peerCommand("node"),
    isNode: true,
    args: ["bench/peers/mixed/node-http.js"],
  },
  {
    name: "node-piscina",
    about: () => `node:http, work in piscina ${peerVersion("piscina")} with 2 threads, Node ${process.versions.node}`,
    needs: ["peers"],
    executable: process.execPath,
    isNode: true,
    args: ["bench/peers/mixed/node-piscina.js"],
  },
  {
    name: "cluster",
    about: () => `node:cluster, 2 processes, work inline, Node ${process.versions.node}`,
    needs: [],
    executable: process.execPath,
    isNode: true,
    args: ["bench/peers/mixed/cluster.js"],
  },
  {
    name: "bun",
    about: () => `Bun.serve, work inline, Bun ${peerVersion("bun")}`,
    needs: ["peers"],
    executable: peerCommand("bun"),
    isNode: false,
    args: ["bench/peers/mixed/bun.js"],
  },
  {
    name: "go",
    about: () => `net/http, work in the handler's goroutine, ${goVersion()}`,
    needs: ["go"],
    executable: programPath("go-peer"),
    isNode: false,
    args: ["serve"],
  },
];
