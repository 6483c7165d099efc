/**
 * The portable driver: the contract over node:net and node:fs, for macOS, Windows and kernels that deny io_uring. It has no native code.
 *
 * Node delivers one event per socket from its poll phase; the driver hands each on at once. What they commit leaves in the check phase
 * that follows (`setImmediate`), which is this driver's turn: answers to requests that came pipelined leave in one write, as they do on the
 * other drivers. Commits from timers and promises reach the same flush.
 */

import { connect, type NetConnectOpts, type Socket } from "node:net";
import { constants } from "node:os";
import { type ConnectionOptions, connect as connectTls, TLSSocket } from "node:tls";
import { assert } from "../assert.js";
import { RingloomError } from "../errors.js";
import { loadNative, type NativeAddon, nativeProblem } from "../native.js";
import { adoptedSocket } from "./adopted-socket.js";
import { checkConnectTarget, checkDescriptor, checkSocketPath, closedError } from "./arguments.js";
import { AtomicsDoorbell } from "./atomics-doorbell.js";
import { ContainedEvents } from "./contained-events.js";
import type {
  Driver,
  DriverEvents,
  DriverOptions,
  DriverStats,
  ListenAddress,
  Listening,
  ListenPath,
  ReleaseDone,
  TlsTarget,
} from "./contract.js";
import { checkDoorbell } from "./doorbell.js";
import { newDriverStats } from "./driver-stats.js";
import { LingerQueue } from "./linger-queue.js";
import { NodeOperations, type OperationsOwner } from "./node-operations.js";
import { Outbox, type OutboxOwner } from "./outbox.js";
import { type ListenersOwner, PortableListeners } from "./portable-listeners.js";
import { SlotTable } from "./slots.js";
import { WritePool } from "./write-pool.js";

/** The connection takes bytes to send: it is connected and nobody has called `end`, `close` or `closeAfterFlush`. */
const SENDABLE = 1;
/** Events are delivered for it: neither `close` nor `closeAfterFlush` has been called. */
const AUDIBLE = 2;
const CONNECTING = 4;
const PAUSED = 8;
/** `end` or `closeAfterFlush` was called: FIN goes out when the outbox is empty. */
const ENDING = 16;
/** node:net has been told to send FIN. */
const FIN_SENT = 32;
/** The peer's end came while the connection was paused: `ended` is due after `resume`. */
const END_HELD = 64;
/** The socket is gone, but `closed` waits behind the end that is held. */
const CLOSE_HELD = 128;

/** `release` was called: the descriptor is taken when everything is sent. */
const RELEASING = 256;

/** An empty write: nothing reaches the kernel, but its callback runs in order. */
const NOTHING = Buffer.alloc(0);

const EIO = constants.errno.EIO ?? 5;
const EPROTO = constants.errno.EPROTO ?? 71;
const ECANCELED = constants.errno.ECANCELED ?? 125;

/** A connection whose descriptor somebody wants. */
interface Release {
  readonly native: NativeAddon;
  readonly done: ReleaseDone;
  /** A number of our own for the socket, once everything is sent; or a negative error number. */
  descriptor?: number;
  unread?: Buffer;
}

/** What node:net has under a socket. */
interface NodeHandle {
  readonly fd: number;
  readStop(): number;
}

/** A socket that knows its driver and slot, so that all sockets share their listener functions. */
interface SlotSocket extends Socket {
  ringloomDriver: PortableDriver;
  ringloomSlot: number;
  /** What node:net calls when an asynchronous write has ended. Made at the first such write. */
  ringloomWritten: (() => void) | undefined;
}

/**
 * Creates the driver that works on every platform Node runs on. `receiveSlab`, `ringEntries`, `spin` and `loop` have no meaning here.
 *
 * @experimental
 */
export function createPortableDriver(options: DriverOptions, events: DriverEvents): Driver {
  checkDoorbell("portable", options.wake);
  return new PortableDriver(options, events);
}

