/**
 * Messages as sendmsg(2) and recvmsg(2) know them, laid out here so that the addon passes on a pointer and no more.
 *
 *     header:  | struct msghdr, 56 bytes | struct iovec, 16 | name, 112 | control: struct cmsghdr, 16, and descriptors, 4 each |
 *
 * One header serves a thread, because neither call waits. Layout of 64-bit Linux, little-endian, as everywhere in src/ring.
 */
import type { NativeAddon } from "../native.js";
import { MSG_CTRUNC, MSG_TRUNC, SCM_RIGHTS, SOL_SOCKET } from "../uapi.js";

/** Descriptors of one message that the kernel takes at most (SCM_MAX_FD). */
export const DESCRIPTORS_MAX = 253;

const VECTOR = 56;
const NAME = 72;
const NAME_BYTES = 112;
const CONTROL = NAME + NAME_BYTES;
const CONTROL_HEADER_BYTES = 16;
const HEADER_BYTES = CONTROL + CONTROL_HEADER_BYTES + 4 * DESCRIPTORS_MAX;
/** The family in front of a path. */
const PATH = 2;
const NOTHING = new Uint8Array(8);

/** What a receive found. */
export interface ReceivedMessage {
  /** Bytes, or a negative error number, with which nothing else is there. */
  readonly count: number;
  /** The path that the sender is bound to; undefined where it has none. */
  readonly from: string | undefined;
  readonly descriptors: readonly number[];
  /** Bytes or descriptors were cut off for want of room. */
  readonly isTruncated: boolean;
}

/** Sends and receives messages of the sockets of one thread. */
export class Messages {
  readonly #native: NativeAddon;
  readonly #bytes = new Uint8Array(HEADER_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #address: number;

  constructor(native: NativeAddon) {
    this.#native = native;
    this.#address = native.addressOf(this.#bytes);
  }

  /** Sends at once, to the address `to` or the peer. A count, or a negative error number. The descriptors stay the caller's. */
  send(socket: number, bytes: Uint8Array, to: ArrayBuffer | undefined, descriptors: readonly number[]): number {
    this.#begin(bytes, to?.byteLength ?? 0, descriptors.length);
    if (to !== undefined) this.#bytes.set(new Uint8Array(to), NAME);
    this.#view.setBigUint64(CONTROL, BigInt(CONTROL_HEADER_BYTES + 4 * descriptors.length), true);
    this.#view.setInt32(CONTROL + 8, SOL_SOCKET, true);
    this.#view.setInt32(CONTROL + 12, SCM_RIGHTS, true);
    for (const [index, descriptor] of descriptors.entries())
      this.#view.setInt32(CONTROL + CONTROL_HEADER_BYTES + 4 * index, descriptor, true);
    return this.#native.socketMessage(socket, this.#bytes, 1);
  }

  /** Receives at once into `target`. The descriptors are the caller's, those of a truncated message too. */
  receive(socket: number, target: Uint8Array, descriptorsMax: number): ReceivedMessage {
    this.#begin(target, NAME_BYTES, descriptorsMax);
    const count = this.#native.socketMessage(socket, this.#bytes, 0);
    if (count < 0) return { count, from: undefined, descriptors: [], isTruncated: false };
    const flags = this.#view.getInt32(48, true);
    const isTruncated = (flags & (MSG_TRUNC | MSG_CTRUNC)) !== 0;
    return { count, from: this.#sender(), descriptors: this.#descriptors(), isTruncated };
  }

  #begin(bytes: Uint8Array, nameBytes: number, descriptors: number): void {
    const view = this.#view;
    this.#pointer(0, nameBytes === 0 ? 0 : this.#address + NAME);
    view.setUint32(8, nameBytes, true);
    this.#pointer(16, this.#address + VECTOR);
    this.#pointer(24, 1);
    this.#pointer(32, descriptors === 0 ? 0 : this.#address + CONTROL);
    this.#pointer(40, descriptors === 0 ? 0 : controlBytes(descriptors));
    view.setInt32(48, 0, true);
    // An empty view has no memory that could be named.
    this.#pointer(VECTOR, this.#native.addressOf(bytes.length === 0 ? NOTHING : bytes));
    this.#pointer(VECTOR + 8, bytes.length);
  }

  #pointer(at: number, value: number): void {
    this.#view.setUint32(at, value % 0x1_0000_0000, true);
    this.#view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
  }

  #sender(): string | undefined {
    const length = this.#view.getUint32(8, true) - PATH;
    if (length <= 0) return undefined;
    const path = Buffer.from(this.#bytes.buffer, NAME + PATH, length);
    const end = path[0] === 0 ? -1 : path.indexOf(0);
    return path.toString("utf8", 0, end < 0 ? length : end);
  }

  #descriptors(): number[] {
    const view = this.#view;
    if (view.getUint32(40, true) < CONTROL_HEADER_BYTES) return [];
    if (view.getInt32(CONTROL + 8, true) !== SOL_SOCKET || view.getInt32(CONTROL + 12, true) !== SCM_RIGHTS) return [];
    const count = (view.getUint32(CONTROL, true) - CONTROL_HEADER_BYTES) / 4;
    return Array.from({ length: count }, (_, index) => view.getInt32(CONTROL + CONTROL_HEADER_BYTES + 4 * index, true));
  }
}

/**
 * CMSG_LEN(3), not CMSG_SPACE: the kernel fills whatever room there is (scm_max_fds), and what rounding up to 8 bytes adds to an odd number would be room for one more than was asked for.
 * Nothing follows this header, so nothing needs the padding.
 */
function controlBytes(descriptors: number): number {
  return CONTROL_HEADER_BYTES + 4 * descriptors;
}
