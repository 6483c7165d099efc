/** What the harness knows about the machine: its paths, its cores and the tools that happen to be present. Nothing here changes the machine. */
import { execFileSync } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The root of the package: this file runs as `dist/bench/harness/machine.js`. */
export const root: string = resolve(fileURLToPath(import.meta.url), "../../../..");

/** Where the C programs are built to, and other files that can be made again. */
export const cacheDirectory: string = join(root, "bench/.cache");

/** Where the servers to compare with live, with a `package.json` of their own. */
export const peersDirectory: string = join(root, "bench/peers");

/** The full path of an executable on the PATH, or undefined. */
export function findTool(name: string): string | undefined {
  for (const directory of (process.env.PATH ?? "").split(delimiter)) {
    if (directory === "") continue;
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this directory.
    }
  }
  return undefined;
}

/** Cores as taskset writes them: `"0"` or `"0,1"`. */
export type Cores = string;

/** Which core runs what. Both are undefined where the processes are not pinned. */
export interface Placement {
  readonly serverCore: Cores | undefined;
  readonly loadCore: Cores | undefined;
  /** Why nothing is pinned, or how it is. */
  readonly description: string;
}

/**
 * The server gets the first core that this process may use, load generator and harness the last.
 * Moves this very process to the load's core, so that it never takes time from the server.
 */
export function place(): Placement {
  const none = (why: string): Placement => ({ serverCore: undefined, loadCore: undefined, description: why });
  const cores = allowedCores();
  const [serverCore] = cores;
  const loadCore = cores.at(-1);
  if (findTool("taskset") === undefined) return none("not pinned: no taskset; expect noise");
  if (serverCore === undefined || loadCore === undefined || serverCore === loadCore) {
    return none("not pinned: server and load share one core; absolute figures mean little");
  }
  try {
    execFileSync("taskset", ["-a", "-c", "-p", String(loadCore), String(process.pid)], { stdio: "ignore" });
  } catch {
    return none("not pinned: taskset is not permitted; expect noise");
  }
  const description = `server on core ${serverCore}, load generator on core ${loadCore}`;
  return { serverCore: String(serverCore), loadCore: String(loadCore), description };
}

/**
 * The two cores of a placement, for what runs on both. Undefined where nothing is pinned. The harness has moved itself to one core and its children
 * inherit that, so a program for two cores must be told so.
 */
export function bothCores({ serverCore, loadCore }: Placement): Cores | undefined {
  return serverCore === undefined || loadCore === undefined ? undefined : `${serverCore},${loadCore}`;
}

/** A command that runs on these cores, or as it is when `cores` is undefined. */
export function pinned(cores: Cores | undefined, command: readonly string[]): string[] {
  return cores === undefined ? [...command] : ["taskset", "-c", cores, ...command];
}

function allowedCores(): number[] {
  let list: string;
  try {
    list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "";
  } catch {
    return [];
  }
  return parseCoreList(list);
}

/** The numbers of a kernel core list: `"0-2,5"` is 0, 1, 2 and 5. */
export function parseCoreList(list: string): number[] {
  return list
    .split(",")
    .filter((part) => part !== "")
    .flatMap((part) => {
      const [first = 0, last = first] = part.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    });
}

/** One line about processor, kernel and Node, for the head of a report. */
export function describeMachine(): string {
  const model = cpus()[0]?.model.trim() ?? "unknown processor";
  return `${cpus().length} × ${model}, ${process.platform} ${release()}, Node ${process.versions.node}`;
}
