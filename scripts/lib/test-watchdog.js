/**
 * Preloaded into each test file's process by `npm test`: a file that does not end says which test is open, what it and its child processes
 * wait for, and is killed with them. `--test-timeout` would not do: Node 20 and 22 name only the file, 26 leaves its process running.
 */
import { readdirSync, readFileSync, writeSync } from "node:fs";
import { afterEach, beforeEach } from "node:test";
import { isMainThread } from "node:worker_threads";

/** No file takes a tenth of it on an idle machine, whatever `node --test` was asked for. */
const FILE_MS_MAX = Number(process.env.RINGLOOM_TEST_FILE_MS ?? 300_000);

/** @type {Map<unknown, string>} */
const open = new Map();

if (isMainThread && process.env.NODE_TEST_CONTEXT !== undefined) {
  beforeEach((test) => {
    open.set(test, "fullName" in test ? String(test.fullName) : test.name);
  });
  afterEach((test) => {
    open.delete(test);
  });
  setTimeout(reportAndKill, FILE_MS_MAX).unref();
}

function reportAndKill() {
  const tree = withDescendants(process.pid);
  const lines = [
    `${process.argv[1]} has not ended after ${FILE_MS_MAX} ms`,
    `tests begun and not ended: ${[...open.values()].join(", ") || "none"}`,
    `what keeps the process: ${process.getActiveResourcesInfo().join(", ")}`,
    ...tree.flatMap(describeProcess),
  ];
  writeSync(2, `${lines.join("\n")}\n`);
  for (const pid of tree.reverse()) process.kill(pid, "SIGKILL");
}

/**
 * A process and all below it, each before its children. Only itself where there is no /proc.
 *
 * @param {number} pid
 * @returns {number[]}
 */
function withDescendants(pid) {
  // Those that a worker thread started are listed with that thread.
  const children = threadsOf(pid).flatMap((thread) =>
    read(`/proc/${pid}/task/${thread}/children`).split(" ").filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(withDescendants)];
}

/** @param {number} pid */
function describeProcess(pid) {
  const command = read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").slice(0, 300);
  return [
    `process ${pid}: ${command}`,
    ...threadsOf(pid).map((thread) => {
      const folder = `/proc/${pid}/task/${thread}`;
      return `  thread ${thread} ${read(`${folder}/comm`)}: waits in ${read(`${folder}/wchan`)}, system call ${read(`${folder}/syscall`)}`;
    }),
  ];
}

/** @param {number} pid */
function threadsOf(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
