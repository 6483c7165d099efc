/** The listening sockets of the drivers `uring` and `epoll`: how they open, rest when descriptors run out, and end in order. */
import { assert } from "../assert.js";
import { LISTENERS_MAX } from "../constants.js";
import { RingloomError } from "../errors.js";
import { checkNative, type NativeAddon, type NativeAddress } from "../native.js";
import { EAGAIN, ECONNABORTED, EINTR } from "../uapi.js";
import type { ListenAddress, Listening, ListenPath } from "./contract.js";

/** How long accepting rests when the process is out of descriptors: trying again at once would spin. */
const ACCEPT_RETRY_MS = 50;
/** Clients that connect faster than they are accepted must not keep a stop from ending. */
const ACCEPTED_WHILE_STOPPING_MAX = 4096;

/** How a driver accepts. */
export interface Acceptor {
  readonly native: NativeAddon;
  /** Whether a listening descriptor must make its caller wait. */
  readonly isBlocking: boolean;
  /** Begins to accept: `completed` with the listener's index and `id` follows for each connection. Throws the kernel's code. */
  start(fd: number, index: number, id: number): void;
  /** Ends it; true when one more `completed`, with `more` 0, says that it has ended. */
  stop(fd: number, index: number, id: number): boolean;
}

/** What the driver does for its listeners. */
export interface ListenersOwner {
  acceptedSocket(listener: number, fd: number): void;
  /** Accepting failed for want of a descriptor or of memory. */
  acceptStarved(): void;
  listenerStopped(listener: number): void;
  /** Runs `work` at a later point of a turn, never inside this call. */
  later(work: () => void): void;
}

interface Listener {
  readonly id: number;
  readonly fd: number;
  readonly isOwned: boolean;
  isStopping: boolean;
  isArmed: boolean;
}

/** The listeners of one driver, by number. */
export class Listeners {
  count = 0;
  /** Of those, the ones that are being stopped. */
  stoppingCount = 0;
  readonly #acceptor: Acceptor;
  readonly #native: NativeAddon;
  readonly #owner: ListenersOwner;
  readonly #entries: (Listener | undefined)[] = [];
  #generation = 0;
  /** By index: the descriptor to close when the thread dies, if it is ours; else -1. */
  readonly #owned: Int32Array;

  constructor(acceptor: Acceptor, owner: ListenersOwner, owned: Int32Array) {
    this.#acceptor = acceptor;
    this.#native = acceptor.native;
    this.#owner = owner;
    this.#owned = owned;
  }

  /** Starts to accept on a descriptor, or on a new socket of an address. */
  open(target: number | ListenAddress | ListenPath): Listening {
    const free = this.#entries.indexOf(undefined);
    const index = free === -1 ? this.#entries.length : free;
    if (index >= LISTENERS_MAX)
      throw new RingloomError(
        "ERR_RINGLOOM_OVERLOADED",
        `Cannot listen: a driver has at most ${LISTENERS_MAX} listeners`,
      );
    const socket = typeof target === "number" ? this.#borrow(target) : this.#create(target);
    const isOwned = typeof target !== "number";
    // A listener's number is never given out again, so a stale one stops nobody else's.
    const id = this.#generation * LISTENERS_MAX + index;
    this.#generation += 1;
    const entry: Listener = { id, fd: socket.fd, isOwned, isStopping: false, isArmed: false };
    try {
      this.#arm(entry);
    } catch (error) {
      if (isOwned) this.#native.closeDescriptor(socket.fd);
      throw error;
    }
    this.#entries[index] = entry;
    if (isOwned) this.#owned[index] = socket.fd;
    this.count += 1;
    const { host, port, path } = socket;
    return path === undefined ? { listener: id, host, port } : { listener: id, host, port, path };
  }

  stop(listener: number): void {
    const entry = this.#entries[listener % LISTENERS_MAX];
    if (entry?.id === listener) this.#stop(entry);
  }

