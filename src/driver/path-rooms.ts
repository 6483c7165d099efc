/**
 * Memory for the names of an operation on the ring, and for what it answers: the kernel reads and writes there until the completion.
 *
 *     a room:    struct statx (256 bytes) | first name, 0 | second name, 0
 *
 * Rooms are used again. A name that does not fit gets a room of its own, which is not kept.
 */
import type { NativeAddon } from "../native.js";
import type { FilePath } from "./contract.js";
import { STATX_BYTES } from "./file-stat.js";

/** A room, and where it lies. */
export interface PathRoom {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** Address of `bytes`. */
  readonly address: number;
}

const ROOM_BYTES = 2048;
/** Rooms that are kept; more are made when more operations run at once, and then given to the collector. */
const ROOMS_KEPT_MAX = 256;

/** The rooms of one ring. */
export class PathRooms {
  readonly #native: NativeAddon;
  readonly #free: PathRoom[] = [];

  constructor(native: NativeAddon) {
    this.#native = native;
  }

  /** A room with space for `names` bytes of names. */
  take(names: number): PathRoom {
    const size = STATX_BYTES + names;
    if (size > ROOM_BYTES) return this.#make(size);
    return this.#free.pop() ?? this.#make(ROOM_BYTES);
  }

  /** The kernel has let go of it. */
  release(room: PathRoom): void {
    if (room.bytes.length === ROOM_BYTES && this.#free.length < ROOMS_KEPT_MAX) this.#free.push(room);
  }

  #make(size: number): PathRoom {
    const memory = new ArrayBuffer(size);
    return { bytes: Buffer.from(memory), view: new DataView(memory), address: this.#native.addressOf(memory) };
  }
}

/** The most bytes that a name takes in a room, its end included. */
export function nameBytesMax(path: FilePath): number {
  return (typeof path === "string" ? path.length * 3 : path.length) + 1;
}

/** Writes a name at `at` and returns where the next one begins. */
export function writeName(room: PathRoom, path: FilePath, at: number): number {
  let end: number;
  if (typeof path === "string") {
    end = at + room.bytes.write(path, at, "utf8");
  } else {
    room.bytes.set(path, at);
    end = at + path.length;
  }
  room.bytes[end] = 0;
  return end + 1;
}
