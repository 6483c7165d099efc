/**
 * The contract that every driver keeps: what a connection is, which events it has, in which order, and who owns which byte.
 * `test/driver/` holds the suite that each driver passes. `docs/architecture.md` explains the shape.
 *
 * A CONNECTION IS A HANDLE: a slot (an index into typed arrays) and that slot's generation, a number that changes each time the
 * slot is given to another connection. Events carry the slot alone, because during an event it is certainly live. Whoever keeps
 * a slot beyond the event keeps `generations[slot]` with it, and compares before the next call; a mismatch means that the
 * connection is gone. Slots fit 20 bits. Generations count up in 31 bits and wrap after 2^31 uses of one slot (six hours at
 * 100,000 connections a second through a single slot), which is the ABA bound.
 *
 * EVENTS run one at a time, on the shard's own thread, never inside a call to the driver: a method that causes an event
 * has returned before the event is delivered. In one turn a driver reaps all completions first, then runs their
 * events, bounded, then calls `turnEnded`, then flushes once. The order for one connection is
 *
 *     accepted | connected | adopt returned → (received | drained)* → ended? → (drained)* → closed
 *
 * and `closed` comes exactly once, whoever closed, after the last event of any other kind. When it returns, the slot belongs
 * to the driver again. A call with a slot that is not taken does nothing: `reserve` returns -1, `queuedBytes` 0, `peerAddress` undefined.
 * An exception that a handler throws is reported as an uncaught exception, and the other events are delivered all the same.
 *
 * RECEIVING is pushed. `received(slot, bytes, offset, length)` lends the bytes for the duration of the call and no longer.
 * On `uring` and `epoll`, `bytes` is `receiveSlab.bytes`, the same object at each call, except for what a pause held back; on `portable` it is whatever chunk Node read.
 * After `pause(slot)` no `received` is delivered for that slot until `resume(slot)`; the driver keeps what still arrives (the
 * cancellation of a receive is asynchronous) and delivers it in order after `resume`, in a later turn. The end of the stream waits behind it.
 *
 * SENDING reserves, fills, commits. `reserve(slot, size)` returns an offset into `writeBytes` with room for `size` bytes, or -1
 * when the write pool is exhausted. There is at most one open reservation, it is closed by `commit` or `abort` before anything else is sent,
 * and it does not survive the current synchronous run. What one turn commits for one connection leaves in as few sends as its blocks allow.
 * `commitShared(slot, shared)` queues bytes that `shareBytes` has copied once for many connections.
 * Bytes leave in commit order, or the connection is closed. `queuedBytes(slot)` is what has not reached the kernel.
 * `requestDrained(slot)` asks for one `drained(slot)`, delivered in a later turn when `queuedBytes` is at or below `DRAIN_LOW_WATER_BYTES`. It says nothing of the
 * write pool: who found that exhausted tries again at `turnEnded` or later, and would with `requestDrained` ask for one turn behind the other.
 *
 * CLOSING: `end(slot)` half-closes after what is queued; when the peer has ended too, the driver closes. `close(slot)` is at once: what is queued is dropped. `closeAfterFlush(slot)`
 * sends what is queued, half-closes, discards what still arrives (RFC 9112, section 9.6: an early close would reset the
 * connection and destroy the answer on its way) and closes when the peer ends, or after `LINGER_MS`. After `close` or `closeAfterFlush`,
 * and after `closed`, `reserve` returns -1 and the other calls do nothing, except that `close` still cuts a `closeAfterFlush` short and `queuedBytes` tells what that one has left to send; the only
 * event that follows is `closed` (so a `connected` or `drained` that was due is not delivered). After `end` only `reserve` returns -1:
 * receiving goes on, and so do `pause`, `resume`, `requestDrained` and both ways to close. When both sides have ended, what
 * was queued has left and `ended` has been delivered, the driver closes the connection itself, with errno 0.
 *
 * WAKING. Another thread makes this one look for work with `ringDoorbell` (`doorbell.ts`); `wake.rung` is then called once, in a turn, after the events of
 * its completions, however often was rung since the last time. What the ringer published before it rang is there for `rung` to find, and no ring is
 * lost: one that comes while the thread works, spins or goes to sleep has the same effect as one that wakes it. A thread that watches (`SpinPolicy`)
 * watches the doorbell's word too, so that waking it costs nobody a system call.
 * `wake.idle` sees the sleep of the thread, for the protocol "announce, look again, park": `prepare` is the last call before the thread blocks, after it has watched; when that
 * returns false, a turn runs instead, and the thread asks again before it next blocks. `resume` is called once for each `prepare` that agreed, before any other event. Both are called
 * outside of a turn, so what they commit leaves in the next. On `portable`, and where libuv does the waiting (`loop: "uv"`), the
 * block cannot be seen: the two are never called, and the thread counts as always asleep, so that each first ring costs a wake-up.
 * The doorbell stays its creator's: a shutdown does not close it, a ring after that does nothing, and the next driver that is created with it, on whatever
 * thread, answers for the rings that nobody has answered.
 */