  stopAll(): void {
    for (const entry of this.#entries) if (entry !== undefined) this.#stop(entry);
  }

  #stop(entry: Listener): void {
    if (entry.isStopping) return;
    entry.isStopping = true;
    this.stoppingCount += 1;
    const isEnding = entry.isArmed && this.#acceptor.stop(entry.fd, entry.id % LISTENERS_MAX, entry.id);
    if (isEnding) return;
    entry.isArmed = false;
    // In the turn after this one: a user who then shuts down must not take back what this turn has committed and not yet flushed.
    this.#owner.later(() => this.#owner.later(() => this.#finish(entry)));
  }

  /** A connection (`result` is its descriptor), or a negative error number; `more` is not 0 when accepting goes on by itself. */
  completed(index: number, id: number, result: number, more: number): void {
    const entry = this.#entries[index];
    assert(entry !== undefined && entry.id === id, "a listener lives until its accept has ended");
    if (more === 0) {
      entry.isArmed = false;
      if (entry.isStopping) this.#owner.later(() => this.#finish(entry));
      else if (result >= 0 || result === -ECONNABORTED || result === -EINTR || result === -EAGAIN) this.#arm(entry);
      else this.#retryLater(entry);
    }
    if (result >= 0) this.#owner.acceptedSocket(id, result);
  }

  /** Accepting failed for want of a descriptor or of memory: rests a while. For an acceptor that does not end by itself. */
  failed(index: number, id: number): void {
    const entry = this.#entries[index];
    if (entry === undefined || entry.id !== id || !entry.isArmed) return;
    this.#acceptor.stop(entry.fd, index, id);
    entry.isArmed = false;
    this.#retryLater(entry);
  }

  #create(address: ListenAddress | ListenPath): NativeAddress & { readonly fd: number } {
    const isPath = "path" in address;
    const details = isPath ? { path: address.path } : { host: address.host, port: address.port };
    const opened = isPath
      ? this.#native.listenSocket(address.path, -1, address.backlog, 0)
      : this.#native.listenSocket(address.host, address.port, address.backlog, address.reusePort ? 1 : 0);
    const socket = checkNative<NativeAddress & { readonly fd: number }>(opened, "listen", details);
    checkNative(this.#native.setBlocking(socket.fd, this.#acceptor.isBlocking ? 1 : 0), "listen", details);
    return socket;
  }

  #borrow(fd: number): NativeAddress & { readonly fd: number } {
    const name = checkNative<NativeAddress>(this.#native.socketName(fd), "listen", { descriptor: fd });
    checkNative(this.#native.isListening(fd), "listen", { descriptor: fd });
    checkNative(this.#native.setBlocking(fd, this.#acceptor.isBlocking ? 1 : 0), "listen", { descriptor: fd });
    return { ...name, fd };
  }

  #arm(entry: Listener): void {
    assert(!entry.isArmed, "a listener is armed once");
    this.#acceptor.start(entry.fd, entry.id % LISTENERS_MAX, entry.id);
    entry.isArmed = true;
  }

  #retryLater(entry: Listener): void {
    this.#owner.acceptStarved();
    setTimeout(() => {
      if (entry !== this.#entries[entry.id % LISTENERS_MAX] || entry.isStopping) return;
      try {
        this.#arm(entry);
      } catch {
        this.#retryLater(entry);
      }
    }, ACCEPT_RETRY_MS).unref();
  }

  /** The kernel accepts no more for us: deliver those who wait, then let go. */
  #finish(entry: Listener): void {
    if (this.#entries[entry.id % LISTENERS_MAX] !== entry) return;
    for (let accepted = 0; accepted < ACCEPTED_WHILE_STOPPING_MAX; accepted++) {
      const fd = this.#native.acceptWaiting(entry.fd);
      if (fd < 0) break;
      // The call gives blocking sockets, and a send from a blocking one would hold up the thread on epoll.
      if (!this.#acceptor.isBlocking) this.#native.setBlocking(fd, 0);
      this.#owner.acceptedSocket(entry.id, fd);
    }
    const index = entry.id % LISTENERS_MAX;
    this.#owned[index] = -1;
    if (entry.isOwned) this.#native.closeDescriptor(entry.fd);
    this.#entries[index] = undefined;
    this.count -= 1;
    this.stoppingCount -= 1;
    this.#owner.listenerStopped(entry.id);
  }
}
