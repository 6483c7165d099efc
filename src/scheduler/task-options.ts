/** The options that have to do with tasks. They are part of `RUNTIME_OPTIONS` in `src/runtime/options.ts`. */
import { TASK_SLOTS_PER_THREAD_DEFAULT } from "../constants.js";
import { choiceOption, integerOption, integerOrAutoOption } from "../runtime/option.js";
import { COMPUTE_MAX, TOPOLOGIES } from "./topology.js";

/** Tasks that one thread may have in flight, at most. */
export const TASKS_MAX = 16_384;
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
};
