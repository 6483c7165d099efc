/**
 * The shared memory of a process's scheduler, and what each thread is told about it.
 *
 *     one buffer of words: [ the segment: queues, parkers, tasks ] [ life of each thread ] [ count of deaths ] [ places ] [ figures: a line for each thread ] [ slab: a region for each thread ] [ ports: count of values; for each thread its epoch, whether it should sweep, its state and its keep (`leaving.ts`) ]
 *
 * Ids 0 to `executors` - 1 are threads that run tasks; `executors` is the supervisor; the next `blocking` ids are threads for tasks that block; the others only spawn. The supervisor gives out ids and lives, and alone writes the words of lives, deaths and places.
 */
import type { MessagePort } from "node:worker_threads";
import { INJECTOR_SHARDS_MAX } from "../constants.js";
import type { Doorbell } from "../driver/contract.js";
import { createSegment, type Layout, layoutOf, readLayout, type SegmentOptions } from "../shared/layout.js";
import { Segment } from "../shared/segment.js";
import { type SlabDivision, type SlabShape, slabLength } from "../shared/slab.js";
import { SharedWords } from "../shared/words.js";
import type { LeavingShape } from "./leaving.js";
import { placesLength } from "./places.js";

const LINE_WORDS = 16;
/** Words of the figures of one thread: a cache line, because that thread alone writes them. */
export const FIGURE_WORDS = LINE_WORDS;

/** Words that each thread has for its ports. */
const PORT_WORDS = 4;

/** The exit code of a thread for tasks that block which had none for long. Any other one is a death. */
export const BLOCKING_IDLE_CODE = 75;

/** Where the arguments and results that do not fit a task's slot lie: 8 MiB of addresses a thread, of which the kernel backs what is used. */
const SLAB: Omit<SlabDivision, "threads"> = { unitWords: LINE_WORDS, chunkUnits: 16_384, chunks: 8 };

/**
 * What the threads that run tasks sleep in, which says how they are woken: on their word (compute threads, of which one that sleeps in its loop may be busy there), in a driver that says when it blocks (shards), or in an event
 * loop that does not, so that a thread which sleeps may be busy (shards on other drivers).
 */
export type ExecutorSleep = "word" | "driver" | "loop";

/** What all threads of a scheduler need to take part in it. Plain data, to be posted. */
export interface SchedulerShare {
  readonly words: SharedArrayBuffer;
  readonly functions: SharedArrayBuffer;
  /** Ids of threads that run tasks: the lowest ones. */
  readonly executors: number;
  /** How many places those threads serve; see `places.ts`. */
  readonly places: number;
  readonly sleep: ExecutorSleep;
  /** Whether a thread takes tasks that others have spawned. */
  readonly steals: boolean;
  /** Threads for tasks that block: at most so many, with the ids behind the supervisor's. */
  readonly blocking: number;
  /** Values by port that may be under way from one thread to another, in MiB. */
  readonly portMib: number;
  /** Shards whose functions its threads may call; 0 where there is no server. */
  readonly callableShards: number;
  /** Why no thread runs tasks; see `failure-note.ts`. */
  readonly failure: SharedArrayBuffer;
  /** By thread id. */
  readonly doorbells: readonly Doorbell[];
}

/** The share, and which thread of it this one is. To be posted with its line in the transfer list. */
export interface SchedulerAssignment extends SchedulerShare {
  readonly thread: number;
  /** The thread's line to the supervisor, which passes on the ports that values go by. */
  readonly line: MessagePort;
}

/** One thread's access to the memory. */
export interface SchedulerView {
  readonly words: SharedWords;
  readonly segment: Segment;
  readonly slab: SlabShape;
  /** Index of the first word of the places; see `places.ts`. */
  readonly places: number;
  /** Index of the first word of the figures; see `figures.ts`. */
  readonly figures: number;
  /** Index of the word that counts the values that went by port. */
  readonly portValues: number;
  /** Index of the word that says whether thread 0 should sweep; those of the others follow. */
  readonly portSweeps: number;
  readonly leaving: LeavingShape;
}

/** Makes the words of a scheduler. Throws a RangeError for sizes that cannot be. */
export function createSchedulerWords(options: SegmentOptions): SharedArrayBuffer {
  // A shard for each thread: the injector asks its shards in turn, so no thread's tasks wait behind all of another's.
  const layout = layoutOf({ injectorShards: Math.min(options.threads, INJECTOR_SHARDS_MAX), lifoSlots: 0, ...options });
  const slab = slabAfter(layout);
  const length = portsAfter(slab) + wholeLines(1 + PORT_WORDS * options.threads);
  const buffer = new SharedArrayBuffer(length * Int32Array.BYTES_PER_ELEMENT);
  // The header that `createSegment` writes is what the layout is read from.
  const segment = new Int32Array(createSegment(layout));
  new Int32Array(buffer).set(segment.subarray(0, LINE_WORDS));
  return buffer;
}

/** Opens the memory on one thread. */
export function viewScheduler(buffer: SharedArrayBuffer, thread: number): SchedulerView {
  const words = new SharedWords(buffer);
  const layout = readLayout(words);
  const slab = slabAfter(layout);
  const { threads } = slab;
  const epochs = portsAfter(slab) + 1;
  return {
    words,
    segment: new Segment(words, layout, thread),
    slab,
    places: placesAfter(layout),
    figures: figuresAfter(layout),
    portValues: portsAfter(slab),
    portSweeps: epochs + threads,
    leaving: { threads, epochs, states: epochs + 2 * threads, keeps: epochs + 3 * threads },
  };
}

/** The figures and places alone, for who takes no part in the scheduler. */
export function viewFigures(buffer: SharedArrayBuffer): Pick<SchedulerView, "words" | "places" | "figures"> {
  const words = new SharedWords(buffer);
  const layout = readLayout(words);
  return { words, places: placesAfter(layout), figures: figuresAfter(layout) };
}

function slabAfter(layout: Layout): SlabShape {
  const { threads } = layout.options;
  const lives = layout.length;
  const deaths = lives + wholeLines(threads);
  return { ...SLAB, threads, lives, deaths, base: figuresAfter(layout) + threads * FIGURE_WORDS };
}

function placesAfter(layout: Layout): number {
  return layout.length + wholeLines(layout.options.threads) + LINE_WORDS;
}

function figuresAfter(layout: Layout): number {
  return placesAfter(layout) + wholeLines(placesLength(layout.options.threads));
}

function portsAfter(slab: SlabShape): number {
  return slab.base + slabLength(slab);
}

function wholeLines(words: number): number {
  return Math.ceil(words / LINE_WORDS) * LINE_WORDS;
}
