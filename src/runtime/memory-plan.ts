/**
 * Where the memory of a server goes, worked out before it starts: a table whose rows together stay under the limit. A process
 * that crosses its container's limit is killed without a word, so what does not fit is refused at the start, with what to change.
 *
 * The rows that nobody can set (Node's own, a shard's base) were measured; docs/decisions.md has the figures. Everything else is a
 * share of what they leave.
 */
import type { ResourceLimits } from "node:worker_threads";
import { RingloomError } from "../errors.js";
import { messageBytes } from "../messages/message-memory.js";
import type { RuntimeOptions } from "./options.js";

/**
 * What a server may use, row by row, as data to print. The rows add up to the limit.
 * @experimental
 */
export interface MemoryBudget {
  /** The memory that this process may use. */
  readonly limitBytes: number;
  readonly limitFrom: "cgroup v1" | "cgroup v2" | "machine";
  readonly shards: number;
  /** Node's code, the supervisor's thread and heap, and the helper threads of V8 and libuv. */
  readonly processBytes: number;
  /** A shard's thread outside of its heap: stacks, compiled code, ring, WebAssembly code. */
  readonly baseBytesPerShard: number;
  readonly slotBytesPerShard: number;
  readonly writePoolBytesPerShard: number;
  readonly receiveSlabBytesPerShard: number;
  /** For the pools of the service: heads, pipelined bytes and bodies that are incomplete. */
  readonly servicePoolBytesPerShard: number;
  /** The young generation of the JavaScript heap, which V8 collects most often. */
  readonly youngHeapBytesPerShard: number;
  /** The old generation of the JavaScript heap; a shard that exceeds it ends. */
  readonly heapBytesPerShard: number;
  /** Threads that run tasks. They start with the first task, and are counted from the start. */
  readonly compute: number;
  readonly baseBytesPerCompute: number;
  readonly youngHeapBytesPerCompute: number;
  /** The old generation of the JavaScript heap of a thread that runs tasks; one that exceeds it ends. */
  readonly heapBytesPerCompute: number;
  /** Slots, pools and slab of all shards. */
  readonly buffersBytesTotal: number;
  /** Lanes and values of the messages between shards. The kernel backs what they use, out of what is left. */
  readonly messageBytes: number;
  /** Threads for tasks that block, at most. They start when such tasks come and end when they are idle, so they are counted nowhere. */
  readonly blockingMax: number;
  /** What each of them may take, at most. */
  readonly bytesPerBlocking: number;
  /** What is left for memory that no row covers: the buffers of packages, messages, shared caches, socket buffers, the page cache. Negative when explicit sizes exceed the limit. */
  readonly headroomBytes: number;
}

/** What {@link planMemory} starts from. */
export interface MemoryRequest {
  readonly limitBytes: number;
  readonly limitFrom: MemoryBudget["limitFrom"];
  readonly shards: number;
  /** Threads that run tasks. */
  readonly compute: number;
  /** Threads for tasks that block, at most. Default 0. */
  readonly blocking?: number;
  /** Whether the driver receives into a slab of ours. */
  readonly hasSlab: boolean;
  /** Connections that one shard could have by the descriptor limit. */
  readonly connectionsMax: number;
  readonly options: Pick<
    RuntimeOptions,
    "connections" | "writePoolMib" | "receiveSlabMib" | "heapMib" | "computeHeapMib" | "messagesMax"
  >;
}

/** The budget, with the number of connections that its slots are for. */
export interface MemoryPlan {
  readonly budget: MemoryBudget;
  readonly connectionsMax: number;
}

const MIB = 1_048_576;
/** Measured on Node 20 to 26: 6 to 8 MiB of its own and 34 to 64 MiB of mapped code, most of which the kernel can drop. */
const PROCESS_BYTES = 36 * MIB;
/** Measured on Node 20 to 26: 13 to 18 MiB a shard with a small application, of which 5 to 8 are heap. */
const SHARD_BASE_BYTES = 10 * MIB;
/** A thread that runs tasks, outside of its heap: as a shard without a ring. */
const COMPUTE_BASE_BYTES = 10 * MIB;
/** What a thread that runs tasks gets, as a share of a shard's part: it has no connections and no pools. */
const COMPUTE_WEIGHT = 1 / 3;
const COMPUTE_YOUNG_SHARE = 1 / 8;
const HEADROOM_BYTES_MIN = 8 * MIB;
const HEADROOM_SHARE = 1 / 10;
/** The share of the headroom that messages may come to take. */
const MESSAGES_SHARE = 1 / 4;
/** Shares of what one shard may use beyond its base; the old generation gets the rest. */
const SLOTS_SHARE = 1 / 16;
const RECEIVE_SLAB_SHARE = 1 / 8;
const WRITE_POOL_SHARE = 1 / 8;
const SERVICE_POOL_SHARE = 1 / 8;
const YOUNG_HEAP_SHARE = 1 / 16;
/** Without a slab Node reads into chunks of its own, which it frees when its collector comes round: so many slabs are left free for them. */
const NODE_CHUNKS_FACTOR = 2;
const POOL_BYTES_MAX = 64 * MIB;
/** The sum of what the pools of HTTP may take by default. */
const SERVICE_POOL_BYTES_MAX = 192 * MIB;
/** V8's own young generation: three semi-spaces of 16 MiB. */
const YOUNG_HEAP_BYTES_MAX = 48 * MIB;
/** Below this, a service with a few packages does not load. */
const HEAP_BYTES_MIN = 16 * MIB;
/** The least that a thread gets which runs tasks: a module for tasks with a package or two. With it and {@link COMPUTE_WEIGHT}, 128 MiB hold a shard and one such thread on each driver. */
const COMPUTE_HEAP_BYTES_MIN = 12 * MIB;
/** V8's own limit on a machine with 16 GiB or more. */
const HEAP_BYTES_MAX = 4_096 * MIB;
/** Upper estimate of what a connection costs in typed arrays, driver and HTTP together. */
const CONNECTION_SLOT_BYTES = 512;
const CONNECTIONS_MIN = 256;

