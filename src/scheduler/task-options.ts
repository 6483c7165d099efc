/** The options that have to do with tasks. They are part of `RUNTIME_OPTIONS` in `src/runtime/options.ts`. */
import { availableParallelism } from "node:os";
import { PORT_MIB_DEFAULT, PORT_MIB_MAX, TASK_SLOTS_PER_THREAD_DEFAULT } from "../constants.js";
import { choiceOption, integerOption, integerOrAutoOption } from "../runtime/option.js";
import { COMPUTE_MAX, TOPOLOGIES } from "./topology.js";

/** Tasks that one thread may have in flight, at most. */
export const TASKS_MAX = 16_384;
/** Threads of one process for tasks that block, at most. Each keeps a stack and a heap of its own, some 10 MiB. */
export const BLOCKING_MAX = 16;
/** How long such a thread waits for its next task, in milliseconds. */
export const BLOCKING_IDLE_MS = 10_000;

/** How many such threads there may be, with so many CPUs, unless an option says so. */
export function blockingDefault(cpus: number = availableParallelism()): number {
  return Math.min(BLOCKING_MAX, 2 * cpus);
}

/** The lowest scheduling priority: `setpriority(2)`. */
export const NICE_MAX = 19;

/** The definition of each option for tasks. */
export const TASK_OPTIONS = {
  topology: choiceOption({
    flag: "topology",
    environment: ["RINGLOOM_TOPOLOGY"],
    placeholder: "NAME",
    fallback: "io+compute",
    fallbackText: "io+compute",
    choices: TOPOLOGIES,
    description:
      "Who runs tasks: compute threads beside the shards, the shards and idle ones take from busy ones, or each shard its own.",
  }),
  compute: integerOrAutoOption({
    flag: "compute",
    environment: ["RINGLOOM_COMPUTE"],
    placeholder: "N",
    fallback: "auto",
    fallbackText: "half of the allowed CPUs, at least 1",
    min: 0,
    max: COMPUTE_MAX,
    description:
      "Threads that run tasks, beside the shards (io+compute only). They start with the first task. 0: there are no tasks.",
  }),
  computeHeapMib: integerOrAutoOption({
    flag: "compute-heap-mib",
    environment: ["RINGLOOM_COMPUTE_HEAP_MIB"],
    placeholder: "N",
    fallback: "auto",
    fallbackText: "from the memory limit, at most 4096",
    min: 12,
    max: 1_048_576,
    description:
      "JavaScript heap (old generation) of one thread that runs tasks, in MiB. One that exceeds it is replaced.",
  }),
  computeNice: integerOption({
    flag: "compute-nice",
    environment: ["RINGLOOM_COMPUTE_NICE"],
    placeholder: "N",
    fallback: 10,
    fallbackText: "10",
    min: 0,
    max: NICE_MAX,
    description: "Scheduling priority of those threads, as nice(1) counts: the shards, at 0, go first. Linux only.",
  }),
  blocking: integerOrAutoOption({
    flag: "blocking",
    environment: ["RINGLOOM_BLOCKING"],
    placeholder: "N",
    fallback: "auto",
    fallbackText: "twice the allowed CPUs, at most 16",
    min: 0,
    max: BLOCKING_MAX,
    description:
      "Threads for tasks that block, at most. Each starts when such a task finds none idle, and ends after 10 s without one. 0: such tasks are refused.",
  }),
  tasksMax: integerOption({
    flag: "tasks-max",
    environment: ["RINGLOOM_TASKS_MAX"],
    placeholder: "N",
    fallback: TASK_SLOTS_PER_THREAD_DEFAULT,
    fallbackText: "4096",
    min: 1,
    max: TASKS_MAX,
    description: "Tasks that one shard may have in flight. One more is refused with ERR_RINGLOOM_OVERLOADED.",
  }),
  taskPortMib: integerOption({
    flag: "task-port-mib",
    environment: ["RINGLOOM_TASK_PORT_MIB"],
    placeholder: "N",
    fallback: PORT_MIB_DEFAULT,
    fallbackText: "128",
    min: 1,
    max: PORT_MIB_MAX,
    description:
      "Values of tasks over 1 MiB, or handed over, that may be under way from one thread to another, in MiB. One more is refused with ERR_RINGLOOM_OVERLOADED; a single one may be larger.",
  }),
};
