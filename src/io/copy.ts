/** Bytes from one place to another, no faster than the second one takes them: at any time one piece is held, the one being written. */
import { RingloomError } from "../errors.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { BufferedReader } from "./buffered-reader.js";
import { type ByteDuplex, type ByteSink, type ByteSource, endOf, writeTo } from "./bytes.js";
import { Wait } from "./wait.js";

/**
 * How {@link copy} works.
 * @experimental
 */
export interface CopyOptions extends WaitOptions {
  /** The most that may be copied, in bytes: no limit. The byte after it is `ERR_RINGLOOM_TOO_LARGE`. */
  readonly bytesMax?: number;
  /** The time in which a piece has to come and be written, in milliseconds; no limit unless given. Then `ERR_RINGLOOM_TIMEOUT`. */
  readonly idleTimeoutMs?: number;
  /** Whether the sink gets its end when the source has ended: no. */
  readonly end?: boolean;
  /** Told after each piece how many bytes have been copied. */
  readonly progress?: (bytes: number) => void;
}

/**
 * What {@link copyBoth} has copied, in bytes.
 * @experimental
 */
export interface CopiedBoth {
  readonly forth: number;
  readonly back: number;
}

/**
 * Copies a source into a sink, and counts. After a failure the source is closed, unless it is a {@link BufferedReader}: then it is the caller's, with what
 * had not been read.
 * @returns how many bytes
 * @throws RingloomError `ERR_RINGLOOM_TOO_LARGE`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`; what source or sink threw.
 * @example
 * ```ts run
 * import { createReadStream } from "node:fs";
 * import { copy, fromNodeWritable } from "ringloom/io";
 * const bytes = await copy(createReadStream("package.json"), fromNodeWritable(process.stderr), { timeoutMs: 5_000 });
 * console.log(bytes > 0); // true
 * ```
 * @experimental
 */
export async function copy(source: ByteSource, sink: ByteSink, options: CopyOptions = {}): Promise<number> {
  const wait = new Wait("copy", options);
  const isOurs = !(source instanceof BufferedReader);
  const reader = source instanceof BufferedReader ? source : new BufferedReader(source, { bytesMax: PIECE_BYTES_MAX });
  try {
    return await pump(reader, sink, { options, wait });
  } catch (error) {
    if (isOurs) await reader.close().catch(() => {});
    throw error;
  }
}

/**
 * Copies both ways at once, as a proxy does: the end of one direction ends only that one (half-close), a failure of one gives both up. Closes neither.
 * @example
 * ```ts
 * import { type ByteDuplex, copyBoth } from "ringloom/io";
 * export async function proxy(client: ByteDuplex, upstream: ByteDuplex): Promise<void> {
 *   const { forth, back } = await copyBoth(client, upstream, { idleTimeoutMs: 60_000 });
 *   console.log(`${forth} bytes there, ${back} back`);
 * }
 * ```
 * @throws as {@link copy}; the error of the direction that failed first.
 * @experimental
 */
export async function copyBoth(
  first: ByteDuplex,
  second: ByteDuplex,
  options: Omit<CopyOptions, "end" | "progress"> = {},
): Promise<CopiedBoth> {
  const giveUp = new AbortController();
  const onAbort = () => giveUp.abort(options.signal?.reason);
  if (options.signal?.aborted === true) onAbort();
  options.signal?.addEventListener("abort", onAbort, { once: true });
  let failed = false;
  let failure: unknown;
  const direction = async (source: ByteDuplex, sink: ByteDuplex) => {
    try {
      return await copy(source, sink, { ...options, signal: giveUp.signal, end: true });
    } catch (error) {
      if (!failed) failure = error;
      failed = true;
      giveUp.abort(error);
      return 0;
    }
  };
  try {
    const [forth, back] = await Promise.all([direction(first, second), direction(second, first)]);
    if (failed) throw failure;
    return { forth, back };
  } finally {
    options.signal?.removeEventListener("abort", onAbort);
  }
}

const PIECE_BYTES_MAX = 1024 * 1024;

async function pump(
  reader: BufferedReader,
  sink: ByteSink,
  { options, wait }: { readonly options: CopyOptions; readonly wait: Wait },
): Promise<number> {
  const { bytesMax = Number.POSITIVE_INFINITY, idleTimeoutMs, end = false, progress } = options;
  if (!(bytesMax >= 0)) throw new RangeError(`Cannot copy: bytesMax is ${String(bytesMax)}`);
  let copied = 0;
  for (;;) {
    const step = new Wait("copy", shorter(wait.remaining(), idleTimeoutMs));
    const piece = await reader.read(step.remaining());
    if (piece === undefined) break;
    if (copied + piece.length > bytesMax) throw tooLarge(bytesMax);
    await step.for(writeTo(sink, piece, step.remaining()));
    copied += piece.length;
    progress?.(copied);
  }
  if (end) await wait.for(endOf(sink, wait.remaining()));
  return copied;
}

function shorter({ signal, timeoutMs }: WaitOptions, idleTimeoutMs: number | undefined): WaitOptions {
  if (idleTimeoutMs === undefined) return { signal, timeoutMs };
  if (!(idleTimeoutMs > 0)) throw new RangeError(`Cannot copy: idleTimeoutMs is ${String(idleTimeoutMs)}`);
  return { signal, timeoutMs: Math.min(timeoutMs ?? Number.POSITIVE_INFINITY, idleTimeoutMs) };
}

function tooLarge(bytesMax: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_TOO_LARGE", `Cannot copy: the source has more than ${bytesMax} bytes`, {
    operation: "copy",
    details: { bytesMax },
  });
}