/** The least that `shards` shards and `compute` threads for tasks need when every size is left to us, in bytes: the least heap, pools of 1 MiB, and what grows with them. */
export function memoryNeeded(shards: number, hasSlab: boolean, compute = 0): number {
  const slabShare = hasSlab ? RECEIVE_SLAB_SHARE : RECEIVE_SLAB_SHARE * NODE_CHUNKS_FACTOR;
  const heapShare = 1 - SLOTS_SHARE - slabShare - WRITE_POOL_SHARE - SERVICE_POOL_SHARE - YOUNG_HEAP_SHARE;
  const forShard = HEAP_BYTES_MIN / heapShare;
  const forCompute = COMPUTE_HEAP_BYTES_MIN / (1 - COMPUTE_YOUNG_SHARE);
  const part = compute === 0 ? forShard : Math.max(forShard, forCompute / COMPUTE_WEIGHT);
  const perCompute = COMPUTE_BASE_BYTES + part * COMPUTE_WEIGHT;
  const rows = PROCESS_BYTES + shards * (SHARD_BASE_BYTES + part) + compute * perCompute;
  return Math.ceil(Math.max(rows + HEADROOM_BYTES_MIN, rows / (1 - HEADROOM_SHARE)));
}

/**
 * Divides the limit.
 * Throws `ERR_RINGLOOM_MEMORY_LIMIT` when a shard's heap would be too small to run in, with what to change.
 */
export function planMemory(request: MemoryRequest): MemoryPlan {
  const { limitBytes, limitFrom, shards, compute, options } = request;
  const each = partOfShard(request);
  const task = planCompute(each, options.computeHeapMib);
  const connectionsMax =
    options.connections === "auto" ? countConnections(each, request.connectionsMax) : options.connections;
  const slots = connectionsMax * CONNECTION_SLOT_BYTES;
  const writePool =
    options.writePoolMib === "auto" ? wholeMib(each * WRITE_POOL_SHARE, POOL_BYTES_MAX) : options.writePoolMib * MIB;
  const slab = request.hasSlab ? slabBytes(options, each) : 0;
  const servicePool = wholeMib(each * SERVICE_POOL_SHARE, SERVICE_POOL_BYTES_MAX);
  const young = wholeMib(each * YOUNG_HEAP_SHARE, YOUNG_HEAP_BYTES_MAX);
  const nodeChunks = request.hasSlab ? 0 : slabBytes(options, each) * NODE_CHUNKS_FACTOR;
  const rest = each - slots - writePool - slab - nodeChunks - servicePool - young;
  const heap = options.heapMib === "auto" ? Math.min(floorMib(rest), HEAP_BYTES_MAX) : options.heapMib * MIB;
  if (heap < HEAP_BYTES_MIN && options.heapMib === "auto") throw tooSmall(request);
  if (compute > 0 && task.heap < COMPUTE_HEAP_BYTES_MIN && options.computeHeapMib === "auto") throw tooSmall(request);
  const perShard = SHARD_BASE_BYTES + slots + writePool + slab + servicePool + young + heap;
  const perCompute = COMPUTE_BASE_BYTES + task.young + task.heap;
  const headroom = limitBytes - PROCESS_BYTES - perShard * shards - perCompute * compute;
  const { messagesMax } = options;
  return {
    connectionsMax,
    budget: {
      limitBytes,
      limitFrom,
      shards,
      processBytes: PROCESS_BYTES,
      baseBytesPerShard: SHARD_BASE_BYTES,
      slotBytesPerShard: slots,
      writePoolBytesPerShard: writePool,
      receiveSlabBytesPerShard: slab,
      servicePoolBytesPerShard: servicePool,
      youngHeapBytesPerShard: young,
      heapBytesPerShard: heap,
      compute,
      baseBytesPerCompute: COMPUTE_BASE_BYTES,
      youngHeapBytesPerCompute: task.young,
      heapBytesPerCompute: task.heap,
      buffersBytesTotal: (slots + writePool + slab + servicePool) * shards,
      messageBytes: messageBytes({ shards, messagesMax, bytesMax: headroom * MESSAGES_SHARE }),
      blockingMax: request.blocking ?? 0,
      bytesPerBlocking: perCompute,
      headroomBytes: headroom,
    },
  };
}

