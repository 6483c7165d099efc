/** The checks of `ringloom doctor`: facts about this machine, each with what to change where something is wrong. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { arch, release } from "node:os";
import { type EpollAvailability, seccompMode, type UringAvailability } from "../driver/availability.js";
import { URING_OPCODES } from "../driver/choose.js";
import { KERNEL_RELEASE_MIN } from "../driver/kernel-ladder.js";
import type { FileReader } from "../driver/system-files.js";
import { RingloomError } from "../errors.js";
import { addonPath, loadNative, nativeProblem } from "../native.js";
import { resolveRuntimeOptions } from "../runtime/options.js";
import { type MachineFacts, readLimit, type Sizing } from "../runtime/sizing.js";
import { describeTaskThreads, TOPOLOGIES, taskThreads } from "../scheduler/topology.js";
import { budgetText } from "./start-table.js";
import { formatBytes, plural } from "./terminal.js";

/** One line of the report. */
export interface Check {
  readonly name: string;
  /** `info` is neither good nor bad; `warning` costs something; `problem` is why uring, or uring and epoll, cannot run. */
  readonly status: "good" | "info" | "warning" | "problem";
  readonly text: string;
  /** What to change; empty when nothing needs to. */
  readonly fix: string;
}

/** What the checks look at. */
export interface DoctorInput {
  readonly read: FileReader;
  readonly facts: MachineFacts;
  readonly uring: UringAvailability;
  readonly epoll: EpollAvailability;
  /** With `memoryProblem`, that of a machine with memory enough. */
  readonly sizing: Sizing;
  /** Why a server would not start here for lack of memory. */
  readonly memoryProblem: { readonly text: string; readonly fix: string } | undefined;
  /** What `RINGLOOM_TOPOLOGY` says. */
  readonly topology?: string | undefined;
}

/** A hundred connections would already be tight below this; servers want many more. */
const DESCRIPTORS_COMFORTABLE = 4_096;

/** Runs all checks, in the order of the report. */
export function runChecks(input: DoctorInput): Check[] {
  return [
    checkNode(),
    checkKernel(input),
    checkAddon(input),
    checkCompiler(),
    checkUring(input),
    checkOpcodes(input),
    checkEpoll(input),
    checkSysctl(input),
    checkSeccomp(input),
    checkDescriptors(input),
    checkLockedMemory(input),
    checkBacklog(input),
    checkCpus(input),
    checkMemory(input),
    checkTasks(input),
  ];
}

function checkNode(): Check {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const isOld = major < 20 || (major === 20 && minor < 19);
  const text = `${process.version} (${process.platform} ${arch()}, Node-API ${process.versions.napi ?? "unknown"})`;
  return isOld ? warning("node", text, "Use Node 20.19 or newer.") : good("node", text);
}

function checkKernel({ uring }: DoctorInput): Check {
  if (uring.verdict === "platform") return problem("kernel", `${process.platform} ${release()}`, uring.fix);
  if (uring.verdict === "kernel-too-old" || uring.verdict === "no-io-uring")
    return problem("kernel", release(), uring.fix);
  return good("kernel", `${release()} (uring needs ${KERNEL_RELEASE_MIN})`);
}

function checkAddon({ uring }: DoctorInput): Check {
  if (loadNative() !== undefined) return good("addon", `loaded from ${addonPath()}`);
  const text = nativeProblem() ?? "not loaded";
  return uring.verdict === "platform" ? info("addon", text) : problem("addon", text, uring.fix);
}

function checkCompiler(): Check {
  for (const name of [process.env.CC || "cc", "gcc", "clang"]) {
    const result = spawnSync(name, ["--version"], { encoding: "utf8" });
    const version = result.status === 0 ? result.stdout.split("\n")[0] : undefined;
    if (version !== undefined) return good("compiler", version);
  }
  const isNeeded = loadNative() === undefined && process.platform === "linux" && !existsSync(addonPath());
  return isNeeded
    ? warning("compiler", "none found", 'Install one (Debian: "apt-get install gcc libc6-dev") to build the addon.')
    : info("compiler", "none found; none is needed once the addon is built");
}

function checkUring({ uring }: DoctorInput): Check {
  return uring.verdict === "available" ? good("io_uring", uring.reason) : problem("io_uring", uring.reason, uring.fix);
}

function checkOpcodes({ uring }: DoctorInput): Check {
  const names = Object.keys(URING_OPCODES);
  if (uring.verdict === "available") return good("opcodes", `all ${names.length} that are needed`);
  if (uring.opcodesMissing.length === 0) return info("opcodes", "not known without a ring");
  return problem("opcodes", `missing: ${uring.opcodesMissing.join(", ")}`, uring.fix);
}

