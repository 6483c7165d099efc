// Keeps the calling thread on one core. Node has no call for it, so util-linux's taskset does it from outside.
import { execFileSync } from "node:child_process";
import { readlinkSync } from "node:fs";

export function pin(core) {
  if (core < 0) return;
  const thread = readlinkSync("/proc/thread-self").split("/").at(-1);
  execFileSync("taskset", ["-c", "-p", String(core), thread], { stdio: "ignore" });
}
