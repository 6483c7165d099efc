/**
 * `ringloom/process`: child processes. Everything here is experimental: it may change in a minor version.
 * @experimental
 */
export type { WaitOptions } from "../task/wait-errors.js";
export { Child, type ExitStatus } from "./child.js";
export { ChildInput } from "./child-input.js";
export type { ChildStdio, SpawnOptions } from "./child-options.js";
export { ChildOutput, type CollectOptions } from "./child-output.js";
export { ChildError, type RunOptions, type RunResult, run } from "./run.js";
export { spawn } from "./spawn.js";