import type { Duplex } from "node:stream";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import type { TlsAcceptor } from "../tls/acceptor.js";
import type { FileStat } from "./file-stat.js";

/**
 * What a driver is called, in options, in `RINGLOOM_DRIVER` and in reports.
 * @experimental
 */
export type DriverName = "uring" | "epoll" | "portable";

/**
 * The side of the contract that a driver's user implements. One object, so that each call site in the driver is monomorphic.
 * @experimental
 */
export interface DriverEvents {
  /** A peer connected through `listener`. Receiving is on. */
  accepted(slot: number, listener: number): void;
  /** The attempt of `connect` ended: `errno` is 0, or the positive error number, and then `closed` follows. */
  connected(slot: number, errno: number): void;
  /** `length` bytes arrived. They are lent until this returns. */
  received(slot: number, bytes: Uint8Array, offset: number, length: number): void;
  /** The peer will send no more (FIN). Sending still works until `close` or `closeAfterFlush`. */
  ended(slot: number): void;
  /** The answer to `requestDrained`. */
  drained(slot: number): void;
  /** The connection is gone. `errno` is 0 after an orderly close, else the positive error number (`ECONNRESET`). */
  closed(slot: number, errno: number): void;
  /** The listener accepts no more, and every connection that waited in its queue has been delivered. */
  listenerStopped(listener: number): void;
  /** All events of this turn have run; what is committed now leaves with this turn's flush. */
  turnEnded(): void;
}

/**
 * Memory that the kernel may receive into: a part of one array that never moves.
 * @experimental
 */
export interface ReceiveSlab {
  /** The whole array. On drivers that use the slab, `received` always passes this very object. */
  readonly bytes: Uint8Array;
  /** Where the part for the driver starts, in bytes. The driver skips what it must to align its buffers to 4 KiB. */
  readonly offset: number;
  /** How long that part is, in bytes. */
  readonly length: number;
}

/**
 * An address to listen on. Ports are 0..65535; 0 lets the system choose.
 * @experimental
 */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  /** How many connections may wait to be accepted. */
  readonly backlog: number;
  /** Let several sockets share the port (SO_REUSEPORT). */
  readonly reusePort: boolean;
}

/**
 * A Unix socket to listen on. Nobody may be bound to its path, not even one that is gone and has left its file: the driver removes no files, except that
 * node:net, under `portable`, removes its own when it stops.
 * @experimental
 */
export interface ListenPath {
  /** The path of a file, at most 107 bytes, or behind a first character of code 0 an abstract name (Linux). */
  readonly path: string;
  /** How many connections may wait to be accepted. */
  readonly backlog: number;
}

/**
 * Where a listener ended up.
 * @experimental
 */
export interface Listening {
  readonly listener: number;
  /** Empty for a Unix socket. */
  readonly host: string;
  readonly port: number;
  /** Of a Unix socket. */
  readonly path?: string;
}

/**
 * How a shard waits when nothing is ready: how long it watches for work before it sleeps in the kernel.
 * @experimental
 */
export interface SpinPolicy {
  /** `off` sleeps at once; `fixed` watches for `microsMax`; `adaptive` does so only while it has lately paid. */
  readonly mode: "off" | "fixed" | "adaptive";
  /** The longest time to watch before sleeping, in microseconds. */
  readonly microsMax: number;
}

/**
 * A doorbell, as plain data that any thread can be posted. `createDoorbell` makes one.
 * @experimental
 */
