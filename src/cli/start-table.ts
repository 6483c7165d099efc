/** What a server says about itself when it starts, for people. */
import type { DriverChoice } from "../driver/choose.js";
import type { MemoryBudget } from "../runtime/memory-plan.js";
import type { Sizing } from "../runtime/sizing.js";
import { formatBytes, paint, plural, type Terminal, table } from "./terminal.js";

/** What the table shows of a server. */
export interface StartFacts {
  readonly url: string;
  readonly host: string;
  readonly choice: DriverChoice;
  readonly sizing: Sizing;
  readonly pid: number;
  /** Which threads run tasks; see `describeTaskThreads`. */
  readonly tasks?: string | undefined;
  /** Where probes ask. */
  readonly healthUrl?: string | undefined;
  /** How long SIGTERM leaves it serving, in milliseconds. */
  readonly readyDelayMs?: number;
  readonly restartsMax?: number;
  readonly restartWindowMs?: number;
}

/** The lines of the table. */
export function startTable(facts: StartFacts, terminal: Terminal): string[] {
  const {
    url,
    host,
    choice,
    sizing,
    pid,
    tasks,
    healthUrl,
    readyDelayMs = 0,
    restartsMax,
    restartWindowMs = 0,
  } = facts;
  const { memory } = sizing;
  const health: [string, string][] = healthUrl === undefined ? [] : [["health", `${healthUrl} (/livez, /readyz)`]];
  const delay: [string, string][] =
    readyDelayMs === 0 ? [] : [["stop", `SIGTERM: not ready and serving for ${readyDelayMs} ms, then the drain`]];
  const restarts =
    restartsMax === undefined ? "" : `, at most ${plural(restartsMax, "restart")} in ${restartWindowMs / 1_000} s`;
  const everywhere = host === "0.0.0.0" || host === "::" ? " (every interface)" : "";
  return table(terminal, [
    ["url", `${paint(terminal, "cyan", url)}${everywhere}`],
    ...health,
    ["driver", `${paint(terminal, choice.name === "portable" ? "yellow" : "green", choice.name)}: ${choice.reason}`],
    ["shards", `${sizing.shards} (${sizing.shardsReason}), spin ${sizing.spin.mode} (${sizing.spinReason})${restarts}`],
    ...(tasks === undefined ? [] : [["tasks", tasks] as [string, string]]),
    [
      "memory",
      `${formatBytes(memory.limitBytes)} allowed (${memory.limitFrom}); up to ${plural(sizing.connectionsMax, "connection")} a shard`,
    ],
    ["budget", budgetText(memory)],
    ...delay,
    ["pid", String(pid)],
  ]);
}

/** The rows of the budget in one line: `Node 36 MiB + 2 shards of 120 MiB (base 10 MiB, heap 80 MiB, buffers 30 MiB) + 1 thread for tasks of 50 MiB (base 10 MiB, heap 40 MiB) + 44 MiB to spare`. */
export function budgetText(budget: MemoryBudget): string {
  const buffers = budget.buffersBytesTotal / budget.shards;
  const heap = budget.heapBytesPerShard + budget.youngHeapBytesPerShard;
  const shard = budget.baseBytesPerShard + heap + buffers;
  const parts = `base ${formatBytes(budget.baseBytesPerShard)}, heap ${formatBytes(heap)}, buffers ${formatBytes(buffers)}`;
  const taskHeap = budget.heapBytesPerCompute + budget.youngHeapBytesPerCompute;
  const tasks =
    budget.compute === 0
      ? ""
      : ` + ${budget.compute} ${budget.compute === 1 ? "thread" : "threads"} for tasks of ${formatBytes(budget.baseBytesPerCompute + taskHeap)} (base ${formatBytes(budget.baseBytesPerCompute)}, heap ${formatBytes(taskHeap)})`;
  const rest =
    budget.headroomBytes < 0
      ? `: ${formatBytes(-budget.headroomBytes)} more than is allowed`
      : ` + ${formatBytes(budget.headroomBytes)} to spare (messages take up to ${formatBytes(budget.messageBytes)} of it)`;
  const blocking =
    budget.blockingMax === 0
      ? ""
      : `; besides, while tasks block, up to ${budget.blockingMax} threads of ${formatBytes(budget.bytesPerBlocking)}`;
  return `Node ${formatBytes(budget.processBytes)} + ${plural(budget.shards, "shard")} of ${formatBytes(shard)} (${parts})${tasks}${rest}${blocking}`;
}