function checkEpoll({ epoll }: DoctorInput): Check {
  if (epoll.isAvailable) return good("epoll", "available, also where io_uring is denied");
  return problem("epoll", epoll.reason, epoll.fix);
}

function checkSysctl({ read, uring }: DoctorInput): Check {
  const value = read("/proc/sys/kernel/io_uring_disabled")?.trim();
  const name = "sysctl";
  if (value === undefined) return info(name, "kernel.io_uring_disabled does not exist here");
  const text = `kernel.io_uring_disabled = ${value}`;
  if (uring.verdict === "sysctl") return problem(name, text, uring.fix);
  return value === "0" ? good(name, text) : info(name, text);
}

function checkSeccomp({ read, uring }: DoctorInput): Check {
  const mode = seccompMode(read);
  if (mode === undefined) return info("seccomp", "not known here");
  const text = ["no filter", "strict", "a filter is installed"][mode] ?? `mode ${mode}`;
  if (uring.verdict === "seccomp") return problem("seccomp", `${text}, and it denies io_uring`, uring.fix);
  return mode === 0 ? good("seccomp", text) : info("seccomp", text);
}

function checkDescriptors({ read }: DoctorInput): Check {
  const { soft, hard } = readLimit(read("/proc/self/limits") ?? "", "Max open files");
  const text = `${limitText(soft)} (hard ${limitText(hard)})`;
  if (hard >= DESCRIPTORS_COMFORTABLE) return good("open files", text);
  return warning(
    "open files",
    text,
    'Each connection takes one. Raise the hard limit ("ulimit -Hn", LimitNOFILE= in systemd).',
  );
}

function checkLockedMemory({ read }: DoctorInput): Check {
  const { soft } = readLimit(read("/proc/self/limits") ?? "", "Max locked memory");
  // Since 5.12 rings are charged to the memory cgroup and not to this limit, so it is no problem on a kernel that uring runs on.
  return info("locked memory", soft === Number.POSITIVE_INFINITY ? "unlimited" : formatBytes(soft));
}

function checkBacklog({ read }: DoctorInput): Check {
  const value = Number(read("/proc/sys/net/core/somaxconn")?.trim() || Number.NaN);
  if (Number.isNaN(value)) return info("somaxconn", "not known here");
  const text = `net.core.somaxconn = ${value}`;
  if (value >= 1_024) return good("somaxconn", text);
  return warning(
    "somaxconn",
    text,
    'Bursts of connections are dropped. Raise it ("sysctl -w net.core.somaxconn=4096").',
  );
}

function checkCpus({ facts, sizing }: DoctorInput): Check {
  const quota = facts.cgroup.cpuQuota;
  const limit =
    quota === undefined ? "no quota" : `quota ${Math.round(quota * 100) / 100} (cgroup ${facts.cgroup.cpuVersion})`;
  const text =
    `${facts.cpus.length} allowed, ${limit}: ${plural(sizing.shards, "shard")} by default (${sizing.shardsReason}), ` +
    `spin ${sizing.spin.mode} (${sizing.spinReason})`;
  return good("CPUs", text);
}

function checkMemory({ sizing, memoryProblem }: DoctorInput): Check {
  if (memoryProblem !== undefined) return warning("memory", memoryProblem.text, memoryProblem.fix);
  const { limitBytes, limitFrom } = sizing.memory;
  return good("memory", `${formatBytes(limitBytes)} (${limitFrom}): ${budgetText(sizing.memory)}`);
}

function checkTasks({ sizing, topology = "io+compute" }: DoctorInput): Check {
  const known = TOPOLOGIES.find((name) => name === topology);
  if (known === undefined) {
    const text = `RINGLOOM_TOPOLOGY is ${JSON.stringify(topology)}: servers do not start`;
    return problem("tasks", text, `Use one of ${TOPOLOGIES.join(", ")}.`);
  }
  const { compute, computeNice } = resolveRuntimeOptions({});
  try {
    const threads = taskThreads({ topology: known, compute }, sizing);
    return good("tasks", describeTaskThreads(threads, computeNice, sizing.computeReason));
  } catch (error) {
    if (!(error instanceof RingloomError)) throw error;
    return problem("tasks", error.message, "Use fewer shards (--shards), or the topology io+compute.");
  }
}

function limitText(value: number): string {
  return value === Number.POSITIVE_INFINITY ? "unlimited" : String(value);
}

function good(name: string, text: string): Check {
  return { name, status: "good", text, fix: "" };
}

function info(name: string, text: string): Check {
  return { name, status: "info", text, fix: "" };
}

function warning(name: string, text: string, fix: string): Check {
  return { name, status: "warning", text, fix };
}

function problem(name: string, text: string, fix: string): Check {
  return { name, status: "problem", text, fix };
}
