/** A connection as a reader and a writer that two tasks can own. */

import type { WaitOptions } from "../task/wait-errors.js";
import { BufferedReader, type BufferedReaderOptions } from "./buffered-reader.js";
import { BufferedWriter, type BufferedWriterOptions } from "./buffered-writer.js";
import { type ByteDuplex, type ByteSink, endOf, writeTo } from "./bytes.js";

/**
 * The two halves of a connection.
 * @experimental
 */
export interface Halves {
  readonly reader: BufferedReader;
  readonly writer: BufferedWriter;
}

/**
 * Splits a connection in a buffered reader and a buffered writer. The end of the writer is a half-close; the connection is closed when both have ended: the
 * writer by `end()`, the reader by `close()` or by having read everything.
 * @example
 * ```ts
 * import { type ByteDuplex, split } from "ringloom/io";
 * export async function shout(connection: ByteDuplex): Promise<void> {
 *   const { reader, writer } = split(connection, { bytesMax: 1_000 });
 *   for await (const line of reader.lines()) {
 *     await writer.write(`${line.toUpperCase()}\n`);
 *     await writer.flush();
 *   }
 *   await writer.end();
 * }
 * ```
 * @experimental
 */
export function split(connection: ByteDuplex, options: BufferedReaderOptions & BufferedWriterOptions = {}): Halves {
  let open = 2;
  const ended = () => (--open === 0 ? connection.close?.() : undefined);
  return {
    reader: new BufferedReader(incoming(connection, ended), options),
    writer: new BufferedWriter(outgoing(connection, ended), options),
  };
}

/** An iterator of its own and no generator: `return` of a generator that waits would wait too. */
function incoming(connection: ByteDuplex, ended: () => unknown): AsyncIterable<Uint8Array> {
  const iterator = connection[Symbol.asyncIterator]();
  let isOver = false;
  const over = async () => {
    if (isOver) return;
    isOver = true;
    await ended();
  };
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        const result = await iterator.next();
        if (result.done === true) await over();
        return result;
      },
      async return() {
        await over();
        return { done: true, value: undefined };
      },
    }),
  };
}

function outgoing(connection: ByteDuplex, ended: () => unknown): ByteSink {
  return {
    write: (bytes: Uint8Array, options?: WaitOptions) => writeTo(connection, bytes, options),
    async end(options?: WaitOptions) {
      await endOf(connection, options);
      await ended();
    },
  };
}
