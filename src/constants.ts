/** Every limit of the layers below HTTP, in one place; relations between them are asserted when this file loads. */
import { assert } from "./assert.js";

/** Bits of a connection slot in `user_data`. */
export const SLOT_BITS = 20;
/** The most connections that one shard can have. */
export const CONNECTIONS_MAX = 1 << SLOT_BITS;
/** Connections that a shard accepts unless told otherwise. */
export const CONNECTIONS_DEFAULT = 1 << 16;

/** Generations count from 1 to this and start again: 31 bits, so that V8 keeps them as small integers. */
export const GENERATION_MAX = 0x7fff_ffff;

/** Size of one provided receive buffer, in bytes. */
export const RECEIVE_BUFFER_BYTES = 4096;
/** The most receive buffers of one shard, 64 MiB of them (`io_uring_register_buf_ring` would take 2^15). */
export const RECEIVE_BUFFERS_MAX = 16384;
/** Receive buffers given to the kernel at first. A small set stays in the cache; it doubles when the kernel runs out of them. */
export const RECEIVE_BUFFERS_FIRST = 256;

/** The smallest and the largest block of the write pool, in bytes. */
export const WRITE_BLOCK_BYTES_MIN = 512;
export const WRITE_BLOCK_BYTES_MAX = 65536;
/** Tiers of the write pool: 512 B, 1, 2, 4, 8, 16, 32 and 64 KiB. */
export const WRITE_TIERS = 8;
/** Connections that may wait with a block that they share with others, counted for each such block. 1.5 MiB of address space. */
export const SHARED_REFERENCES_MAX = 131_072;
/** Write pool of a shard unless told otherwise, in bytes. */
export const WRITE_POOL_BYTES_DEFAULT = 64 * 1024 * 1024;

/** `requestDrained` is answered when this much or less is queued, in bytes. */
export const DRAIN_LOW_WATER_BYTES = 16 * 1024;

/** How long `closeAfterFlush` waits for the peer's end before it closes anyway, in milliseconds. */
export const LINGER_MS = 1000;

/** Backlog that the portable driver gives a listening descriptor, because node:net calls listen(2) on it once more. The kernel caps it at `somaxconn`. */
export const PORTABLE_DESCRIPTOR_BACKLOG = 65535;

/** Submission queue entries of a shard's ring; the completion queue has four times as many. */
export const RING_ENTRIES_DEFAULT = 1024;

/** One-shot operations that can be pending at once on one shard. */
export const OPERATIONS_MAX = 4096;

/** Buffers of one vectored transfer: the kernel's `UIO_MAXIOV`. */
export const VECTOR_BUFFERS_MAX = 1024;

/** Bytes that reads may take from the page cache inside their calls before one of them lets the event loop have a turn. A read counts as 4 KiB at least. */
export const INLINE_READ_BYTES_MAX = 1024 * 1024;

/** Completions that one turn runs before it lets libuv have a look. */
export const COMPLETIONS_PER_TURN_MAX = 4096;

/** Listeners of one driver. */
export const LISTENERS_MAX = 64;

/** The longest time that an adaptive spin watches before it sleeps, in microseconds. */
export const SPIN_MICROS_DEFAULT = 25;

