/** File descriptors that an object owns, until somebody takes them: what comes over a Unix socket, and what a stream was before it was released. */
import { closeSync } from "node:fs";
import { RingloomError } from "../errors.js";

const NONE = -1;
const NO_BYTES = Buffer.alloc(0);

/** Whoever drops an owner without a word loses no descriptor: the collector's visit closes it. */
const dropped = new FinalizationRegistry<number>(closeQuietly);

/**
 * A descriptor of this process and the duty to close it. `take()` hands both over; `close()`, `using`, or at the latest the garbage collector ends it. Descriptors that come from elsewhere are closed by exec.
 *
 * ```ts
 * import { adoptStream, type NetStream, type OwnedDescriptor } from "ringloom/net";
 *
 * export async function throughAnotherHand(stream: NetStream): Promise<NetStream> {
 *   const descriptor: OwnedDescriptor = await stream.release();
 *   return adoptStream(descriptor);
 * }
 * ```
 * @experimental
 */
export class OwnedDescriptor {
  /** Of a stream that was released: what had arrived and nobody has read. It goes with the descriptor. */
  readonly unread: Buffer;
  #descriptor: number;

  /** Owns `descriptor` from now on. */
  constructor(descriptor: number, unread: Buffer = NO_BYTES) {
    if (!Number.isInteger(descriptor) || descriptor < 0)
      throw new RangeError(`Cannot own a descriptor: ${descriptor} is none`);
    this.#descriptor = descriptor;
    this.unread = unread;
    dropped.register(this, descriptor, this);
  }

  /** Whether it was taken or closed. */
  get isClosed(): boolean {
    return this.#descriptor === NONE;
  }

  /**
   * Its number, still this object's.
   * @throws RingloomError `ERR_RINGLOOM_CLOSED` when it was taken or closed.
   */
  get number(): number {
    if (this.#descriptor !== NONE) return this.#descriptor;
    throw new RingloomError("ERR_RINGLOOM_CLOSED", "Cannot use a descriptor: it was taken or closed", {
      operation: "use a descriptor",
    });
  }

  /** Its number, which is the caller's to close from now on. Throws as {@link number} does. */
  take(): number {
    const descriptor = this.number;
    this.#descriptor = NONE;
    dropped.unregister(this);
    return descriptor;
  }

  /** Closes it. Again, or when it was taken, it does nothing. */
  close(): void {
    if (this.#descriptor !== NONE) closeQuietly(this.take());
  }

  /** {@link close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}

function closeQuietly(descriptor: number): void {
  try {
    closeSync(descriptor);
  } catch {
    // Whatever the kernel says, it is closed.
  }
}
