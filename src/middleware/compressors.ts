/** The codings of Node's zlib: one call for a body that is all there, a stream for one that is not. */
import { pipeline, Readable, type Transform } from "node:stream";
import { promisify } from "node:util";
import * as zlib from "node:zlib";

/**
 * A content coding (RFC 9110, section 8.4.1; zstd: RFC 8878).
 * @experimental
 */
export type Encoding = "br" | "gzip" | "zstd";

/** How to compress with one coding. */
export interface Compressor {
  whole(body: string | Uint8Array): Promise<Uint8Array>;
  stream(): Transform;
}

/** Brotli's default of 11 is for files that are compressed once: it takes 50 times as long as 4. */
const BROTLI_QUALITY = 4;

type ZstdApi = {
  zstdCompress?: (body: string | Uint8Array, done: (error: Error | null, result: Buffer) => void) => void;
  createZstdCompress?: () => Transform;
};
const { zstdCompress, createZstdCompress } = zlib as unknown as ZstdApi;

const gzip = promisify<string | Uint8Array, zlib.ZlibOptions, Buffer>(zlib.gzip);
const brotli = promisify<string | Uint8Array, zlib.BrotliOptions, Buffer>(zlib.brotliCompress);
const brotliParams = { [zlib.constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY };

/** What this Node can do. zstd came with 22.15. */
export const COMPRESSORS: Readonly<Partial<Record<Encoding, Compressor>>> = {
  br: {
    whole: (body) => brotli(body, { params: brotliParams }),
    stream: () => zlib.createBrotliCompress({ params: brotliParams }),
  },
  gzip: { whole: (body) => gzip(body, {}), stream: () => zlib.createGzip() },
  ...(zstdCompress === undefined || createZstdCompress === undefined
    ? {}
    : {
        zstd: {
          whole: promisify(zstdCompress) as (body: string | Uint8Array) => Promise<Buffer>,
          stream: createZstdCompress,
        },
      }),
};

/** The chunks of `source`, compressed. Ends `source` when it is ended early. */
export function compressed(source: AsyncIterable<unknown>, compressor: Compressor): AsyncIterable<Uint8Array> {
  const transform = compressor.stream();
  // Its failure destroys the transform, whose reader then sees it.
  pipeline(Readable.from(ownChunks(source), { objectMode: false }), transform, () => {});
  return transform;
}

/**
 * A source may fill the same buffer for its next chunk, which `Readable.from` asks for while the last one is still in the compressor. No generator: one that was not begun, or whose source has failed, would end without
 * telling the source, and the file behind it would stay open.
 */
function ownChunks(source: AsyncIterable<unknown>): AsyncIterable<unknown> {
  return {
    [Symbol.asyncIterator]: () => {
      const chunks = source[Symbol.asyncIterator]();
      return {
        async next() {
          const { done, value } = await chunks.next();
          if (done === true) return { done, value: undefined };
          return { done: false, value: value instanceof Uint8Array ? Buffer.from(value) : value };
        },
        async return() {
          await chunks.return?.();
          return { done: true, value: undefined };
        },
      };
    },
  };
}
