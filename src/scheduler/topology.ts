/** Which threads of a server run tasks. */
import { THREADS_MAX } from "../constants.js";
import { RingloomError } from "../errors.js";

/** Compute threads of one process. */
export const COMPUTE_MAX = 32;
/** Threads of one process that may run tasks: all but the supervisor. */
export const EXECUTORS_MAX = THREADS_MAX - 1;

/** Shards that can run tasks: each needs an id for itself and one for the thread that takes over from it. */
const RUNNING_SHARDS_MAX = Math.trunc(EXECUTORS_MAX / 2);

/** The words for `--topology`. */
export const TOPOLOGIES = ["io+compute", "work-stealing", "thread-per-core"] as const;

/**
 * Which threads of a server run tasks.
 *
 * - `io+compute`: compute threads, at a lower priority than the shards. The default.
 * - `work-stealing`: the shards, between the turns of their sockets; an idle one takes tasks from a busy one.
 * - `thread-per-core`: the shards, each its own.
 * @experimental
 */
export type Topology = (typeof TOPOLOGIES)[number];

/** The options that say which threads run tasks. */
export interface TopologyOptions {
  readonly topology: Topology;
  /** Compute threads; 0 for no tasks at all. */
  readonly compute: number | "auto";
}

/** What a server does with its tasks. */
export interface TaskThreads {
  readonly topology: Topology;
  /** Threads that run tasks, or 0 when there are no tasks. */
  readonly count: number;
}

/**
 * Settles which threads run tasks, of so many shards and compute threads.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` for compute threads in a topology that has none, and for more shards than can run tasks.
 */
export function taskThreads(
  { topology, compute }: TopologyOptions,
  sized: { readonly shards: number; readonly compute: number },
): TaskThreads {
  if (topology === "io+compute") return { topology, count: sized.compute };
  if (compute === 0) return { topology, count: 0 };
  if (compute !== "auto") throw refused(`${compute} compute threads: the topology ${topology} has none`, "compute");
  if (sized.shards > RUNNING_SHARDS_MAX) {
    throw refused(
      `the topology ${topology} with ${sized.shards} shards: at most ${RUNNING_SHARDS_MAX} run tasks`,
      "topology",
    );
  }
  return { topology, count: sized.shards };
}

/** One line for people. `why` says why there are so many compute threads. */
export function describeTaskThreads({ topology, count }: TaskThreads, nice: number, why: string): string {
  if (count === 0) return `${topology}: no tasks (${topology === "io+compute" ? why : "as asked"})`;
  switch (topology) {
    case "io+compute":
      return `${topology}: ${count} compute ${count === 1 ? "thread" : "threads"} at nice ${nice} (${why}), started with the first task`;
    case "work-stealing":
      return `${topology}: the shards run them between their turns, and idle ones take them from busy ones`;
    case "thread-per-core":
      return `${topology}: each shard runs its own between its turns`;
  }
}

function refused(what: string, option: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot use ${what}.`, {
    operation: "size the runtime",
    details: { option },
  });
}
