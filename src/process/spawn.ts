/** Starting a child process. */
import { type ChildProcess, spawn as spawnWithNode } from "node:child_process";
import { existsSync } from "node:fs";
import { RingloomError } from "../errors.js";
import { abortedWait } from "../task/wait-errors.js";
import { Child } from "./child.js";
import { checkLaunch, type Launch, type SpawnOptions } from "./child-options.js";

/**
 * Starts a program, without a shell. Resolves when it runs; its streams are pipes unless told otherwise.
 *
 * The child ends by itself, by {@link Child.stop}, or by the `signal` and `timeoutMs` of the options: then it gets SIGTERM, and SIGKILL after `graceMs`. It is reaped when it has ended, whether anybody waits for it or not.
 * @throws TypeError, RangeError for arguments that are none; RingloomError (rejects) `ENOENT`, `EACCES` and the like when it cannot be started, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_INVALID_OPTION`.
 * @example
 * ```ts run
 * import { spawn } from "ringloom/process";
 * const sort = await spawn("sort", ["-n"]);
 * await sort.stdin.write("10\n9\n");
 * await sort.stdin.end();
 * console.assert((await sort.stdout.text()) === "9\n10\n");
 * console.assert((await sort.wait()).ok);
 * ```
 * @experimental
 */
export async function spawn(command: string, args: readonly string[] = [], options: SpawnOptions = {}): Promise<Child> {
  const launch = checkLaunch(command, args, options);
  if (launch.signal?.aborted === true) throw abortedWait("spawn", launch.signal.reason);
  const child = start(launch);
  if (child.pid === undefined) throw await whyNot(child, launch);
  return new Child(child, launch);
}

/** What the codes mean that are mistakes of the caller. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such program",
  EACCES: "it is no program, or may not be run",
};

/** Node throws some of the reasons why there is no child, and tells the others later. */
function start(launch: Launch): ChildProcess {
  try {
    return spawnWithNode(launch.command, launch.args, launch.node);
  } catch (error) {
    throw spawnError(error, launch);
  }
}

function whyNot(child: ChildProcess, launch: Launch): Promise<RingloomError> {
  return new Promise((resolve) => child.once("error", (error) => resolve(spawnError(error, launch))));
}

function spawnError(cause: unknown, { command, args, node }: Launch): RingloomError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "ERR_RINGLOOM_CHILD_FAILED";
  const { cwd } = node;
  // The system says the same of a program and of a folder that are not there.
  const isFolder = code === "ENOENT" && cwd !== undefined && !existsSync(cwd);
  const why = isFolder ? `there is no folder ${String(cwd)}` : (REASONS[code] ?? code);
  return new RingloomError(code, `Cannot spawn ${command}: ${why}.`, {
    operation: "spawn",
    details: { command, args, ...(cwd === undefined ? {} : { cwd: String(cwd) }) },
    cause,
  });
}
