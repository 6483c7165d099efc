/** What the sockets of one thread share: its driver, the room that one connection may take of the write pool, and who looks after peers that never read. */
import type { Driver } from "../driver/contract.js";
import { RingloomError } from "../errors.js";
import type { DriverSocket, SocketOwner } from "../io/driver-socket.js";
import { ReceiveCopies } from "../io/receive-copies.js";
import { type Deadline, SocketTimeouts } from "../io/socket-timeouts.js";
import { QUEUED_BYTES_MAX, writeShare } from "../io/write-share.js";
import { WriteTimeouts, type WritingSocket } from "../io/write-timeouts.js";
import { type ThreadDriver, threadDriver, tlsThreadDriver } from "../runtime/thread-driver.js";

/** How long a write waits for room in the write pool when no turn of the driver comes before, in milliseconds. */
const STARVED_RETRY_MS = 5;
/** A peer that takes none of what waits for it is cut after so long, in milliseconds: the write pool is everybody's. */
export const STALL_MS_MAX = 120_000;

/** A connection that the host looks after. */
export interface HostedConnection extends WritingSocket {
  /** Its writes may find room in the pool. */
  proceed(): void;
  /** Its peer has taken nothing for too long. */
  cut(error: Error): void;
}

let current: NetHost | undefined;
let currentTls: NetHost | undefined;

/** The host of this thread's sockets. */
export function netHost(): NetHost {
  const thread = threadDriver();
  if (current?.thread !== thread) current = new NetHost(thread);
  return current;
}

/** The host of this thread's sockets that speak TLS. */
export function tlsHost(): NetHost {
  const thread = tlsThreadDriver();
  // Where the thread's own driver is Node's, it serves both.
  if (current?.thread === thread) return current;
  if (currentTls?.thread !== thread) currentTls = new NetHost(thread);
  return currentTls;
}

/** One for each driver of a thread. */
export class NetHost implements SocketOwner {
  readonly thread: ThreadDriver;
  readonly driver: Driver;
  readonly writeBuffer: Buffer;
  readonly timeouts = new SocketTimeouts();
  readonly copies = new ReceiveCopies();
  readonly #connections = new Set<HostedConnection>();
  #starved = new Set<{ proceed(): void }>();
  #starvedSockets = new Map<DriverSocket, { proceed(): void }>();
  #retry: Deadline | undefined;
  readonly #writeTimeouts: WriteTimeouts<HostedConnection>;

  constructor(thread: ThreadDriver) {
    this.thread = thread;
    this.driver = thread.driver;
    const { buffer, byteOffset, byteLength } = thread.driver.writeBytes;
    this.writeBuffer = Buffer.from(buffer, byteOffset, byteLength);
    this.#writeTimeouts = new WriteTimeouts({
      timeoutMs: STALL_MS_MAX,
      sockets: () => this.#connections,
      cut: (connection) => connection.cut(stalled(connection.queuedBytes)),
    });
    thread.onTurnEnd(() => {
      if (this.#starved.size > 0) this.#feedStarved();
    });
  }

  /** Bytes that one connection may have in the write pool now. */
  get queuedBytesMax(): number {
    return writeShare(this.driver, QUEUED_BYTES_MAX);
  }

  /** A connection begins. */
  add(connection: HostedConnection): void {
    this.#connections.add(connection);
    this.#writeTimeouts.start();
  }

  /** A connection is gone. */
  remove(connection: HostedConnection): void {
    this.#connections.delete(connection);
    this.#starved.delete(connection);
  }

  /** The write pool had no room for it: it is called again when there may be. */
  awaitRoom(waiter: { proceed(): void }): void {
    this.#starved.add(waiter);
    // Room that another connection gives back need not cause a turn.
    this.#retry ??= this.timeouts.after(STARVED_RETRY_MS, () => {
      this.#retry = undefined;
      this.#feedStarved();
    });
  }

  starved(socket: DriverSocket): void {
    let waiter = this.#starvedSockets.get(socket);
    if (waiter === undefined) {
      waiter = {
        proceed: () => {
          this.#starvedSockets.delete(socket);
          socket.continueWriting();
        },
      };
      this.#starvedSockets.set(socket, waiter);
    }
    this.awaitRoom(waiter);
  }

  #feedStarved(): void {
    const starved = this.#starved;
    this.#starved = new Set();
    for (const waiter of starved) waiter.proceed();
  }
}

function stalled(queuedBytes: number): RingloomError {
  return new RingloomError(
    "ETIMEDOUT",
    `Cannot write: the peer has taken none of the ${queuedBytes} bytes that wait for it in ${STALL_MS_MAX} ms`,
    { operation: "write", details: { queuedBytes, timeoutMs: STALL_MS_MAX } },
  );
}