/** Threads that one shared segment serves; a thread's id has 6 bits in a task's state. */
export const THREADS_MAX = 64;
/** The most task slots of all threads together. */
export const TASK_SLOTS_MAX = 1 << 20;
/** Tasks that one thread can have spawned and not yet seen settled, unless told otherwise. */
export const TASK_SLOTS_PER_THREAD_DEFAULT = 4096;
/** Values of tasks that may be under way by port from one thread to another unless told otherwise, and the most that an option may say, in MiB. */
export const PORT_MIB_DEFAULT = 128;
export const PORT_MIB_MAX = 65_536;
/** How often an idempotent task is begun again after the death of its thread: one that kills each thread it runs on would go on for ever. */
export const RERUNS_MAX = 3;
/** Hints that a thread's run queue holds unless told otherwise; what is more goes to the injector. */
export const RUN_QUEUE_CAPACITY_DEFAULT = 256;
/** Hints that one theft takes at most. */
export const STEAL_MAX_DEFAULT = 128;
/** LIFO slots in front of a run queue unless told otherwise, and the most there can be. */
export const LIFO_SLOTS_DEFAULT = 1;
export const LIFO_SLOTS_MAX = 4;
/** Tasks that a thread takes from its LIFO slots in a row while its queue holds others. */
export const LIFO_RUNS_MAX = 3;
/** Shards of the injector unless told otherwise, and the most there can be: one bit each in the occupancy mask. */
export const INJECTOR_SHARDS_DEFAULT = 1;
export const INJECTOR_SHARDS_MAX = 32;

/** Messages that the lane from one shard to another holds unless told otherwise, and the most there can be. */
export const MESSAGES_MAX_DEFAULT = 1024;
export const MESSAGES_MAX = 65_536;
/** Messages that a shard handles in one turn of its event loop. */
export const MESSAGES_PER_TURN_MAX = 256;
/** Messages that are taken together, unless told otherwise: as many as a lane holds, unless told otherwise. */
export const MESSAGES_PER_BATCH_DEFAULT = 1_024;
/** What a hot counter collects before it is published while the receiver still has something to take, unless told otherwise. */
export const HOT_THRESHOLD_DEFAULT = 1024;
/** The largest value of a message, in bytes of its encoded form. */
export const MESSAGE_BYTES_MAX = 256 * 1024;
/** Memory of one thread's log of published messages, in bytes, at most and at least. Powers of two. */
export const BROADCAST_LOG_BYTES_MAX = 4 * 1024 * 1024;
export const BROADCAST_LOG_BYTES_MIN = 64 * 1024;
/** Published messages of other threads that are handed out in one turn. */
export const BROADCASTS_PER_TURN_MAX = 64;
/** A thread that has read no published message for so long, while it leaves no room, is waited for no longer. In milliseconds. */
export const BROADCAST_STALL_MS = 1_000;

/** Places of one thread's timers, the heads of their lists among them. */
export const TIMERS_MAX = 1 << 24;
/** Timers that run in one turn of the loop when more are due. */
export const TIMERS_PER_TURN_MAX = 4096;
/** Timers that one turn moves down in their wheel: half a millisecond. */
export const TIMER_MOVES_PER_TURN_MAX = 16_384;

assert(
  WRITE_BLOCK_BYTES_MIN << (WRITE_TIERS - 1) === WRITE_BLOCK_BYTES_MAX,
  "tiers double from the smallest block to the largest",
);
assert(RECEIVE_BUFFERS_FIRST <= RECEIVE_BUFFERS_MAX, "the first receive buffers are among all");
assert(RECEIVE_BUFFERS_MAX <= 1 << 15, "a buffer ring has at most 2^15 entries");
assert(DRAIN_LOW_WATER_BYTES <= WRITE_BLOCK_BYTES_MAX, "a drained connection has at most one block queued");
assert(CONNECTIONS_DEFAULT <= CONNECTIONS_MAX, "slots fit their bits");
assert(
  TASK_SLOTS_PER_THREAD_DEFAULT * THREADS_MAX <= TASK_SLOTS_MAX,
  "every thread can have its default of task slots",
);

/** Those that may wait at one channel, lock or event unless told otherwise; one more is refused. */
export const WAITING_MAX_DEFAULT = 65_536;
/** Operations of channels and locks that complete at once before the event loop is asked for a turn; when as many again complete before it comes, they wait for it. */
export const OPERATIONS_BEFORE_TURN = 1_024;
/** Failures that a group keeps for its join; what is more is counted. */
export const GROUP_FAILURES_MAX = 1_000;