class PortableDriver implements Driver, OutboxOwner, ListenersOwner, OperationsOwner {
  readonly name = "portable";
  readonly generations: Int32Array;
  readonly writeBytes: Uint8Array;
  readonly operations: NodeOperations;

  readonly #events: DriverEvents;
  readonly #slots: SlotTable;
  readonly #pool: WritePool;
  readonly #poolBuffer: Buffer;
  readonly #outbox: Outbox;
  readonly #listeners: PortableListeners;
  readonly #flags: Uint16Array;
  /** By slot: why the connection broke, 0 while it has not. */
  readonly #errnos: Int32Array;
  /** By slot: bytes of the write that node:net has not finished. */
  readonly #writing: Int32Array;
  readonly #sockets: (SlotSocket | undefined)[] = [];
  readonly #lingering: LingerQueue;
  readonly #releases = new Map<number, Release>();
  /** By slot: why a connection broke that has no error number, such as a certificate that nobody trusts. */
  readonly #failures = new Map<number, Error>();
  /** Pairs of a slot and its generation for which a held `ended` and `closed` are due in the next turn. */
  #held: number[] = [];
  readonly #stats: DriverStats = newDriverStats();
  readonly #doorbell: AtomicsDoorbell | undefined;
  #isTurnScheduled = false;
  /** Somebody has found the write pool exhausted since a write made room in it. */
  #hasRefused = false;
  #isReferenced = true;
  #shutdown: Promise<void> | undefined;
  #shutdownStep: (() => void) | undefined;

  constructor(options: DriverOptions, events: DriverEvents) {
    this.#events = new ContainedEvents(events, (error) => this.handlerThrew(error));
    this.#slots = new SlotTable(options.connectionsMax);
    this.#pool = new WritePool(options.writePoolBytes);
    this.#poolBuffer = Buffer.from(this.#pool.bytes.buffer);
    this.#outbox = new Outbox(this.#pool, options.connectionsMax, this);
    this.#listeners = new PortableListeners(this, options.tls);
    this.#flags = new Uint16Array(options.connectionsMax);
    this.#errnos = new Int32Array(options.connectionsMax);
    this.#writing = new Int32Array(options.connectionsMax);
    this.generations = this.#slots.generations;
    this.#lingering = new LingerQueue(this.generations, (slot) => this.#socketOf(slot).destroy());
    this.writeBytes = this.#pool.bytes;
    this.operations = new NodeOperations(this);
    if (options.wake !== undefined) this.#doorbell = new AtomicsDoorbell(options.wake, this);
  }

  get stats(): DriverStats {
    this.#stats.connectionsNow = this.#slots.count;
    this.#stats.writeBlocksNow = this.#pool.blocksNow;
    return this.#stats;
  }

  listen(target: number | ListenAddress | ListenPath): Promise<Listening> {
    return this.#listeners.listen(target);
  }

  stopListening(listener: number): void {
    this.#listeners.stop(listener);
  }

  connect(host: string, port: number): number {
    checkConnectTarget(host, port);
    return this.#connect({ host, port, allowHalfOpen: true, noDelay: true });
  }

  connectPath(path: string): number {
    checkSocketPath("connect", path);
    return this.#connect({ path, allowHalfOpen: true });
  }