export type Doorbell =
  | {
      /** For `uring` and `epoll`: an eventfd in their own wait. */
      readonly kind: "eventfd";
      readonly buffer: SharedArrayBuffer;
      /** Where its words begin, in bytes. */
      readonly byteOffset: number;
      readonly fd: number;
    }
  | {
      /** For `portable`: `Atomics.notify`, to which `Atomics.waitAsync` wakes libuv. */
      readonly kind: "atomics";
      readonly buffer: SharedArrayBuffer;
      readonly byteOffset: number;
    };

/**
 * What a driver's user does around the sleep of its thread.
 * @experimental
 */
export interface IdleHooks {
  /** The thread would block now. False when there is work after all: then a turn runs. */
  prepare(): boolean;
  /** The thread, which `prepare` let block, goes on. */
  resume(): void;
}

/**
 * How other threads wake the driver's thread.
 * @experimental
 */
export interface DriverWake {
  /** One driver at a time answers to a doorbell. */
  readonly doorbell: Doorbell;
  /** Somebody has rung since the last call. */
  rung(): void;
  /** The kernel has refused a message of `tellRing`, whose number this is: nobody was woken by it. */
  untold?(number: number): void;
  readonly idle?: IdleHooks | undefined;
}

/**
 * What a driver is created with.
 * @experimental
 */
export interface DriverOptions {
  /** How many connections at once, at most 2^20. */
  readonly connectionsMax: number;
  /** How many write bytes in all may wait for the kernel. A multiple of 64 KiB. */
  readonly writePoolBytes: number;
  readonly receiveSlab: ReceiveSlab;
  /** Submission entries of the ring, a power of two (uring only). */
  readonly ringEntries: number;
  readonly spin: SpinPolicy;
  /**
   * `inverted` sleeps in the ring or in epoll and watches libuv from there; `uv` sleeps in libuv, which watches them (not on portable). One driver of a
   * thread can do the former: a further one is polled by libuv, whatever it asks for.
   */
  readonly loop: "inverted" | "uv";
  /** Default: no other thread can wake this one, and nothing is watched or called for it. */
  readonly wake?: DriverWake | undefined;
  /** Whoever connects to a listener speaks TLS, and is accepted when the handshake is complete (portable only). Default: plain connections. */
  readonly tls?: TlsAcceptor | undefined;
}

/**
 * Counters of one driver. They only grow, except where a name says `Now`.
 * @experimental
 */
export interface DriverStats {
  accepted: number;
  /** Connections refused because every slot was taken, or too many handshakes were under way. */
  rejected: number;
  /** Connections that ended in their TLS handshake, or were not let in by it. */
  handshakesFailed: number;
  connectionsNow: number;
  receivedBytes: number;
  sentBytes: number;
  /** Completions or events that belonged to an earlier user of their slot, and were dropped. */
  staleCompletions: number;
  /** Times that a receive found no buffer, or no room in the slab, and had to be started again. */
  receiveStarved: number;
  /** Times that `reserve` found the write pool exhausted. */
  writeStarved: number;
  /** Times that the submission queue was full and an operation had to wait. */
  submissionQueueFull: number;
  /** Times that the kernel reported completions beyond the completion queue. */
  completionOverflows: number;
  turns: number;
  /** Receives and sends that shared a system call with others (`epoll`). */
  batched: number;
  /** Turns that found the doorbell rung. */
  rung: number;
  /** Calls of `io_uring_enter` or `epoll_wait`. */
  enters: number;
  /** Time that the thread slept in the driver's own wait, in microseconds. 0 where libuv does the waiting. */
  asleepMicros: number;
  /** Time that the thread watched for work before it slept, in microseconds. */
  spinningMicros: number;
  /** Blocks of the write pool that are taken. */
  writeBlocksNow: number;
  /** Pieces of received bytes that wait for a paused connection. */
  receiveBuffersNow: number;
}

/**
 * What a TLS connection is made to, or upon.
 * @experimental
 */
export type TlsTarget =
  | { readonly host: string; readonly port: number }
  | { readonly path: string }
  | { readonly socket: Duplex };

/**
 * The side of the contract that a driver implements.
 * @experimental
 */
export interface Driver {
  readonly name: DriverName;
  /** Generation of each slot. Read-only for users. */
  readonly generations: Int32Array;
  /** The memory that `reserve` gives room in. */
  readonly writeBytes: Uint8Array;
  /** Bytes of the write pool in whole blocks of 64 KiB that nobody has. As many 64 KiB can be reserved one behind the other, whoever asks. */
  readonly writeRoomBytes: number;
  readonly operations: Operations;
  readonly stats: DriverStats;

