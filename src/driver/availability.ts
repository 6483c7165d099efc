/**
 * Can the uring driver run here, can the epoll driver, and if not, why exactly: the platform, the addon, the kernel's age, a sysctl, a seccomp filter
 * or a security module. The kernel answers EPERM for three of these, so the reason is worked out from /proc.
 *
 * Sources: io_uring_setup(2), Documentation/admin-guide/sysctl/kernel.rst (io_uring_disabled), proc_pid_status(5), capabilities(7).
 */
import { constants } from "node:os";
import { errnoName } from "../errors.js";
import { compareKernelReleases, KERNEL_RELEASE_MIN } from "./kernel-ladder.js";
import type { FileReader } from "./system-files.js";

/**
 * What the kernel answered to a trial ring.
 * @experimental
 */
export interface RingProbe {
  /** 0, or the positive error number with which the kernel refused. */
  readonly errno: number;
  /** The same for entering the ring, which a filter can deny by itself. */
  readonly enterErrno: number;
  readonly features: number;
  /** By opcode number: 1 where the kernel supports it. */
  readonly opcodes: Uint8Array;
}

/**
 * Everything that decides.
 * @experimental
 */
export interface DriverEnvironment {
  readonly platform: string;
  readonly kernelRelease: string;
  readonly read: FileReader;
  /** Asks the kernel for a trial ring; undefined without the addon. */
  readonly probe: (() => RingProbe) | undefined;
  /** Why there is no addon. */
  readonly addonProblem: string | undefined;
  /** What to do about that, a sentence. Default: to build it. */
  readonly addonFix?: string | undefined;
  /** Opcodes that the uring driver uses, by name. */
  readonly opcodesNeeded: Readonly<Record<string, number>>;
}

/**
 * Why the uring driver can or cannot run, in one word.
 * @experimental
 */
export type UringVerdict =
  | "available"
  | "platform"
  | "addon"
  | "no-io-uring"
  | "seccomp"
  | "sysctl"
  | "security-module"
  | "kernel-too-old"
  | "opcodes"
  | "resources"
  | "unknown";

/**
 * Whether the uring driver can run, why, and what to change.
 * @experimental
 */
export interface UringAvailability {
  readonly verdict: UringVerdict;
  /** One complete sentence. */
  readonly reason: string;
  /** What to change, one complete sentence; empty when available. */
  readonly fix: string;
  /** Names of needed opcodes that the kernel lacks. */
  readonly opcodesMissing: readonly string[];
}

/**
 * Works out whether the uring driver can run in `environment`.
 * @experimental
 */
export function uringAvailability(environment: DriverEnvironment): UringAvailability {
  const { platform, kernelRelease } = environment;
  if (platform !== "linux") {
    return verdict("platform", `io_uring exists only on Linux, and this is ${platform}.`, PLATFORM_FIX);
  }
  if (environment.probe === undefined) return verdict("addon", addonReason(environment), addonFix(environment));
  const probe = environment.probe();
  if (probe.errno !== 0) return refused(environment, probe.errno);
  if (probe.enterErrno !== 0) {
    const reason = `A seccomp filter denies io_uring_enter to this process (${errnoName(probe.enterErrno)}).`;
    return verdict("seccomp", reason, SECCOMP_FIX);
  }
  // A ring without a single opcode means that io_uring_register was refused, which only a filter on that call does.
  if (probe.opcodes.every((supported) => supported === 0)) {
    return verdict("seccomp", "A seccomp filter denies io_uring_register to this process.", SECCOMP_FIX);
  }
  const opcodesMissing = Object.entries(environment.opcodesNeeded)
    .filter(([, opcode]) => (probe.opcodes[opcode] ?? 0) === 0)
    .map(([name]) => name);
  if (opcodesMissing.length > 0) {
    return {
      verdict: "opcodes",
      reason: `Kernel ${kernelRelease} lacks ${opcodesMissing.join(", ")}.`,
      fix: `Use Linux ${KERNEL_RELEASE_MIN} or newer.`,
      opcodesMissing,
    };
  }
  return verdict("available", `Kernel ${kernelRelease} offers everything that uring needs.`, "");
}

/**
 * Whether the epoll driver can run: it needs Linux and the addon, and no permission.
 * @experimental
 */
export interface EpollAvailability {
  readonly isAvailable: boolean;
  /** Why not, one complete sentence; empty when available. */
  readonly reason: string;
  /** What to change, one complete sentence; empty when available. */
  readonly fix: string;
}

/**
 * Works out whether the epoll driver can run in `environment`. No ring is tried.
 * @experimental
 */
export function epollAvailability(environment: DriverEnvironment): EpollAvailability {
  const { platform } = environment;
  if (platform !== "linux") {
    const reason = `epoll exists only on Linux, and this is ${platform}.`;
    return { isAvailable: false, reason, fix: PLATFORM_FIX };
  }
  if (environment.probe === undefined) {
    return { isAvailable: false, reason: addonReason(environment), fix: addonFix(environment) };
  }
  return { isAvailable: true, reason: "", fix: "" };
}

/** Why epoll serves although uring cannot, a phrase; undefined where epoll cannot either. */
export function epollInstead({ verdict: name }: UringAvailability): string | undefined {
  switch (name) {
    case "available":
    case "platform":
    case "addon":
      return undefined;
    case "seccomp":
    case "sysctl":
    case "security-module":
      return "epoll needs no permission";
    case "kernel-too-old":
    case "no-io-uring":
    case "opcodes":
      return "epoll runs on every Linux";
    case "resources":
    case "unknown":
      return "epoll needs no ring";
  }
}

