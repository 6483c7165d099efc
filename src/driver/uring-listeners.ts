/** The listening sockets of a `uring` driver: one multishot ACCEPT each, and an orderly end. */
import { assert } from "../assert.js";
import { LISTENERS_MAX } from "../constants.js";
import { RingloomError } from "../errors.js";
import { checkNative, type NativeAddress } from "../native.js";
import type { Ring } from "../ring/ring.js";
import { submitAccept, submitCancel } from "../ring/submissions.js";
import { KIND_ACCEPT, packUserData } from "../ring/user-data.js";
import { EAGAIN, ECONNABORTED, EINTR, IORING_CQE_F_MORE } from "../uapi.js";
import type { ListenAddress, Listening } from "./contract.js";

/** How long accepting rests when the process is out of descriptors: trying again at once would spin. */
const ACCEPT_RETRY_MS = 50;
/** Clients that connect faster than they are accepted must not keep a stop from ending. */
const ACCEPTED_WHILE_STOPPING_MAX = 4096;

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
export class UringListeners {
  count = 0;
  readonly #ring: Ring;
  readonly #owner: ListenersOwner;
  readonly #entries: (Listener | undefined)[] = [];
  #generation = 0;
  /** By index: the descriptor to close when the thread dies, if it is ours; else -1. */
  readonly #owned: Int32Array;

  constructor(ring: Ring, owner: ListenersOwner, owned: Int32Array) {
    this.#ring = ring;
    this.#owner = owner;
    this.#owned = owned;
  }

  /** Starts to accept on a descriptor, or on a new socket of an address. */
  open(target: number | ListenAddress): Listening {
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
    this.#entries[index] = entry;
    if (isOwned) this.#owned[index] = socket.fd;
    this.count += 1;
    this.#arm(entry);
    return { listener: id, host: socket.host, port: socket.port };
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
    if (entry.isArmed) submitCancel(this.#ring, packUserData(KIND_ACCEPT, entry.id % LISTENERS_MAX), entry.id);
    else this.#owner.later(() => this.#finish(entry));
  }

  /** A completion of kind `KIND_ACCEPT`. */
  completed(index: number, id: number, result: number, flags: number): void {
    const entry = this.#entries[index];
    assert(entry !== undefined && entry.id === id, "a listener lives until its accept has ended");
    if ((flags & IORING_CQE_F_MORE) === 0) {
      entry.isArmed = false;
      if (entry.isStopping) this.#owner.later(() => this.#finish(entry));
      else if (result >= 0 || result === -ECONNABORTED || result === -EINTR || result === -EAGAIN) this.#arm(entry);
      else this.#retryLater(entry);
    }
    if (result >= 0) this.#owner.acceptedSocket(id, result);
  }

  #create(address: ListenAddress): NativeAddress & { readonly fd: number } {
    const { host, port, backlog, reusePort } = address;
    const opened = this.#ring.native.listenSocket(host, port, backlog, reusePort ? 1 : 0);
    return checkNative<NativeAddress & { readonly fd: number }>(opened, "listen", { host, port });
  }

  #borrow(fd: number): NativeAddress & { readonly fd: number } {
    const name = checkNative<NativeAddress>(this.#ring.native.socketName(fd), "listen", { descriptor: fd });
    checkNative(this.#ring.native.isListening(fd), "listen", { descriptor: fd });
    checkNative(this.#ring.native.setBlocking(fd), "listen", { descriptor: fd });
    return { fd, host: name.host, port: name.port };
  }

  #arm(entry: Listener): void {
    assert(!entry.isArmed, "a listener is armed once");
    entry.isArmed = true;
    submitAccept(this.#ring, entry.fd, packUserData(KIND_ACCEPT, entry.id % LISTENERS_MAX), entry.id);
  }

  #retryLater(entry: Listener): void {
    this.#owner.acceptStarved();
    setTimeout(() => {
      if (entry === this.#entries[entry.id % LISTENERS_MAX] && !entry.isStopping) this.#arm(entry);
    }, ACCEPT_RETRY_MS).unref();
  }

  /** The kernel accepts no more for us: deliver those who wait, then let go. */
  #finish(entry: Listener): void {
    for (let accepted = 0; accepted < ACCEPTED_WHILE_STOPPING_MAX; accepted++) {
      const fd = this.#ring.native.acceptWaiting(entry.fd);
      if (fd < 0) break;
      this.#owner.acceptedSocket(entry.id, fd);
    }
    const index = entry.id % LISTENERS_MAX;
    this.#owned[index] = -1;
    if (entry.isOwned) this.#ring.native.closeDescriptor(entry.fd);
    this.#entries[index] = undefined;
    this.count -= 1;
    this.#owner.listenerStopped(entry.id);
  }
}
