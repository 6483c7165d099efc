/**
 * Where everything is in the one SharedArrayBuffer of a runtime, in words.
 *
 *     header | parkers | idle set | injector | for each thread: settled set, inbox, LIFO slots, run queue | tasks: hot, then cold
 *
 * The supervisor computes the layout, creates the memory and writes the header; every thread gets the memory, reads the header and computes the same layout. What different threads write lies on different cache lines.
 */
import { assert } from "../assert.js";
import {
  INJECTOR_SHARDS_DEFAULT,
  INJECTOR_SHARDS_MAX,
  LIFO_SLOTS_DEFAULT,
  LIFO_SLOTS_MAX,
  RUN_QUEUE_CAPACITY_DEFAULT,
  STEAL_MAX_DEFAULT,
  TASK_SLOTS_MAX,
  TASK_SLOTS_PER_THREAD_DEFAULT,
  THREADS_MAX,
} from "../constants.js";
import { IDLE_SET_WORDS, type IdleSetShape, type NotifyForm } from "./idle-set.js";
import { type InjectorShape, injectorLength } from "./injector.js";
import type { LifoShape } from "./lifo-slots.js";
import { type ParkersShape, parkersLength } from "./parkers.js";
import { type RunQueueShape, runQueueLength } from "./run-queue.js";
import { type SlotSetShape, slotSetLength } from "./slot-set.js";
import { type TaskTableShape, taskTableLength } from "./task-table.js";
import { SharedWords, type Words } from "./words.js";

const LINE_WORDS = 16;
const MAGIC = 0x524c_5330;
/** Words of the header, in order. */
const HEADER = [
  "magic",
  "threads",
  "slotsPerThread",
  "queueCapacity",
  "lifoSlots",
  "injectorShards",
  "stealMax",
  "form",
] as const;
const FORMS: readonly NotifyForm[] = ["fetch", "compare-and-swap"];

/** How large the scheduler's memory is. */
export interface SegmentOptions {
  /** Threads that take part, the supervisor included if it spawns: 1 to 64. */
  readonly threads: number;
  /** Tasks that each can have spawned and not yet seen settled. */
  readonly slotsPerThread?: number;
  /** Hints in each run queue, a power of two. */
  readonly queueCapacity?: number;
  /** 0 to 4. */
  readonly lifoSlots?: number;
  /** 1 to 32. */
  readonly injectorShards?: number;
  /** Hints that one theft takes at most: half of what is there, if that is less. */
  readonly stealMax?: number;
  /** How sleeping threads are picked; see `idle-set.ts`. */
  readonly form?: NotifyForm;
}

/** The shapes of one thread's structures. */
export interface ThreadLayout {
  /** Slots of this thread, relative to its first one, whose tasks are done. */
  readonly settled: SlotSetShape;
  /** Slots of all threads: tasks that are pinned to this one. */
  readonly inbox: SlotSetShape;
  readonly lifo: LifoShape;
  readonly queue: RunQueueShape;
}

/** The shapes of all structures. */
export interface Layout {
  readonly options: Required<SegmentOptions>;
  readonly parkers: ParkersShape;
  readonly idle: IdleSetShape;
  readonly injector: InjectorShape;
  readonly threads: readonly ThreadLayout[];
  readonly tasks: TaskTableShape;
  /** Words in all. */
  readonly length: number;
}

/** Computes the layout. Throws a RangeError for sizes that cannot be. */
export function layoutOf(given: SegmentOptions): Layout {
  const options = checked(given);
  const { threads, slotsPerThread, queueCapacity, lifoSlots, injectorShards, form } = options;
  const capacity = threads * slotsPerThread;
  let length = LINE_WORDS;
  function take(words: number): number {
    const base = length;
    length += Math.ceil(words / LINE_WORDS) * LINE_WORDS;
    return base;
  }
  const parkers = { base: take(parkersLength(threads)), threads };
  const idle = { base: take(IDLE_SET_WORDS), form };
  const injector = {
    base: take(injectorLength({ capacity, shards: injectorShards })),
    capacity,
    shards: injectorShards,
  };
  const each = Array.from({ length: threads }, () => ({
    settled: { base: take(slotSetLength(slotsPerThread)), capacity: slotsPerThread },
    inbox: { base: take(slotSetLength(capacity)), capacity },
    lifo: { base: take(LIFO_SLOTS_MAX), count: lifoSlots },
    queue: { base: take(runQueueLength(queueCapacity)), capacity: queueCapacity },
  }));
  const tasks = { base: take(taskTableLength({ threads, slotsPerThread })), threads, slotsPerThread };
  return { options, parkers, idle, injector, threads: each, tasks, length };
}

/** Makes the memory for a layout: what the supervisor hands to all threads. */
export function createSegment(layout: Layout): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(layout.length * Int32Array.BYTES_PER_ELEMENT);
  const words = new SharedWords(buffer);
  const { options } = layout;
  const header = { ...options, magic: MAGIC, form: FORMS.indexOf(options.form) };
  for (const [n, name] of HEADER.entries()) words.write(n, header[name]);
  return buffer;
}

/** Reads the layout of memory that {@link createSegment} made. The memory is handed over by a message, which is what publishes the header. */
export function readLayout(words: Words): Layout {
  assert(words.length > LINE_WORDS && words.read(0) === MAGIC, "the memory is a scheduler's segment");
  const [, threads, slotsPerThread, queueCapacity, lifoSlots, injectorShards, stealMax, formIndex] = HEADER.map(
    (_, n) => words.read(n),
  ) as [number, number, number, number, number, number, number, number];
  const form = FORMS[formIndex] ?? "fetch";
  const layout = layoutOf({ threads, slotsPerThread, queueCapacity, lifoSlots, injectorShards, stealMax, form });
  assert(layout.length <= words.length, "the memory is as long as its header says, or longer");
  return layout;
}

function checked(given: SegmentOptions): Required<SegmentOptions> {
  const options = {
    threads: within("threads", given.threads, [1, THREADS_MAX]),
    slotsPerThread: within("slotsPerThread", given.slotsPerThread ?? TASK_SLOTS_PER_THREAD_DEFAULT, [
      1,
      TASK_SLOTS_MAX,
    ]),
    queueCapacity: within("queueCapacity", given.queueCapacity ?? RUN_QUEUE_CAPACITY_DEFAULT, [2, TASK_SLOTS_MAX]),
    lifoSlots: within("lifoSlots", given.lifoSlots ?? LIFO_SLOTS_DEFAULT, [0, LIFO_SLOTS_MAX]),
    injectorShards: within("injectorShards", given.injectorShards ?? INJECTOR_SHARDS_DEFAULT, [1, INJECTOR_SHARDS_MAX]),
    stealMax: within("stealMax", given.stealMax ?? STEAL_MAX_DEFAULT, [1, TASK_SLOTS_MAX]),
    form: given.form ?? "fetch",
  };
  if ((options.queueCapacity & (options.queueCapacity - 1)) !== 0)
    throw new RangeError(`Cannot lay out a segment: queueCapacity is ${options.queueCapacity}, no power of two`);
  const slots = options.threads * options.slotsPerThread;
  if (slots > TASK_SLOTS_MAX)
    throw new RangeError(`Cannot lay out a segment: ${slots} task slots, at most ${TASK_SLOTS_MAX}`);
  return options;
}

function within(name: string, value: number, [least, most]: readonly [number, number]): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`Cannot lay out a segment: ${name} is ${value}, not an integer from ${least} to ${most}`);
}