  /**
   * Starts to accept. `target` is a listening descriptor or an address. Rejects with the kernel's code (`EADDRINUSE`) where the
   * address cannot be had. On `uring` and `epoll` a descriptor stays the caller's to close after `listenerStopped`. On `portable` it
   * belongs to the driver from this call on, which closes it before `listenerStopped`: node:net always closes what it
   * listens on, so give it a duplicate where others listen on the same socket. (It also repeats listen(2), with a
   * backlog of {@link PORTABLE_DESCRIPTOR_BACKLOG}.)
   */
  listen(target: number | ListenAddress | ListenPath): Promise<Listening>;
  /** Stops accepting once those who wait in the queue have been accepted; `listenerStopped` tells when. Unknown and stopped listeners are ignored. */
  stopListening(listener: number): void;
  /**
   * Starts to connect to an IP address. `connected` tells how it went. Returns the slot, or -1 when every slot is taken.
   * Throws a TypeError for a host that is not an IP address and a RangeError for a port outside 1..65535. Until `connected`,
   * `reserve` returns -1.
   */
  connect(host: string, port: number): number;
  /**
   * As {@link connect}, to a Unix socket: see {@link ListenPath.path}. Throws a TypeError for a path that is empty or too long. EAGAIN says that the listener's
   * queue is full, on the drivers that do not wait for room in it (`epoll`, `portable`).
   */
  connectPath(path: string): number;
  /**
   * As {@link connect} and {@link connectPath}, and speaks TLS: `connected` comes behind the handshake. `socket`, in place of an address, is a stream that is connected already, and is the
   * driver's from then on. Throws what `tls.connect` throws for its options. Only a driver over Node's own sockets has the method.
   */
  connectTls?(target: TlsTarget, options: ConnectionOptions): number;
  /** Node's socket under a connection that speaks TLS; undefined for another, and for one that is gone. */
  tlsSocket?(slot: number): TLSSocket | undefined;
  /** During `connected` and `closed`: what the error number stands for, where the system has none for it, such as a certificate that nobody trusts. */
  failureOf?(slot: number): Error | undefined;
  /** Makes a connection of a connected stream socket, and owns its descriptor from then on. Returns the slot, or -1. */
  adopt(descriptor: number): number;
  /**
   * Takes a connection that somebody else has accepted, as a listener of a driver with `tls` does: `accepted` comes behind the handshake, with -1 for the listener. Returns false when every slot is taken;
   * the descriptor then stays the caller's. Only a driver that was created with `tls` has the method.
   */
  acceptDescriptor?(descriptor: number): boolean;
  /**
   * Ends a connection without closing its socket. When what is queued has left, `done` gets the descriptor, which is the caller's from then on, and what had arrived and was never delivered; `closed` follows, with errno 0.
   * No other event comes meanwhile. If the connection breaks or is closed before, `done` gets a negative error number instead (-ECANCELED after `close`). Returns false, and does nothing, for a connection that cannot send: one that is
   * connecting, ending or gone. Throws `ERR_RINGLOOM_UNSUPPORTED` on `portable` without the addon.
   */
  release(slot: number, done: ReleaseDone): boolean;

  reserve(slot: number, size: number): number;
  commit(slot: number, length: number): void;
  abort(slot: number): void;
  queuedBytes(slot: number): number;
  requestDrained(slot: number): void;

  /**
   * Copies up to 64 KiB into the write pool, for many connections to send. Returns what {@link commitShared} takes until {@link unshareBytes}, or -1 when the pool is exhausted. What it is worth: nothing is copied
   * for each connection. What it costs: a send of its own for each, where small bytes would leave together with others. So it is for messages of some KiB.
   */
  shareBytes(bytes: Uint8Array): number;
  /** Queues all of what was shared. False when the connection cannot send, and when too much that is shared waits already: it can be copied then. */
  commitShared(slot: number, shared: number): boolean;
  /** Nothing is to be committed of it any more. What was, is sent all the same. */
  unshareBytes(shared: number): void;

  pause(slot: number): void;
  resume(slot: number): void;

  end(slot: number): void;
  close(slot: number): void;
  closeAfterFlush(slot: number): void;

  /**
   * Bytes that the kernel holds for the peer, until that acknowledges them. With `queuedBytes` it tells a peer that reads slowly from one that does not read: the kernel
   * takes more only when much of what it holds has left. A driver without the method cannot tell.
   */
  unacknowledgedBytes?(slot: number): number;

