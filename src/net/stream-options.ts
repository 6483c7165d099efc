/** What a stream is made with, checked. */
import type { ConnectionOptions, Endpoint } from "./connection.js";

/** Bytes of one stream that may wait for a reader unless told otherwise: a window of 32 frames of 4 KiB, twice. */
export const READ_BUFFER_BYTES_DEFAULT = 256 * 1024;
const READ_BUFFER_BYTES_MIN = 4 * 1024;
const READ_BUFFER_BYTES_MAX = 1024 * 1024 * 1024;

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

/** What the connection of a stream is made with. Throws a RangeError. */
export function connectionOptions(
  operation: string,
  options: StreamOptions,
  peer: Endpoint | undefined,
): ConnectionOptions {
  const { readBufferBytes = READ_BUFFER_BYTES_DEFAULT } = options;
  const isValid =
    Number.isSafeInteger(readBufferBytes) &&
    readBufferBytes >= READ_BUFFER_BYTES_MIN &&
    readBufferBytes <= READ_BUFFER_BYTES_MAX;
  if (!isValid)
    throw new RangeError(
      `Cannot ${operation}: readBufferBytes ${readBufferBytes} is not between ${READ_BUFFER_BYTES_MIN} and ${READ_BUFFER_BYTES_MAX}`,
    );
  return { readBufferBytes, peer };
}
