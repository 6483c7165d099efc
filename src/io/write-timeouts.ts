/**
 * Finds the peers that take nothing of what waits for them, or so little that it comes to the same. Bytes that wait lie in the write pool, which all connections share, so whoever never reads
 * would in the end stop everybody. One sweep compares two numbers a connection: no write pays for it.
 */

const TICK_MS_MAX = 1_000;
const TICK_MS_MIN = 5;
/** A tick is this part of the timeout. */
const TICK_PARTS = 4;

/** A peer that takes less than this for the whole timeout, in bytes a second, holds on to memory rather than reads. */
const TAKEN_BYTES_A_SECOND_MIN = 240;

/** Bytes that a peer for which something waits has to take within `timeoutMs`. */
export function takenBytesMin(timeoutMs: number): number {
  return Math.ceil((timeoutMs / 1_000) * TAKEN_BYTES_A_SECOND_MIN);
}

/** The value of `takenBytes` while nothing waits. */
export const NOTHING_WAITS = Number.NEGATIVE_INFINITY;

/** A connection that something may wait for. */
export interface WritingSocket {
  /** Bytes that have not reached the kernel; 0 when nobody writes any more. */
  readonly queuedBytes: number;
  /** Bytes committed so far, those that wait included. */
  readonly committedBytes: number;
  /** Bytes that have reached the kernel and not the peer, as far as anybody knows. Asked only while something waits. */
  readonly unacknowledgedBytes: number;
  /** How many the peer had taken when it had last taken enough, as far as the sweep knows; {@link NOTHING_WAITS} while nothing waits. */
  takenBytes: number;
  /** When the sweep saw that, by `performance.now()`. */
  takenAtMs: number;
}

/** What {@link WriteTimeouts} needs. */
export interface WriteTimeoutsOptions<Socket extends WritingSocket> {
  /** How long a peer may take fewer than {@link takenBytesMin} bytes while some wait, in milliseconds; 0 is for ever. */
  readonly timeoutMs: number;
  /** All connections. */
  readonly sockets: () => Iterable<Socket>;
  /** Ends a connection whose peer has taken next to nothing for so long, or up to two ticks longer. */
  readonly cut: (socket: Socket) => void;
}

/** The write timeouts of one thread's sockets. Its timer does not keep the thread alive. */
export class WriteTimeouts<Socket extends WritingSocket> {
  readonly #options: WriteTimeoutsOptions<Socket>;
  readonly #takenBytesMin: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WriteTimeoutsOptions<Socket>) {
    this.#options = options;
    this.#takenBytesMin = takenBytesMin(options.timeoutMs);
  }

  /** There is a connection. The sweep ends by itself when there is none. */
  start(): void {
    const { timeoutMs } = this.#options;
    if (timeoutMs === 0 || this.#timer !== undefined) return;
    const tickMs = Math.max(TICK_MS_MIN, Math.min(TICK_MS_MAX, Math.floor(timeoutMs / TICK_PARTS)));
    this.#timer = setInterval(() => this.#sweep(), tickMs);
    this.#timer.unref();
  }

  /** Stops until the next `start`. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #sweep(): void {
    const now = performance.now();
    let isEmpty = true;
    for (const socket of this.#options.sockets()) {
      isEmpty = false;
      if (this.#isStalled(socket, now)) this.#options.cut(socket);
    }
    if (isEmpty) this.stop();
  }

  #isStalled(socket: Socket, now: number): boolean {
    const { queuedBytes, committedBytes } = socket;
    // The kernel takes nothing for seconds while a slow peer empties a full buffer, so what that has acknowledged counts.
    const taken = queuedBytes === 0 ? NOTHING_WAITS : committedBytes - queuedBytes - socket.unacknowledgedBytes;
    // From or to NOTHING_WAITS it is infinite, or not a number.
    const progress = Math.abs(taken - socket.takenBytes);
    if (progress >= this.#takenBytesMin) {
      socket.takenBytes = taken;
      socket.takenAtMs = now;
      return false;
    }
    return taken !== NOTHING_WAITS && now - socket.takenAtMs >= this.#options.timeoutMs;
  }
}
