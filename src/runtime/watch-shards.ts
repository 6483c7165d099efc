/** The watchdog over the threads of one server: joins the clockwork (`src/observe/watchdog.ts`) to the inspector and the log. */
import { log } from "../observe/log.js";
import { StackCapture } from "../observe/stack-capture.js";
import { Watchdog, type WatchedThread } from "../observe/watchdog.js";

/** How often the pulses of all threads are taken, in milliseconds; more often for a watchdog that needs it. */
const LOOK_MS_MAX = 250;
/** Looks within a limit: a blockage is found at most two parts of so many late. */
const LOOKS_PER_LIMIT = 4;

/** Who is told of each thread, and when their pulses have been taken. */
export interface ShardWatch {
  watch(thread: WatchedThread): void;
  forget(thread: WatchedThread): void;
  look(): void;
  /** All threads are gone. */
  end(): void;
}

/** How often pulses are taken and, where a timer beats, hearts beat, for limits in milliseconds of which 0 is none. */
export function lookMs(...limits: readonly number[]): number {
  const shortest = Math.min(...limits.filter((ms) => ms > 0), LOOK_MS_MAX * LOOKS_PER_LIMIT);
  return Math.floor(shortest / LOOKS_PER_LIMIT);
}

/** Begins to watch, on the supervisor's thread and before the shards start. Undefined where `thresholdMs` is 0. */
export async function watchShards(thresholdMs: number): Promise<ShardWatch | undefined> {
  if (thresholdMs === 0) return undefined;
  const capture = await StackCapture.open((title, frames) => watchdog.stackSeen(title, frames));
  const watchdog = new Watchdog({ thresholdMs, log, requestStack: (title) => capture?.request(title) === true });
  return {
    watch: (thread) => watchdog.watch(thread),
    forget: (thread) => watchdog.forget(thread),
    look: () => watchdog.look(),
    end: () => capture?.close(),
  };
}
