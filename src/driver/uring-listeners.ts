/** The listening sockets of a `uring` driver: one multishot ACCEPT each, and an orderly end. */
import { assert } from "../assert.js";
import { LISTENERS_MAX } from "../constants.js";
import { RingloomError } from "../errors.js";
import { checkNative, type NativeAddress } from "../native.js";
import type { Ring } from "../ring/ring.js";
import { submitAccept, submitCancel } from "../ring/submissions.js";
import { KIND_ACCEPT, packUserData } from "../ring/user-data.js";
import { EMFILE, ENFILE, ENOBUFS, ENOMEM, IORING_CQE_F_MORE } from "../uapi.js";
import type { ListenAddress, Listening } from "./contract.js";

/** How long accepting rests when the process is out of descriptors: trying again at once would spin. */
const ACCEPT_RETRY_MS = 50;

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
  /** By listener: the descriptor to close when the thread dies, if it is ours; else -1. */
  readonly #owned: Int32Array;

  constructor(ring: Ring, owner: ListenersOwner, owned: Int32Array) {
    this.#ring = ring;
    this.#owner = owner;
    this.#owned = owned;
  }

  /** Starts to accept on a descriptor, or on a new socket of an address. */
  open(target: number | ListenAddress): Listening {
    const free = this.#entries.indexOf(undefined);
    const listener = free === -1 ? this.#entries.length : free;
    if (listener >= LISTENERS_MAX)
      throw new RingloomError(
        "ERR_RINGLOOM_OVERLOADED",
        `Cannot listen: a driver has at most ${LISTENERS_MAX} listeners`,
      );
    const socket = typeof target === "number" ? this.#borrow(target) : this.#create(target);
    this.#entries[listener] = { fd: socket.fd, isOwned: typeof target !== "number", isStopping: false, isArmed: false };
    if (typeof target !== "number") this.#owned[listener] = socket.fd;
    this.count += 1;
    this.#arm(listener);
    return { listener, host: socket.host, port: socket.port };
  }

  stop(listener: number): void {
    const entry = this.#entries[listener];
    if (entry === undefined || entry.isStopping) return;
    entry.isStopping = true;
    if (entry.isArmed) submitCancel(this.#ring, packUserData(KIND_ACCEPT, listener), 0);
    else this.#owner.later(() => this.#finish(listener));
  }

  stopAll(): void {
    for (const listener of this.#entries.keys()) this.stop(listener);
  }

  /** A completion of kind `KIND_ACCEPT`. */
  completed(listener: number, result: number, flags: number): void {
    const entry = this.#entries[listener];
    assert(entry !== undefined, "a listener lives until its accept has ended");
    if ((flags & IORING_CQE_F_MORE) === 0) {
      entry.isArmed = false;
      if (entry.isStopping) this.#owner.later(() => this.#finish(listener));
      else if (result === -EMFILE || result === -ENFILE || result === -ENOBUFS || result === -ENOMEM)
        this.#retryLater(listener);
      else this.#arm(listener);
    }
    if (result >= 0) this.#owner.acceptedSocket(listener, result);
  }

  #create(address: ListenAddress): NativeAddress & { readonly fd: number } {
    const { host, port, backlog, reusePort } = address;
    const opened = this.#ring.native.listenSocket(host, port, backlog, reusePort ? 1 : 0);
    return checkNative<NativeAddress & { readonly fd: number }>(opened, "listen", { host, port });
  }

  #borrow(fd: number): NativeAddress & { readonly fd: number } {
    const name = checkNative<NativeAddress>(this.#ring.native.socketName(fd), "listen", { descriptor: fd });
    checkNative(this.#ring.native.setBlocking(fd), "listen", { descriptor: fd });
    return { fd, host: name.host, port: name.port };
  }

  #arm(listener: number): void {
    const entry = this.#entries[listener];
    assert(entry !== undefined && !entry.isArmed, "a listener is armed once");
    entry.isArmed = true;
    submitAccept(this.#ring, entry.fd, packUserData(KIND_ACCEPT, listener));
  }

  #retryLater(listener: number): void {
    this.#owner.acceptStarved();
    const entry = this.#entries[listener];
    setTimeout(() => {
      if (entry !== undefined && entry === this.#entries[listener] && !entry.isStopping) this.#arm(listener);
    }, ACCEPT_RETRY_MS).unref();
  }

  /** The kernel accepts no more for us: deliver those who wait, then let go. */
  #finish(listener: number): void {
    const entry = this.#entries[listener];
    if (entry === undefined) return;
    for (;;) {
      const fd = this.#ring.native.acceptWaiting(entry.fd);
      if (fd < 0) break;
      this.#owner.acceptedSocket(listener, fd);
    }
    this.#owned[listener] = -1;
    if (entry.isOwned) this.#ring.native.closeDescriptor(entry.fd);
    this.#entries[listener] = undefined;
    this.count -= 1;
    this.#owner.listenerStopped(listener);
  }
}
