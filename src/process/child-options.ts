/** How a child process is started: what users say, checked. */
import type { SpawnOptions as NodeSpawnOptions } from "node:child_process";
import { RingloomError } from "../errors.js";
import { durationMs } from "../time/instant.js";

/** How long a child that was asked to end may take, unless told otherwise, in milliseconds. */
const GRACE_MS_DEFAULT = 5_000;

/**
 * Where a standard stream of a child leads: to a pipe, to this process's own stream, to nothing, or to a descriptor that is open here.
 * @experimental
 */
export type ChildStdio = "pipe" | "inherit" | "ignore" | number;

/**
 * How a child process is started, and how long it may live.
 * @experimental
 */
export interface SpawnOptions {
  /** The folder that it starts in; this process's unless told otherwise. */
  readonly cwd?: string | URL | undefined;
  /** Its whole environment; this process's unless told otherwise. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** `pipe` unless told otherwise. */
  readonly stdin?: ChildStdio | undefined;
  /** `pipe` unless told otherwise. */
  readonly stdout?: ChildStdio | undefined;
  /** `pipe` unless told otherwise. */
  readonly stderr?: ChildStdio | undefined;
  /** Stops the child when it aborts. */
  readonly signal?: AbortSignal | undefined;
  /** Stops the child after this time, in milliseconds; 0, the default, is never. */
  readonly timeoutMs?: number | undefined;
  /** What a child that is stopped gets between SIGTERM and SIGKILL, in milliseconds. 5,000 unless told otherwise. */
  readonly graceMs?: number | undefined;
  /** Makes the child the head of a process group of its own, which gets every signal that is sent to it: for shells and others that start programs. Not on Windows. */
  readonly group?: boolean | undefined;
  /** Leaves the child running when its thread ends; otherwise it then gets SIGTERM. */
  readonly outlives?: boolean | undefined;
}

/** A command, checked. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly node: NodeSpawnOptions;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number;
  readonly graceMs: number;
  readonly group: boolean;
  readonly outlives: boolean;
}

/** Checks everything that can be checked before there is a child. */
export function checkLaunch(command: string, args: readonly string[], options: SpawnOptions): Launch {
  if (typeof command !== "string" || command === "")
    throw new TypeError(
      `Cannot spawn: the command is ${command === "" ? "empty" : typeof command}, not a path or name`,
    );
  if (!Array.isArray(args) || args.some((arg) => typeof arg !== "string"))
    throw new TypeError(`Cannot spawn ${command}: the arguments are not an array of strings`);
  const { cwd, env, stdin = "pipe", stdout = "pipe", stderr = "pipe", signal } = options;
  const { timeoutMs = 0, graceMs = GRACE_MS_DEFAULT, group = false, outlives = false } = options;
  for (const [name, value] of Object.entries({ stdin, stdout, stderr })) checkStdio(name, value);
  if (group && process.platform === "win32") {
    throw new RingloomError("ERR_RINGLOOM_UNSUPPORTED", "Cannot spawn: Windows has no process groups.", {
      operation: "spawn",
      details: { command },
    });
  }
  return {
    command,
    args,
    node: {
      stdio: [stdin, stdout, stderr],
      detached: group,
      windowsHide: true,
      ...(cwd === undefined ? {} : { cwd }),
      ...(env === undefined ? {} : { env }),
    },
    signal,
    timeoutMs: durationMs("spawn", timeoutMs),
    graceMs: durationMs("spawn", graceMs),
    group,
    outlives,
  };
}

function checkStdio(name: string, value: unknown): void {
  if (value === "pipe" || value === "inherit" || value === "ignore") return;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return;
  throw new RingloomError(
    "ERR_RINGLOOM_INVALID_OPTION",
    `Cannot spawn: ${name} is ${JSON.stringify(value)}, not pipe, inherit, ignore or a descriptor.`,
    { operation: "spawn", details: { [name]: value } },
  );
}
