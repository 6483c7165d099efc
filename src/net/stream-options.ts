/** What a stream is made with, checked. */
import type { ConnectionOptions, Endpoint } from "./connection.js";

/** Bytes of one stream that may wait for a reader unless told otherwise: a window of 32 frames of 4 KiB, twice. */
export const READ_BUFFER_BYTES_DEFAULT = 256 * 1024;
const READ_BUFFER_BYTES_MIN = 4 * 1024;
const READ_BUFFER_BYTES_MAX = 1024 * 1024 * 1024;
/** The longest idle time before the first keep-alive probe, in milliseconds: what the kernel takes. */
const KEEP_ALIVE_MS_MAX = 32_767_000;

/**
 * How a stream behaves.
 * @experimental
 */
export interface StreamOptions {
  /** Whether small pieces leave at once (TCP_NODELAY). Default: true. */
  readonly noDelay?: boolean | undefined;
  /** Whether the kernel asks an idle peer if it still lives. Default: false. */
  readonly keepAlive?: boolean | undefined;
  /** For how long a peer is idle before it is asked, in milliseconds. Default: the system's, often two hours. */
  readonly keepAliveIdleMs?: number | undefined;
  /**
   * Bytes that may wait for a reader before the peer is held back; what one receive brings (up to 64 KiB) may lie beyond. Memory is taken only while something waits.
   * Default: 262,144.
   */
  readonly readBufferBytes?: number | undefined;
}

/**
 * What the connection of a stream is made with. All options are checked here, before there is a socket: what is applied to one later cannot fail for what it was given, and leave the socket to nobody, or to two.
 * Throws a RangeError or TypeError.
 */
export function connectionOptions(
  operation: string,
  options: StreamOptions,
  peer: Endpoint | undefined,
): ConnectionOptions {
  checkStreamOptions(operation, options);
  return { readBufferBytes: options.readBufferBytes ?? READ_BUFFER_BYTES_DEFAULT, peer };
}

/** Throws a RangeError or TypeError for options that no stream can have. */
export function checkStreamOptions(operation: string, options: StreamOptions): void {
  const { noDelay, keepAlive, keepAliveIdleMs, readBufferBytes = READ_BUFFER_BYTES_DEFAULT } = options;
  checkSwitch(operation, "noDelay", noDelay);
  checkSwitch(operation, "keepAlive", keepAlive);
  if (keepAliveIdleMs !== undefined) checkKeepAliveIdle(operation, keepAliveIdleMs);
  const isValid =
    Number.isSafeInteger(readBufferBytes) &&
    readBufferBytes >= READ_BUFFER_BYTES_MIN &&
    readBufferBytes <= READ_BUFFER_BYTES_MAX;
  if (!isValid)
    throw new RangeError(
      `Cannot ${operation}: readBufferBytes ${readBufferBytes} is not between ${READ_BUFFER_BYTES_MIN} and ${READ_BUFFER_BYTES_MAX}`,
    );
}

/** Throws a RangeError for a time that the kernel does not take. */
export function checkKeepAliveIdle(operation: string, idleMs: number): void {
  if (idleMs >= 0 && idleMs <= KEEP_ALIVE_MS_MAX) return;
  throw new RangeError(
    `Cannot ${operation}: a keep-alive time of ${idleMs} ms is not between 0 and ${KEEP_ALIVE_MS_MAX}`,
  );
}

function checkSwitch(operation: string, name: string, value: unknown): void {
  if (value === undefined || typeof value === "boolean") return;
  throw new TypeError(`Cannot ${operation}: ${name} is neither true nor false`);
}