  #connect(options: NetConnectOpts & { readonly allowHalfOpen: true }): number {
    this.#checkOpen("connect");
    const slot = this.#slots.acquire();
    if (slot === -1) return -1;
    const socket = connect(options);
    this.#take(slot, socket, AUDIBLE | CONNECTING);
    socket.on("connect", onConnect);
    return slot;
  }

  connectTls(target: TlsTarget, options: ConnectionOptions): number {
    this.#checkOpen("connect");
    if (this.#slots.count === this.generations.length) return -1;
    // Node hands `noDelay` on to node:net, and its types do not say so.
    const all = { ...options, ...target, allowHalfOpen: true, noDelay: true };
    const socket = connectTls(all as ConnectionOptions);
    const slot = this.#slots.acquire();
    this.#take(slot, socket, AUDIBLE | CONNECTING);
    socket.on("secureConnect", onConnect);
    return slot;
  }

  tlsSocket(slot: number): TLSSocket | undefined {
    const socket: Socket | undefined = this.#sockets[slot];
    return socket instanceof TLSSocket ? socket : undefined;
  }

  failureOf(slot: number): Error | undefined {
    return this.#failures.get(slot);
  }

  adopt(descriptor: number): number {
    checkDescriptor("adopt", descriptor);
    this.#checkOpen("adopt");
    const slot = this.#slots.acquire();
    if (slot === -1) return -1;
    let socket: Socket;
    try {
      socket = adoptedSocket(descriptor);
    } catch (error) {
      this.#slots.release(slot);
      throw error;
    }
    this.#take(slot, socket, AUDIBLE | SENDABLE);
    return slot;
  }

  acceptDescriptor(descriptor: number): boolean {
    checkDescriptor("adopt", descriptor);
    this.#checkOpen("adopt");
    if (this.#slots.count === this.generations.length) return false;
    this.#listeners.accept(-1, adoptedSocket(descriptor));
    return true;
  }

  release(slot: number, done: ReleaseDone): boolean {
    const native = loadNative();
    if (native === undefined)
      throw new RingloomError("ERR_RINGLOOM_UNSUPPORTED", `Cannot release a descriptor: ${nativeProblem()}`, {
        operation: "release",
      });
    if (this.tlsSocket(slot) !== undefined)
      throw new RingloomError("ERR_RINGLOOM_UNSUPPORTED", "Cannot release a descriptor: the connection speaks TLS", {
        operation: "release",
      });
    const flags = this.#flags[slot]!;
    if ((flags & (AUDIBLE | SENDABLE)) !== (AUDIBLE | SENDABLE)) return false;
    this.#flags[slot] = (this.#stopSending(slot) & ~AUDIBLE) | RELEASING;
    this.#socketOf(slot).pause();
    this.#releases.set(slot, { native, done });
    if (this.#outbox.queuedBytes(slot) === 0) this.#takeDescriptor(slot);
    return true;
  }

  reserve(slot: number, size: number): number {
    if ((this.#flags[slot]! & SENDABLE) === 0) return -1;
    const offset = this.#outbox.reserve(slot, size);
    if (offset === -1) this.#refused();
    return offset;
  }

  get writeRoomBytes(): number {
    return this.#pool.roomBytes;
  }

  commit(slot: number, length: number): void {
    if ((this.#flags[slot]! & SENDABLE) !== 0) this.#outbox.commit(slot, length);
  }

  abort(slot: number): void {
    if ((this.#flags[slot]! & SENDABLE) !== 0) this.#outbox.abort(slot);
  }

  queuedBytes(slot: number): number {
    return (this.#flags[slot]! & (AUDIBLE | ENDING)) === 0 ? 0 : this.#outbox.queuedBytes(slot);
  }

  requestDrained(slot: number): void {
    if ((this.#flags[slot]! & AUDIBLE) !== 0) this.#outbox.requestDrained(slot);
  }

  shareBytes(bytes: Uint8Array): number {
    const shared = this.#outbox.share(bytes);
    if (shared < 0) this.#refused();
    return shared;
  }

  commitShared(slot: number, shared: number): boolean {
    return (this.#flags[slot]! & SENDABLE) !== 0 && this.#outbox.commitShared(slot, shared);
  }

  unshareBytes(shared: number): void {
    this.#outbox.unshare(shared);
  }

  pause(slot: number): void {
    const flags = this.#flags[slot]!;
    if ((flags & (AUDIBLE | PAUSED)) !== AUDIBLE) return;
    this.#flags[slot] = flags | PAUSED;
    this.#socketOf(slot).pause();
  }

  resume(slot: number): void {
    const flags = this.#flags[slot]!;
    if ((flags & (AUDIBLE | PAUSED)) !== (AUDIBLE | PAUSED)) return;
    this.#flags[slot] = flags & ~PAUSED;
    if ((flags & END_HELD) === 0) this.#socketOf(slot).resume();
    else this.#deliverLater(slot);
  }

  end(slot: number): void {
    const flags = this.#flags[slot]!;
    if ((flags & (AUDIBLE | ENDING)) !== AUDIBLE) return;
    this.#flags[slot] = this.#stopSending(slot) | ENDING;
    if (this.#outbox.queuedBytes(slot) === 0) this.#sendFin(slot);
  }

  close(slot: number): void {
    // A connection that lingers after `closeAfterFlush` is not audible any more, but still has its socket.
    const socket = this.#sockets[slot];
    if (socket === undefined) return;
    const flags = this.#stopSending(slot) & ~(AUDIBLE | ENDING);
    this.#flags[slot] = flags;
    socket.destroy();
    if ((flags & CLOSE_HELD) !== 0) this.#deliverLater(slot);
  }

  closeAfterFlush(slot: number): void {
    const flags = this.#flags[slot]!;
    if ((flags & AUDIBLE) === 0) return;
    if ((flags & (CONNECTING | CLOSE_HELD)) !== 0) return this.close(slot);
    this.#flags[slot] = (this.#stopSending(slot) & ~AUDIBLE) | ENDING;
    // What still arrives is read and dropped, or the kernel would answer it with a reset.
    if ((flags & PAUSED) !== 0) this.#socketOf(slot).resume();
    if ((flags & FIN_SENT) !== 0) this.#lingering.add(slot);
    else if (this.#outbox.queuedBytes(slot) === 0) this.#sendFin(slot);
  }

  peerAddress(slot: number): { readonly host: string; readonly port: number } | undefined {
    const socket = this.#sockets[slot];
    if (socket?.remoteAddress === undefined || socket.remotePort === undefined) return undefined;
    return { host: socket.remoteAddress, port: socket.remotePort };
  }

  localAddress(slot: number): { readonly host: string; readonly port: number } | undefined {
    const socket = this.#sockets[slot];
    if (socket?.localAddress === undefined || socket.localPort === undefined) return undefined;
    return { host: socket.localAddress, port: socket.localPort };
  }

  setNoDelay(slot: number, on: boolean): void {
    this.#sockets[slot]?.setNoDelay(on);
  }

  setKeepAlive(slot: number, on: boolean, idleSeconds: number): void {
    this.#sockets[slot]?.setKeepAlive(on, idleSeconds * 1_000);
  }

  setReferenced(slot: number, isReferenced: boolean): void {
    const socket = this.#sockets[slot];
    if (socket === undefined || !this.#slots.isLive(slot)) return;
    this.#slots.setReferenced(slot, isReferenced);
    if (isReferenced && this.#isReferenced) socket.ref();
    else socket.unref();
  }

  ref(): void {
    this.#setReferenced(true);
  }

  unref(): void {
    this.#setReferenced(false);
  }

  shutdown(): Promise<void> {
    this.#shutdown ??= this.#closeAll();
    return this.#shutdown;
  }

  // The rest is called by sockets, the outbox, the listeners and the operations.

  socketAccepted(listener: number, socket: Socket): void {
    const slot = this.#slots.acquire();
    if (slot === -1) {
      this.#stats.rejected += 1;
      socket.destroy();
      return;
    }
    this.#take(slot, socket, AUDIBLE | SENDABLE);
    this.#stats.accepted += 1;
    this.scheduleTurn();
    this.#events.accepted(slot, listener);
  }

  handshakeFailed(): void {
    this.#stats.handshakesFailed += 1;
  }

  acceptFailed(): void {
    this.#stats.rejected += 1;
  }

  listenerStopped(listener: number): void {
    this.scheduleTurn();
    this.#events.listenerStopped(listener);
  }

  socketConnected(slot: number): void {
    const flags = this.#flags[slot]!;
    if ((flags & AUDIBLE) === 0) return;
    this.#flags[slot] = (flags & ~CONNECTING) | ((flags & ENDING) === 0 ? SENDABLE : 0);
    this.#deliverConnected(slot, 0);
  }

  socketReceived(slot: number, chunk: Buffer): void {
    const length = chunk.length;
    this.#stats.receivedBytes += length;
    if ((this.#flags[slot]! & AUDIBLE) === 0) return;
    if (!this.#isTurnScheduled) this.scheduleTurn();
    this.#events.received(slot, chunk, 0, length);
  }

  socketEnded(slot: number): void {
    const flags = this.#flags[slot]!;
    if ((flags & AUDIBLE) === 0) return;
    if ((flags & PAUSED) !== 0) {
      // Node reports the end of a paused stream when no bytes wait before it.
      this.#flags[slot] = flags | END_HELD;
      return;
    }
    this.scheduleTurn();
    this.#events.ended(slot);
  }

  socketFailed(slot: number, error: NodeJS.ErrnoException): void {
    const flags = this.#flags[slot]!;
    // After `close` and `closeAfterFlush` a reset is one more way for the peer to be gone.
    if ((flags & (AUDIBLE | RELEASING)) === 0) return;
    const errno = this.#errnoOf(slot, error);
    this.#errnos[slot] = errno;
    this.#flags[slot] = this.#stopSending(slot);
    if ((flags & CONNECTING) !== 0) this.#deliverConnected(slot, errno);
  }

  /** TLS breaks in ways that the system has no number for. */
  #errnoOf(slot: number, error: NodeJS.ErrnoException): number {
    if (error.errno !== undefined) return Math.abs(error.errno);
    const isSecure = this.tlsSocket(slot) !== undefined;
    const known = (constants.errno as Readonly<Record<string, number>>)[error.code ?? ""];
    if (isSecure && known === undefined) this.#failures.set(slot, error);
    return known ?? (isSecure ? EPROTO : EIO);
  }

  socketClosed(slot: number): void {
    const errno = this.#errnos[slot]!;
    const flags = this.#stopSending(slot);
    if ((flags & (END_HELD | AUDIBLE)) === (END_HELD | AUDIBLE) && errno === 0) {
      this.#flags[slot] = flags | CLOSE_HELD;
      if ((flags & PAUSED) === 0) this.#deliverLater(slot);
      return;
    }
    this.#outbox.drop(slot);
    if (this.#releases.size > 0) this.#endRelease(slot, errno);
    this.#flags[slot] = 0;
    this.#errnos[slot] = 0;
    this.#writing[slot] = 0;
    this.#sockets[slot] = undefined;
    this.scheduleTurn();
    this.#events.closed(slot, errno);
    if (this.#failures.size > 0) this.#failures.delete(slot);
    this.#slots.release(slot);
    if (this.#shutdownStep !== undefined) this.#shutdownStep();
  }

  socketWritten(slot: number): void {
    const length = this.#writing[slot]!;
    this.#writing[slot] = 0;
    this.#stats.sentBytes += length;
    this.#outbox.sent(slot, length);
    if (!this.#hasRefused) return;
    // Whoever found the pool exhausted looks again at the end of a turn, and node:net makes none when it has written.
    this.#hasRefused = false;
    this.scheduleTurn();
  }

  #refused(): void {
    this.#stats.writeStarved += 1;
    this.#hasRefused = true;
  }

  startSend(slot: number, offset: number, length: number): void {
    const socket = this.#socketOf(slot);
    if (socket.destroyed) return; // 'close' follows and drops the block.
    this.#writing[slot] = length;
    // Mostly the kernel takes it all at once. Then nothing waits in the stream, and no callback, which would cost a tick, is needed.
    socket.write(this.#poolBuffer.subarray(offset, offset + length));
    if (socket.errored !== null) return; // So it does here.
    if (socket.writableLength === 0) {
      this.socketWritten(slot);
      return;
    }
    // The callback of an empty write runs when the one before it has ended.
    socket.ringloomWritten ??= () => onWritten(socket);
    socket.write(NOTHING, socket.ringloomWritten);
  }

  outboxEmptied(slot: number): void {
    const flags = this.#flags[slot]!;
    if ((flags & (ENDING | FIN_SENT)) === ENDING) this.#sendFin(slot);
    else if ((flags & RELEASING) !== 0) this.#takeDescriptor(slot);
  }

  outboxDrained(slot: number): void {
    if ((this.#flags[slot]! & AUDIBLE) !== 0) this.#events.drained(slot);
  }

  outboxDirty(): void {
    this.scheduleTurn();
  }

  scheduleTurn(): void {
    if (this.#isTurnScheduled) return;
    this.#isTurnScheduled = true;
    setImmediate(runTurn, this);
  }

  handlerThrew(error: unknown): void {
    this.#outbox.abandonAny();
    // Thrown from a tick of its own: thrown here, it would unwind through node:net's stream and lose what that still has to deliver.
    process.nextTick(rethrow, error);
  }

  operationsIdle(): void {
    if (this.#shutdownStep !== undefined) this.#shutdownStep();
  }

  runTurn(): void {
    this.#stats.turns += 1;
    this.operations.deliver();
    this.#doorbell?.deliver(this.#stats);
    this.#outbox.deliverDrained();
    this.#deliverHeld();
    this.#events.turnEnded();
    // Until here a turn counts as scheduled, because what these events committed leaves with the flush below.
    this.#isTurnScheduled = false;
    this.#outbox.flush();
    const isDue = this.#outbox.hasDrained || this.#held.length > 0;
    if (this.operations.hasFinished || isDue || this.#doorbell?.isDue) this.scheduleTurn();
  }

  #take(slot: number, socket: Socket, flags: number): void {
    const own = socket as SlotSocket;
    own.ringloomDriver = this;
    own.ringloomSlot = slot;
    own.ringloomWritten = undefined;
    this.#sockets[slot] = own;
    this.#flags[slot] = flags;
    if (!this.#isReferenced) socket.unref();
    socket.on("data", onData);
    socket.on("end", onEnd);
    socket.on("error", onError);
    socket.on("close", onClose);
  }

  #socketOf(slot: number): SlotSocket {
    const socket = this.#sockets[slot];
    assert(socket !== undefined, "a connection that is taken has a socket");
    return socket;
  }

  /** Ends sending for the driver's user: gives an open reservation back and returns the flags of the slot without SENDABLE. */
  #stopSending(slot: number): number {
    if (this.#outbox.reservedSlot === slot) this.#outbox.abort(slot);
    return this.#flags[slot]! & ~SENDABLE;
  }

  /** node:net closes what it has, so the socket goes on under another number. */
  #takeDescriptor(slot: number): void {
    const release = this.#releases.get(slot)!;
    const socket = this.#socketOf(slot);
    const { _handle: handle } = socket as unknown as { readonly _handle: NodeHandle | null };
    const isThere = handle !== null && handle.fd >= 0 && !socket.destroyed && socket.errored === null;
    if (isThere) {
      handle.readStop();
      release.descriptor = release.native.duplicate(handle.fd);
      // What node:net has read ahead of the pause.
      release.unread = (socket.read() as Buffer | null) ?? NOTHING;
    }
    socket.destroy();
  }

  /** The socket that was to be released is closed: its duplicate lives on, if there is one. */
  #endRelease(slot: number, errno: number): void {
    const release = this.#releases.get(slot);
    if (release === undefined) return;
    this.#releases.delete(slot);
    const { descriptor = -(errno || ECANCELED), unread = NOTHING, done } = release;
    try {
      done(descriptor, unread);
    } catch (error) {
      this.handlerThrew(error);
    }
  }

  #sendFin(slot: number): void {
    const flags = this.#flags[slot]! | FIN_SENT;
    this.#flags[slot] = flags;
    this.#socketOf(slot).end();
    if ((flags & AUDIBLE) === 0) this.#lingering.add(slot);
  }

  #deliverConnected(slot: number, errno: number): void {
    this.scheduleTurn();
    this.#events.connected(slot, errno);
  }

  #deliverLater(slot: number): void {
    this.#held.push(slot, this.generations[slot]!);
    this.scheduleTurn();
  }

  /** Delivers the ends that came during a pause, and the closes behind them. */
  #deliverHeld(): void {
    if (this.#held.length === 0) return;
    const due = this.#held;
    this.#held = [];
    for (let index = 0; index < due.length; index += 2) {
      const slot = due[index]!;
      if (this.generations[slot] !== due[index + 1]) continue;
      const flags = this.#flags[slot]!;
      if ((flags & (AUDIBLE | PAUSED)) === (AUDIBLE | PAUSED)) continue;
      this.#flags[slot] = flags & ~END_HELD;
      if ((flags & END_HELD) !== 0) this.socketEnded(slot);
      if ((flags & CLOSE_HELD) !== 0) this.socketClosed(slot);
    }
  }

  #checkOpen(operation: string): void {
    if (this.#shutdown !== undefined) throw closedError(operation);
  }

  #setReferenced(isReferenced: boolean): void {
    this.#isReferenced = isReferenced;
    this.#listeners.setReferenced(isReferenced);
    this.operations.setReferenced(isReferenced);
    for (let index = 0; index < this.#slots.count; index++) {
      // During `closed` the slot is still taken and its socket gone.
      const slot = this.#slots.live[index]!;
      const socket = this.#sockets[slot];
      if (isReferenced && this.#slots.isReferenced(slot)) socket?.ref();
      else socket?.unref();
    }
  }

  async #closeAll(): Promise<void> {
    this.operations.close();
    for (let index = 0; index < this.#slots.count; index++) this.close(this.#slots.live[index]!);
    this.#lingering.clear();
    this.#doorbell?.end();
    await this.#listeners.closeAll();
    await new Promise<void>((resolve) => {
      this.#shutdownStep = () => {
        if (this.#slots.count === 0 && this.operations.pendingNow === 0) resolve();
      };
      this.#shutdownStep();
    });
  }
}

function onConnect(this: Socket): void {
  const { ringloomDriver, ringloomSlot } = this as SlotSocket;
  ringloomDriver.socketConnected(ringloomSlot);
}

function onData(this: Socket, chunk: Buffer): void {
  const { ringloomDriver, ringloomSlot } = this as SlotSocket;
  ringloomDriver.socketReceived(ringloomSlot, chunk);
}

function onEnd(this: Socket): void {
  const { ringloomDriver, ringloomSlot } = this as SlotSocket;
  ringloomDriver.socketEnded(ringloomSlot);
}

function onError(this: Socket, error: NodeJS.ErrnoException): void {
  const { ringloomDriver, ringloomSlot } = this as SlotSocket;
  ringloomDriver.socketFailed(ringloomSlot, error);
  // TLS that breaks behind its handshake emits the error and stays open.
  this.destroy();
}

/** Node emits it once for each socket, when the handle is closed: the kernel and libuv hold none of its memory any more. */
function onClose(this: Socket): void {
  const { ringloomDriver, ringloomSlot } = this as SlotSocket;
  ringloomDriver.socketClosed(ringloomSlot);
}

function onWritten(socket: SlotSocket): void {
  // The callback also runs, with an error, when the socket is destroyed; `closed` then follows.
  if (socket.errored === null && !socket.destroyed) socket.ringloomDriver.socketWritten(socket.ringloomSlot);
}

function runTurn(driver: PortableDriver): void {
  driver.runTurn();
}

function rethrow(error: unknown): void {
  throw error;
}
