/**
 * What the control groups of this process allow: CPU time and memory, in version 1 (one hierarchy per controller), version 2 (one
 * hierarchy for all) and the mixed form in which systemd mounts both. Everything is a function of a file reader, so that
 * fixtures can stand in for a machine.
 *
 * A limit of an outer group holds for all inner ones, so each is read at every level from the process's own group up to the
 * root of the mount, and the tightest one counts. Sources: cgroups(7), Documentation/admin-guide/cgroup-v2.rst and
 * cgroup-v1/memory.rst of the kernel, proc_pid_mountinfo(5).
 */

import type { FileReader } from "../driver/system-files.js";

/** What the control groups allow. A missing value means "no limit". */
export interface CgroupLimits {
  /** Which version each controller was found in; `none` where it is not mounted or this is not Linux. */
  readonly cpuVersion: "v1" | "v2" | "none";
  readonly memoryVersion: "v1" | "v2" | "none";
  /** CPU time per wall-clock time: 1.5 means one and a half CPUs. */
  readonly cpuQuota: number | undefined;
  /** The tightest memory limit, in bytes. */
  readonly memoryLimitBytes: number | undefined;
}

/** Reads the limits of the calling process. Never throws: what cannot be read counts as no limit. */
export function readCgroupLimits(read: FileReader): CgroupLimits {
  const memberships = parseMemberships(read("/proc/self/cgroup") ?? "");
  const mounts = parseMounts(read("/proc/self/mountinfo") ?? "");
  const cpu = locate("cpu", memberships, mounts);
  const memory = locate("memory", memberships, mounts);
  return {
    cpuVersion: cpu?.version ?? "none",
    memoryVersion: memory?.version ?? "none",
    cpuQuota: cpu === undefined ? undefined : tightest(cpu, (folder) => cpuQuotaOf(read, cpu.version, folder)),
    memoryLimitBytes:
      memory === undefined ? undefined : tightest(memory, (folder) => memoryLimitOf(read, memory.version, folder)),
  };
}

/** One line of /proc/self/cgroup: the controllers of a hierarchy (none for version 2) and the path inside it. */
interface Membership {
  readonly controllers: readonly string[];
  readonly path: string;
}

interface Mount {
  readonly version: "v1" | "v2";
  readonly controllers: readonly string[];
  /** The part of the hierarchy that is mounted: "/" or, in a container, the container's own group. */
  readonly root: string;
  readonly folder: string;
}

/** Where the process sits: `folder` is the mount point, `path` what follows it, empty at the top. */
interface Location {
  readonly version: "v1" | "v2";
  readonly folder: string;
  readonly path: string;
}

function parseMemberships(text: string): Membership[] {
  const memberships: Membership[] = [];
  for (const line of text.split("\n")) {
    const first = line.indexOf(":");
    const second = line.indexOf(":", first + 1);
    if (first < 0 || second < 0) continue;
    const controllers = line.slice(first + 1, second);
    memberships.push({ controllers: controllers === "" ? [] : controllers.split(","), path: line.slice(second + 1) });
  }
  return memberships;
}

function parseMounts(text: string): Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split("\n")) {
    const [before, after] = line.split(" - ");
    if (before === undefined || after === undefined) continue;
    const [, , , root, folder] = before.split(" ");
    const [type, , superOptions] = after.split(" ");
    if (root === undefined || folder === undefined) continue;
    if (type === "cgroup2") {
      mounts.push({ version: "v2", controllers: [], root: unescapePath(root), folder: unescapePath(folder) });
    } else if (type === "cgroup") {
      const controllers = (superOptions ?? "").split(",");
      mounts.push({ version: "v1", controllers, root: unescapePath(root), folder: unescapePath(folder) });
    }
  }
  return mounts;
}

/** mountinfo writes space, tab, newline and backslash as three octal digits. */
function unescapePath(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** A controller belongs to exactly one hierarchy: version 1 where it is mounted there, else version 2. */
function locate(controller: string, memberships: Membership[], mounts: Mount[]): Location | undefined {
  const first = mounts.filter((mount) => mount.version === "v1" && mount.controllers.includes(controller));
  const candidates = first.length > 0 ? first : mounts.filter((mount) => mount.version === "v2");
  const version = candidates[0]?.version;
  if (version === undefined) return undefined;
  const member = memberships.find((candidate) =>
    version === "v1" ? candidate.controllers.includes(controller) : candidate.controllers.length === 0,
  );
  if (member === undefined) return undefined;
  // A hierarchy can be mounted twice, whole and in part (a container inside a container); the mount that shows our group is the one to read.
  const mount = candidates.find((candidate) => isInside(member.path, candidate.root)) ?? candidates[0];
  if (mount === undefined) return undefined;
  return { version, folder: mount.folder, path: pathInsideMount(member.path, mount.root) };
}

/**
 * Without a cgroup namespace a container sees its full path in /proc/self/cgroup while only its own group is mounted; what
 * is above the mount cannot be read, and a path that leads out of it ("/..") is treated as the mount's top.
 */
function pathInsideMount(path: string, root: string): string {
  if (!isInside(path, root)) return "";
  const trimmed = root === "/" ? path : path.slice(root.length);
  return trimmed === "/" ? "" : trimmed;
}

function isInside(path: string, root: string): boolean {
  if (path.split("/").includes("..")) return false;
  return root === "/" || path === root || path.startsWith(`${root}/`);
}

function tightest(location: Location, limitOf: (folder: string) => number | undefined): number | undefined {
  let limit: number | undefined;
  for (let path = location.path; ; path = path.slice(0, path.lastIndexOf("/"))) {
    const here = limitOf(location.folder + path);
    if (here !== undefined && (limit === undefined || here < limit)) limit = here;
    if (path === "") return limit;
  }
}

function cpuQuotaOf(read: FileReader, version: "v1" | "v2", folder: string): number | undefined {
  if (version === "v2") {
    const [quota, period] = (read(`${folder}/cpu.max`) ?? "max").trim().split(/\s+/);
    return quota === "max" ? undefined : ratio(quota, period);
  }
  // -1 is "no quota" in version 1; ratio() rejects it because it is not positive.
  return ratio(read(`${folder}/cpu.cfs_quota_us`), read(`${folder}/cpu.cfs_period_us`));
}

function memoryLimitOf(read: FileReader, version: "v1" | "v2", folder: string): number | undefined {
  if (version === "v1") {
    // The second figure is the tightest of all groups above, those too that a container cannot see.
    const above = /^hierarchical_memory_limit (\d+)$/m.exec(read(`${folder}/memory.stat`) ?? "")?.[1];
    return smaller(bytes(read(`${folder}/memory.limit_in_bytes`)), bytes(above));
  }
  // Beyond memory.high the kernel throttles the process to reclaim, which for a server is as good as a limit.
  return smaller(bytes(read(`${folder}/memory.max`)), bytes(read(`${folder}/memory.high`)));
}

function smaller(left: number | undefined, right: number | undefined): number | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  return Math.min(left, right);
}

function ratio(quotaText: string | undefined, periodText: string | undefined): number | undefined {
  const quota = Number(quotaText?.trim() || Number.NaN);
  const period = Number(periodText?.trim() || Number.NaN);
  return quota > 0 && period > 0 ? quota / period : undefined;
}

/** Version 1 says "no limit" with the largest page-aligned signed number; no machine has 2^60 bytes. */
function bytes(text: string | undefined): number | undefined {
  const value = Number(text?.trim() || Number.NaN);
  return value >= 0 && value < 2 ** 60 ? value : undefined;
}
