/** Unpacks bodies in the codings that Node's zlib knows (RFC 9110, section 8.4.1). What has another coding stays as it is. */
import { pipeline, Readable, type Transform } from "node:stream";
import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { RingloomError } from "../errors.js";
import { badResponse } from "./response-reader.js";

/** A coding that can be undone. */
export type Coding = "gzip" | "deflate" | "br";

/** What requests offer, the best one first. */
export const ACCEPT_ENCODING = "gzip, deflate, br";
/** Nobody packs a body more often, unless to keep its reader busy. */
const CODINGS_MAX = 4;
const CODINGS: ReadonlyMap<string, Coding> = new Map([
  ["gzip", "gzip"],
  ["x-gzip", "gzip"],
  ["deflate", "deflate"],
  ["br", "br"],
]);

type Whole = (bytes: Uint8Array, options: { readonly maxOutputLength: number }) => Promise<Buffer>;
const gunzip: Whole = promisify(zlib.gunzip as (...args: unknown[]) => void) as unknown as Whole;
const inflate: Whole = promisify(zlib.inflate as (...args: unknown[]) => void) as unknown as Whole;
const inflateRaw: Whole = promisify(zlib.inflateRaw as (...args: unknown[]) => void) as unknown as Whole;
const brotli: Whole = promisify(zlib.brotliDecompress as (...args: unknown[]) => void) as unknown as Whole;

/** The codings of a Content-Encoding in the order in which to undo them; none when one of them is unknown. Throws `ERR_RINGLOOM_BAD_RESPONSE` for too many. */
export function codingsOf(contentEncoding: string): Coding[] {
  const names = contentEncoding.split(",").map((name) => name.trim().toLowerCase());
  if (names.length > CODINGS_MAX) throw badResponse(`its body is packed ${names.length} times`);
  const codings = names.filter((name) => name !== "" && name !== "identity").map((name) => CODINGS.get(name));
  return codings.includes(undefined) ? [] : (codings as Coding[]).reverse();
}

/** Unpacks a body that is all there. Returns undefined when it would have more than `bytesMax` bytes. */
export async function unpackWhole(
  packed: Buffer,
  codings: readonly Coding[],
  bytesMax: number,
): Promise<Buffer | undefined> {
  let bytes = packed;
  try {
    for (const coding of codings)
      if (bytes.length > 0) bytes = await wholeOf(coding, bytes)(bytes, { maxOutputLength: Math.max(1, bytesMax) });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") return undefined;
    throw unpackError(error);
  }
  return bytes.length > bytesMax ? undefined : bytes;
}

/** Unpacks a body piece by piece, no faster than it is read. Ends `source` when it is ended early. */
export async function* unpackChunks(
  source: AsyncIterator<Buffer, void>,
  codings: readonly Coding[],
): AsyncGenerator<Buffer, void, undefined> {
  const first = await source.next();
  if (first.done === true) return;
  const unpackers = codings.map((coding) => streamOf(coding, first.value));
  const packed = Readable.from(from(first.value, source), { objectMode: false });
  // Its failure destroys the last stream, whose reader then sees it.
  const unpacked = pipeline([packed, ...unpackers], () => {}) as Transform;
  try {
    for await (const chunk of unpacked) yield chunk as Buffer;
  } catch (error) {
    throw unpackError(error);
  }
}

async function* from(first: Buffer, rest: AsyncIterator<Buffer, void>): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield first;
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}

function wholeOf(coding: Coding, bytes: Uint8Array): Whole {
  if (coding === "gzip") return gunzip;
  if (coding === "br") return brotli;
  return isZlib(bytes) ? inflate : inflateRaw;
}

function streamOf(coding: Coding, first: Uint8Array): Transform {
  if (coding === "gzip") return zlib.createGunzip();
  if (coding === "br") return zlib.createBrotliDecompress();
  return isZlib(first) ? zlib.createInflate() : zlib.createInflateRaw();
}

/** "deflate" means the zlib format, but there have always been servers that leave its frame out. RFC 1950: the method, 8, is in the low four bits. */
function isZlib(bytes: Uint8Array): boolean {
  return ((bytes[0] ?? 0) & 0x0f) === 8;
}

function unpackError(cause: unknown): unknown {
  if (cause instanceof RingloomError) return cause;
  const { message } = badResponse(`its body cannot be unpacked (${(cause as Error).message})`);
  return new RingloomError("ERR_RINGLOOM_BAD_RESPONSE", message, { operation: "request", cause });
}