function refused(environment: DriverEnvironment, errno: number): UringAvailability {
  const { kernelRelease } = environment;
  const { errno: numbers } = constants;
  switch (errno) {
    case numbers.ENOSYS:
      return refusedAsUnknown(environment);
    case numbers.EPERM:
    case numbers.EACCES:
      return refusedAsForbidden(environment, errnoName(errno));
    case numbers.EINVAL:
      return verdict(
        "kernel-too-old",
        `Kernel ${kernelRelease} is too old: uring needs ${KERNEL_RELEASE_MIN} (IORING_SETUP_DEFER_TASKRUN).`,
        `Use Linux ${KERNEL_RELEASE_MIN} or newer.`,
      );
    case numbers.ENOMEM:
    case numbers.EMFILE:
    case numbers.ENFILE:
      return verdict(
        "resources",
        `The kernel has no room for a ring (${errnoName(errno)}).`,
        errno === numbers.ENOMEM
          ? 'Raise the limit of locked memory ("ulimit -l") or of the cgroup.'
          : 'Raise the limit of open files ("ulimit -n").',
      );
    default:
      return verdict(
        "unknown",
        `The kernel refused a ring with ${errnoName(errno)}.`,
        "Report this with the output of ringloom doctor --json.",
      );
  }
}

/** ENOSYS: the kernel never had io_uring, or a filter pretends so. */
function refusedAsUnknown(environment: DriverEnvironment): UringAvailability {
  const { kernelRelease, read } = environment;
  if (compareKernelReleases(kernelRelease, "5.1") < 0) {
    return verdict(
      "no-io-uring",
      `Kernel ${kernelRelease} has no io_uring, which came with 5.1.`,
      `Use Linux ${KERNEL_RELEASE_MIN} or newer.`,
    );
  }
  // The sysctl exists only in kernels that were built with io_uring, so with it the answer cannot be the kernel's own.
  const kernelHasIt = read("/proc/sys/kernel/io_uring_disabled") !== undefined;
  if (kernelHasIt || seccompMode(read) === 2) {
    return verdict("seccomp", "A seccomp filter hides io_uring from this process (ENOSYS).", SECCOMP_FIX);
  }
  return verdict(
    "no-io-uring",
    `Kernel ${kernelRelease} was built without io_uring (ENOSYS).`,
    "Use a kernel built with CONFIG_IO_URING=y.",
  );
}

/** EPERM: the sysctl, a seccomp filter, or a security module. */
function refusedAsForbidden(environment: DriverEnvironment, name: string): UringAvailability {
  const { read } = environment;
  const disabled = read("/proc/sys/kernel/io_uring_disabled")?.trim();
  if (disabled === "2") {
    return verdict(
      "sysctl",
      "The sysctl kernel.io_uring_disabled is 2: nobody may use io_uring.",
      'Set it to 0 ("sysctl -w kernel.io_uring_disabled=0").',
    );
  }
  if (disabled === "1" && !isExemptFromSysctl(read)) {
    const group = read("/proc/sys/kernel/io_uring_group")?.trim() ?? "-1";
    return verdict(
      "sysctl",
      `The sysctl kernel.io_uring_disabled is 1, and this process is neither in kernel.io_uring_group (${group}) nor has CAP_SYS_ADMIN.`,
      "Set kernel.io_uring_disabled to 0, or kernel.io_uring_group to a group of this process.",
    );
  }
  if (seccompMode(read) === 2) {
    return verdict("seccomp", `A seccomp filter denies io_uring to this process (${name}).`, SECCOMP_FIX);
  }
  return verdict(
    "security-module",
    `io_uring is denied (${name}), but neither by a sysctl nor by seccomp: probably by a security module.`,
    "Allow io_uring in the policy of the security module (SELinux: class io_uring).",
  );
}

const PLATFORM_FIX = "Nothing: the portable driver is the one for this platform.";

const ADDON_FIX = 'Install a C compiler (Debian: "apt-get install gcc libc6-dev") and run "npx ringloom build-addon".';

function addonFix(environment: DriverEnvironment): string {
  return environment.addonFix || ADDON_FIX;
}

function addonReason({ addonProblem }: DriverEnvironment): string {
  return sentence(addonProblem ?? "the addon is not loaded");
}

const SECCOMP_FIX =
  "Allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile (Docker's and Kubernetes' default profiles deny them).";

/** A process is exempt from level 1 with CAP_SYS_ADMIN (bit 21) or as a member of the named group. */
function isExemptFromSysctl(read: FileReader): boolean {
  const status = read("/proc/self/status") ?? "";
  const capabilities = /^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0";
  if ((BigInt(`0x${capabilities}`) >> 21n) & 1n) return true;
  const group = read("/proc/sys/kernel/io_uring_group")?.trim();
  const effectiveGroup = /^Gid:\s*\d+\s+(\d+)/m.exec(status)?.[1];
  const groups = /^Groups:\s*(.*)$/m.exec(status)?.[1]?.trim().split(/\s+/) ?? [];
  return group !== undefined && (group === effectiveGroup || groups.includes(group));
}

/** 0 none, 1 strict, 2 filter; undefined where the kernel does not say. */
export function seccompMode(read: FileReader): number | undefined {
  const mode = /^Seccomp:\s*(\d+)/m.exec(read("/proc/self/status") ?? "")?.[1];
  return mode === undefined ? undefined : Number(mode);
}

function verdict(name: UringVerdict, reason: string, fix: string): UringAvailability {
  return { verdict: name, reason, fix, opcodesMissing: [] };
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.\s*$/, "")}.`;
}
