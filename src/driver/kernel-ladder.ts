/** What each kernel version brought to io_uring, as data: for the choice of a driver, for `ringloom doctor` and for the docs. */

/** One step of the ladder. */
export interface KernelStep {
  /** The kernel release that brought it. */
  readonly since: string;
  /** What it brought. */
  readonly adds: string;
  /** What Ringloom does on kernels that lack it. */
  readonly without: string;
}

/** The oldest kernel release on which the uring driver runs. */
export const KERNEL_RELEASE_MIN = "6.1";

/**
 * The oldest one on which a ring that sleeps is woken by a message from another ring. IORING_OP_MSG_RING is older, but wake-ups were missed on 5.19 and on 6.1.22
 * (github.com/axboe/liburing/issues/839), and a missed one cannot be seen; this is the first long-term release behind those.
 */
export const RING_MESSAGES_RELEASE_MIN = "6.6";

const INSTEAD = "the epoll driver serves";

/** The ladder from the first io_uring on, oldest first. */
export const KERNEL_LADDER: readonly KernelStep[] = [
  { since: "5.1", adds: "io_uring itself", without: INSTEAD },
  { since: "5.6", adds: "SEND, RECV, READ, WRITE, CLOSE, PROBE", without: INSTEAD },
  { since: "5.11", adds: "a timeout in io_uring_enter (EXT_ARG), SHUTDOWN", without: INSTEAD },
  { since: "5.19", adds: "multishot ACCEPT, provided-buffer rings", without: INSTEAD },
  { since: "6.0", adds: "multishot RECV, SINGLE_ISSUER", without: INSTEAD },
  { since: "6.1", adds: "DEFER_TASKRUN: completions run when the shard asks for them", without: INSTEAD },
  { since: "6.6", adds: "the sysctl kernel.io_uring_disabled", without: "only seccomp can deny io_uring" },
];

/** Compares two kernel releases by major and minor number; negative when `left` is older. `6.18.44-generic` is read as 6.18. */
export function compareKernelReleases(left: string, right: string): number {
  const [leftMajor, leftMinor] = releaseNumbers(left);
  const [rightMajor, rightMinor] = releaseNumbers(right);
  return leftMajor - rightMajor || leftMinor - rightMinor;
}

function releaseNumbers(release: string): [major: number, minor: number] {
  const match = /^(\d+)\.(\d+)/.exec(release);
  return [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
}
