/** Control groups of this test's own, inside of the group that it runs in, where the machine lets us make them. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface GroupLimits {
  readonly memoryBytes: number;
  /** CPU time per wall-clock time. */
  readonly cpus: number;
}

/** A group with limits, and how to start a program in it. */
export interface TestGroup {
  /** A program with arguments that starts what follows inside of the group. */
  readonly launcher: readonly string[];
  /** The most memory that the group has used, in bytes. */
  peakBytes(): number;
  /** Processes that the kernel has killed in it. */
  kills(): number;
  /** Removes the group; what was started in it must have ended. */
  remove(): void;
}

/** Makes a group, or says why that is not possible here. Version 1 and version 2. */
export function makeGroup(name: string, limits: GroupLimits): TestGroup | string {
  const unique = `${name}-${process.pid}`;
  const made: string[] = [];
  try {
    const folders = ownFolders();
    if (typeof folders === "string") return folders;
    const memory = join(folders.memory, unique);
    const cpu = join(folders.cpu, unique);
    for (const folder of new Set([memory, cpu])) {
      mkdirSync(folder);
      made.push(folder);
    }
    if (folders.version === 1) limitV1(memory, cpu, limits);
    else limitV2(memory, limits);
    return group(made, memory, folders.version);
  } catch (error) {
    for (const folder of made) rmdirSync(folder);
    return `no control group can be made here (${error instanceof Error ? error.message : String(error)})`;
  }
}

function limitV1(memory: string, cpu: string, { memoryBytes, cpus }: GroupLimits): void {
  writeFileSync(join(memory, "memory.limit_in_bytes"), String(memoryBytes));
  writeFileSync(join(cpu, "cpu.cfs_quota_us"), String(cpus * 100_000));
}

function limitV2(folder: string, { memoryBytes, cpus }: GroupLimits): void {
  writeFileSync(join(folder, "memory.max"), String(memoryBytes));
  writeFileSync(join(folder, "cpu.max"), `${cpus * 100_000} 100000`);
}

function group(folders: readonly string[], memory: string, version: 1 | 2): TestGroup {
  const join_ = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 126; shift; done; shift; exec "$@"';
  const kills = version === 1 ? "memory.oom_control" : "memory.events";
  return {
    launcher: ["/bin/sh", "-c", join_, "sh", ...folders, "--"],
    peakBytes: () =>
      Number(readFileSync(join(memory, version === 1 ? "memory.max_usage_in_bytes" : "memory.peak"), "utf8")),
    kills: () => Number(/^oom_kill (\d+)$/m.exec(readFileSync(join(memory, kills), "utf8"))?.[1] ?? 0),
    remove: () => {
      for (const folder of folders) rmdirSync(folder);
    },
  };
}

/** The folders of this process's own groups. */
function ownFolders(): { version: 1 | 2; memory: string; cpu: string } | string {
  if (process.platform !== "linux") return "control groups exist only on Linux";
  const groups = readFileSync("/proc/self/cgroup", "utf8").trim().split("\n");
  const own = (controller: string) => groups.find((line) => line.split(":")[1]?.split(",").includes(controller));
  const [memory, cpu, both] = [own("memory"), own("cpu"), own("")];
  if (memory !== undefined && cpu !== undefined) {
    return {
      version: 1,
      memory: join("/sys/fs/cgroup/memory", pathOf(memory)),
      cpu: join("/sys/fs/cgroup/cpu", pathOf(cpu)),
    };
  }
  if (both === undefined) return "no control groups are mounted";
  const folder = join("/sys/fs/cgroup", pathOf(both));
  const enabled = join(folder, "cgroup.subtree_control");
  const controllers = existsSync(enabled) ? readFileSync(enabled, "utf8") : "";
  if (!/\bcpu\b/.test(controllers) || !/\bmemory\b/.test(controllers))
    return "the own control group hands no controllers down";
  return { version: 2, memory: folder, cpu: folder };
}

function pathOf(line: string): string {
  return line.split(":").slice(2).join(":");
}