  /** The peer's address, such as `"127.0.0.1"` and its port; undefined when it is not known any more, and for Unix sockets. */
  peerAddress(slot: number): { readonly host: string; readonly port: number } | undefined;
  /** Our own end; undefined when it is not known any more, and for Unix sockets. */
  localAddress(slot: number): { readonly host: string; readonly port: number } | undefined;

  /** Whether small pieces leave at once (TCP_NODELAY, which is on from the start). Does nothing on a Unix socket. */
  setNoDelay(slot: number, on: boolean): void;
  /** Whether the kernel asks an idle peer if it still lives (SO_KEEPALIVE), after `idleSeconds` for the first time; 0 is the system's default. */
  setKeepAlive(slot: number, on: boolean, idleSeconds: number): void;
  /** Whether this connection keeps the event loop alive, as it does from the start. One that is idle in a pool need not. */
  setReferenced(slot: number, isReferenced: boolean): void;

  /**
   * Lets the driver write into word 0 of `words`, from now on and at each turn, whether this thread is awake or asleep in the driver's own wait;
   * see `src/observe/heartbeat.ts`. Returns what takes the longest turn of the event loop since the last call, in microseconds; undefined where libuv does
   * the waiting. A driver without the method never does its own. At most once.
   */
  publishPulse?(words: Int32Array): (() => number) | undefined;

  /** The descriptor of this driver's io_uring, for `tellRing` of the drivers of other threads. A driver without a ring has none. */
  readonly ringDescriptor?: number;
  /**
   * Rings the thread whose driver has that ring, as its doorbell would, by a message from ring to ring (IORING_OP_MSG_RING). It leaves with this thread's next system call,
   * at the end of its turn. Where the kernel refuses, since the descriptor is no ring any more, `wake.untold` gets `number`, which is below 2^20.
   * Returns false, and does nothing, when this driver is shut down, and before Linux 6.6, which may not wake the other thread.
   */
  tellRing?(descriptor: number, number: number): boolean;

  /**
   * Keeps the thread's event loop alive (the default while a listener or a connection exists) or lets it end. What is being ended keeps it alive all the same:
   * `listenerStopped` comes, and a shutdown resolves.
   */
  ref(): void;
  unref(): void;

  /**
   * Closes everything, cancels every operation, and resolves when all `closed` events and completions have been delivered and the
   * kernel holds no memory of this driver any more. From then on `listen` rejects and `connect`, `adopt` and every operation throw with
   * `ERR_RINGLOOM_CLOSED`.
   */
  shutdown(): Promise<void>;
}

/**
 * What becomes of {@link Driver.release}: a descriptor or a negative error number, and bytes that go with the former.
 * @experimental
 */
export type ReleaseDone = (descriptor: number, unread: Uint8Array) => void;

/**
 * A completion callback. `result` is what the system call returns: a count or 0, or a negative error number.
 * @experimental
 */
export type OperationDone = (result: number) => void;

/**
 * A completion callback of {@link Operations.stat}: `stat` is there when `result` is 0.
 * @experimental
 */
export type StatDone = (result: number, stat: FileStat | undefined) => void;

/**
 * The name of a file: text, which is encoded as UTF-8, or the bytes of a name that is no text.
 * @experimental
 */
export type FilePath = string | Uint8Array;

/**
 * A system call that names one file, or two.
 * @experimental
 */
export interface PathRequest {
  /** What is to be done. `symlink` makes `to` a link whose text is `path`; `rename` and `link` go from `path` to `to`. */
  readonly call: "open" | "mkdir" | "rmdir" | "unlink" | "rename" | "link" | "symlink";
  readonly path: FilePath;
  /** The second name, of `rename`, `link` and `symlink`. */
  readonly to?: FilePath | undefined;
  /** Of `open`: the `O_…` flags of open(2). The descriptor is always closed by exec. */
  readonly flags?: number | undefined;
  /** Of `open` and `mkdir`: permission bits of what is made, less the umask. Default: 0o666 and 0o777. */
  readonly mode?: number | undefined;
}

/**
 * An entry of the submission queue as the kernel wants it, and the memory that it names. Nothing in it is checked: a wrong address is memory that the kernel overwrites.
 * @experimental
 */
