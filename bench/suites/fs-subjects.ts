/** The subjects of the suite `fs`. A way to read files joins as a module with `open(path)` (see peers/files/main.js) and a line here. */
import { join } from "node:path";
import { peersDirectory } from "../harness/machine.js";
import { goVersion, type Need, peerVersion, programPath, tokioPath, tokioVersion } from "../harness/prepare.js";
import type { ProgramSubject } from "../harness/programs.js";

/** Threads of Tokio and Go that run tasks; those of Tokio's pool for what blocks come on top. */
const WORKERS = "2";

/** All subjects. */
export const fileSubjects: readonly ProgramSubject[] = [
  node("ringloom", "File.readAt, uring driver; what the page cache has inside the call", "bench/apps/files.js", [
    "ringloom",
  ]),
  node("ringloom-epoll", "the same, epoll driver", "bench/apps/files-epoll.js", ["ringloom"]),
  node("ringloom-portable", "the same, portable driver: libuv's pool", "bench/apps/files-portable.js", ["ringloom"]),
  node("ringloom-ring", "each read an operation of the ring", "bench/apps/files-ring.js", ["ringloom"]),
  node("node-fs-promises", "FileHandle.read", "bench/peers/files/promises.js", []),
  node("node-fs-callbacks", "fs.read", "bench/peers/files/callbacks.js", []),
  node("node-fs-sync", "fs.readSync, which holds up the thread", "bench/peers/files/sync.js", []),
  {
    name: "bun",
    about: () => `Bun ${peerVersion("bun")}, FileHandle.read of node:fs/promises`,
    needs: ["peers"],
    executable: join(peersDirectory, "node_modules/.bin/bun"),
    args: ["bench/peers/files/main.js", "bench/peers/files/promises.js"],
  },
  {
    name: "tokio",
    about: () => `Tokio ${tokioVersion()}, spawn_blocking and pread, ${WORKERS} workers`,
    needs: ["tokio"],
    executable: tokioPath,
    args: ["files", WORKERS],
  },
  {
    name: "go",
    about: () => `${goVersion()}, os.File.ReadAt; 32 at once in a goroutine each, GOMAXPROCS ${WORKERS}`,
    needs: ["go"],
    executable: programPath("go-peer"),
    args: ["files", WORKERS],
  },
  {
    name: "c-io_uring",
    about: () => "bench/peers/file-read.c: IORING_OP_READ; the limit of a ring",
    needs: ["file-read"],
    executable: programPath("file-read"),
    args: [],
  },
  {
    name: "c-io_uring-fixed",
    about: () => "the same with a registered file and registered buffers (READ_FIXED): what they could save",
    needs: ["file-read"],
    executable: programPath("file-read"),
    args: ["--fixed"],
  },
];

function node(name: string, about: string, module: string, needs: readonly Need[]): ProgramSubject {
  return {
    name,
    about: () => `${about}, Node ${process.versions.node}`,
    needs,
    executable: process.execPath,
    args: ["bench/peers/files/main.js", module],
  };
}
