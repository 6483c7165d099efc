/** Whether something else used the cores during a run: then its figures are the machine's, not the subject's. */
import { readFileSync } from "node:fs";
import { type Placement, parseCoreList } from "./machine.js";
import { childPids } from "./processes.js";

/** In a shorter time the clock ticks are too coarse to tell. */
const SECONDS_MIN = 0.2;
const CLOCK_TICKS_PER_SECOND = 100;

/** Watches from its making on. Everywhere but on Linux it sees nothing. */
export class NeighbourWatch {
  readonly #cores: readonly number[];
  readonly #startedMs = performance.now();
  readonly #used: number | undefined;
  readonly #own: number | undefined;

  constructor({ serverCore, loadCore }: Placement) {
    this.#cores = parseCoreList([serverCore, loadCore].filter((core) => core !== undefined).join(","));
    this.#used = usedTicks(readText("/proc/stat"), this.#cores);
    this.#own = ownTicks();
  }

  /** The share of the cores' time, 0 to 1, that went to neither this process nor what it has started; undefined when that cannot be told. Ended children must have been awaited. */
  share(): number | undefined {
    const seconds = (performance.now() - this.#startedMs) / 1_000;
    const stat = readText("/proc/stat");
    const used = usedTicks(stat, this.#cores);
    const own = ownTicks();
    if (seconds < SECONDS_MIN || used === undefined || own === undefined) return undefined;
    if (this.#used === undefined || this.#own === undefined) return undefined;
    const cores = this.#cores.length === 0 ? coreLines(stat, []).length : this.#cores.length;
    const foreign = used - this.#used - (own - this.#own);
    return Math.max(0, foreign / (seconds * CLOCK_TICKS_PER_SECOND * cores));
  }
}

/**
 * The ticks that cores (all if there are none) have been busy, as /proc/stat counts them. With `steal`, what the host gave to others; without interrupts, which belong to nobody but are mostly the
 * network traffic of the run itself.
 */
export function usedTicks(stat: string | undefined, cores: readonly number[]): number | undefined {
  const lines = coreLines(stat, cores);
  if (lines.length === 0) return undefined;
  return lines.reduce((sum, [user = 0, nice = 0, system = 0, , , , , steal = 0]) => {
    return sum + user + nice + system + steal;
  }, 0);
}

function coreLines(stat: string | undefined, cores: readonly number[]): number[][] {
  return [...(stat ?? "").matchAll(/^cpu(\d+) (.*)$/gm)]
    .filter(([, core]) => cores.length === 0 || cores.includes(Number(core)))
    .map(([, , figures = ""]) => figures.trim().split(" ").map(Number));
}

/** Of this process, of its children that live, and of those that were awaited. */
function ownTicks(): number | undefined {
  const own = processTicks("self");
  return own === undefined ? undefined : childPids().reduce((sum, pid) => sum + (processTicks(pid) ?? 0), own);
}

function processTicks(pid: number | "self"): number | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  // The command's name, field 2, may hold spaces: count from the parenthesis that ends it. Its own user and system time, then that of awaited children.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields?.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