/** What a shard may use beyond its base. */
function partOfShard({ limitBytes, shards, compute, options }: MemoryRequest): number {
  const headroomMin = Math.max(limitBytes * HEADROOM_SHARE, HEADROOM_BYTES_MIN);
  const bases = PROCESS_BYTES + shards * SHARD_BASE_BYTES + compute * COMPUTE_BASE_BYTES;
  const rest = Math.max(limitBytes - headroomMin - bases, 0);
  if (options.computeHeapMib === "auto") return rest / (shards + compute * COMPUTE_WEIGHT);
  // An explicit heap needs no part.
  const { young, heap } = planCompute(0, options.computeHeapMib);
  return Math.max(rest - compute * (young + heap), 0) / shards;
}

/** The heap of a thread that runs tasks. */
function planCompute(partOfOneShard: number, heapMib: number | "auto"): { young: number; heap: number } {
  if (heapMib !== "auto") {
    const heap = heapMib * MIB;
    return { young: wholeMib(heap * COMPUTE_YOUNG_SHARE, YOUNG_HEAP_BYTES_MAX), heap };
  }
  const part = partOfOneShard * COMPUTE_WEIGHT;
  const young = wholeMib(part * COMPUTE_YOUNG_SHARE, YOUNG_HEAP_BYTES_MAX);
  return { young, heap: Math.max(Math.min(floorMib(part - young), HEAP_BYTES_MAX), 0) };
}

/** The limits of a shard's heap, for `new Worker`. What reaches V8's own default is left to V8. */
export function heapLimits(budget: MemoryBudget): ResourceLimits {
  return limitsOf(budget.heapBytesPerShard, budget.youngHeapBytesPerShard);
}

/** The same for a thread that runs tasks. */
export function computeHeapLimits(budget: MemoryBudget): ResourceLimits {
  return limitsOf(budget.heapBytesPerCompute, budget.youngHeapBytesPerCompute);
}

function limitsOf(old: number, young: number): ResourceLimits {
  return {
    ...(old === HEAP_BYTES_MAX ? {} : { maxOldGenerationSizeMb: old / MIB }),
    ...(young === YOUNG_HEAP_BYTES_MAX ? {} : { maxYoungGenerationSizeMb: young / MIB }),
  };
}

function countConnections(bytes: number, most: number): number {
  return Math.min(Math.max(Math.floor((bytes * SLOTS_SHARE) / CONNECTION_SLOT_BYTES), CONNECTIONS_MIN), most);
}

function slabBytes(options: MemoryRequest["options"], each: number): number {
  return options.receiveSlabMib === "auto"
    ? wholeMib(each * RECEIVE_SLAB_SHARE, POOL_BYTES_MAX)
    : options.receiveSlabMib * MIB;
}

/** At least one MiB. Whole MiB are multiples of the write pool's 64 KiB and of the slab's 4 KiB. */
function wholeMib(bytes: number, max: number): number {
  return Math.min(Math.max(floorMib(bytes), MIB), max);
}

function floorMib(bytes: number): number {
  return Math.floor(bytes / MIB) * MIB;
}

function tooSmall(request: MemoryRequest): RingloomError {
  const { limitBytes, limitFrom, shards, compute, options } = request;
  const needed = Math.ceil(memoryNeeded(shards, request.hasSlab, compute) / MIB);
  const hasSizes =
    options.connections !== "auto" || options.writePoolMib !== "auto" || options.receiveSlabMib !== "auto";
  const changes = [
    `raise the memory limit to ${needed} MiB or more`,
    ...(shards > 1 ? ["start fewer shards (--shards)"] : []),
    ...(compute > 0 ? ["start fewer threads for tasks (--compute)"] : []),
    ...(hasSizes ? ["lower --connections, --write-pool-mib or --receive-slab-mib"] : []),
    "or set --heap-mib and take the risk",
  ];
  const threads = compute === 0 ? "" : ` and ${compute} ${compute === 1 ? "thread" : "threads"} for tasks`;
  const what = `${shards} ${shards === 1 ? "shard" : "shards"}${threads}`;
  return new RingloomError(
    "ERR_RINGLOOM_MEMORY_LIMIT",
    `Cannot start ${what} in ${Math.floor(limitBytes / MIB)} MiB (${limitFrom}): a heap of ${HEAP_BYTES_MIN / MIB} MiB a shard does not fit. To change: ${changes.join(", ")}.`,
    { operation: "size the runtime", details: { limitBytes, shards, compute, neededBytes: needed * MIB } },
  );
}