export interface UnsafeSubmission {
  /** The 16 words of `struct io_uring_sqe`. Words 8 and 9, `user_data`, are the driver's and are overwritten. */
  readonly entry: Int32Array;
  /** Memory that the kernel uses: its address is put into `word` and the word behind it, and it stays where it is until the last completion. */
  readonly buffers?: readonly { readonly word: number; readonly bytes: Uint8Array }[] | undefined;
}

/**
 * A completion callback of {@link Operations.unsafeSubmit}: the two fields of `struct io_uring_cqe`. While `flags` has `IORING_CQE_F_MORE` there are more to come.
 * @experimental
 */
export type UnsafeDone = (result: number, flags: number) => void;

/**
 * The position that stands for the file's own: where the last transfer without a position ended. For pipes, terminals and sockets there is no other.
 * @experimental
 */
export const CURRENT_POSITION = -1;

/**
 * The completion-style core: submit, then be told once. Each method returns an operation id for {@link Operations.cancel}, or throws
 * `ERR_RINGLOOM_OVERLOADED` when every operation slot is taken. Buffers belong to the driver until the completion. On `epoll` and `portable`
 * file operations go through libuv's pool of threads: they wait while it is busy, and one that it has begun cannot be cancelled any more. So do
 * those on `uring` whose opcode the kernel lacks.
 * @experimental
 */
export interface Operations {
  /** Completes in the next turn with 0. */
  nop(done: OperationDone): number;
  /** Completes with -ETIME after `ms` milliseconds, 0 to 2^31 - 1. */
  timeout(ms: number, done: OperationDone): number;
  /** Reads into `buffer` from `position` (bytes from the start of the file, or {@link CURRENT_POSITION}). */
  readAt(descriptor: number, buffer: Uint8Array, position: number, done: OperationDone): number;
  /** Writes `buffer` at `position`, or at {@link CURRENT_POSITION}. */
  writeAt(descriptor: number, buffer: Uint8Array, position: number, done: OperationDone): number;
  /** Reads into several buffers, one after the other, at most {@link VECTOR_BUFFERS_MAX}. */
  readVector(descriptor: number, buffers: readonly Uint8Array[], position: number, done: OperationDone): number;
  /** Writes several buffers, one after the other, at most {@link VECTOR_BUFFERS_MAX}. */
  writeVector(descriptor: number, buffers: readonly Uint8Array[], position: number, done: OperationDone): number;
  /**
   * Reads what is in memory already, inside the call, and never waits for a disk. Returns a count, which is short at the end of the file and where the rest is not in memory, or
   * a negative error number: -EAGAIN when nothing is there yet, -EOPNOTSUPP (or -EINVAL) when this file or driver cannot tell. No operation slot is taken.
   */
  readNow(descriptor: number, buffer: Uint8Array, position: number): number;
  /** Flushes a file to its device; `dataOnly` is fdatasync. */
  fsync(descriptor: number, dataOnly: boolean, done: OperationDone): number;
  /** Makes a file so many bytes long. */
  truncate(descriptor: number, length: number, done: OperationDone): number;
  /**
   * Reserves room for `length` bytes from `position`, and makes the file at least that long. Through the pool, which has no such call, zeros are written behind the end of the file instead; what
   * somebody appends meanwhile may be overwritten there.
   */
  allocate(descriptor: number, position: number, length: number, done: OperationDone): number;
  /** Closes a descriptor. Whatever the result, it is closed then. */
  closeFile(descriptor: number, done: OperationDone): number;
  /** Runs a system call that names files. The result of `open` is a descriptor. */
  path(request: PathRequest, done: OperationDone): number;
  /** What the kernel knows of a file, by name or by descriptor. `followLinks` says whether a symbolic link stands for what it points to. */
  stat(target: FilePath | number, followLinks: boolean, done: StatDone): number;
  /**
   * Submits an entry of the caller's own making, on drivers with a ring; others do not have the method. Throws a TypeError or RangeError for an entry that is none, or that would complete unseen
   * (`IOSQE_CQE_SKIP_SUCCESS`).
   */
  unsafeSubmit?(submission: UnsafeSubmission, done: UnsafeDone): number;
  /** Asks that an operation end early: it then completes with -ECANCELED, unless it had already run. A stale id is ignored. */
  cancel(operation: number): void;
  /** How many operations have not completed. */
  readonly pendingNow: number;
}
