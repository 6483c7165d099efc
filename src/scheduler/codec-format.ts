/**
 * The bytes of the task codec: a tag, then what the tag says. Numbers are little-endian; a *count* is 7 bits a byte, lowest first, five bytes at most.
 *
 *     UNDEFINED NULL FALSE TRUE HOLE     nothing
 *     INT32 4 bytes   DOUBLE 8   DATE 8   BIGINT64 8
 *     LATIN1 count, bytes   UTF16 count of units, 2 bytes each   BIGINT count, digits (hexadecimal, with a sign)
 *     ARRAY SET count, values   OBJECT MAP count, pairs of key and value
 *     ARRAY_BUFFER DATA_VIEW BUFFER, and one tag for each kind of typed array: count of bytes, bytes
 *     SHORT_LATIN1 + n   n bytes, n up to 63      SMALL_INT + n   nothing: n itself, up to 127
 *
 * Both ends are threads of one process, so there is no version and no promise about the next release.
 */

/** `undefined`. */
export const TAG_UNDEFINED = 0;
/** `null`. */
export const TAG_NULL = 1;
/** `false`. */
export const TAG_FALSE = 2;
/** `true`. */
export const TAG_TRUE = 3;
/** Only as an element of an array. */
export const TAG_HOLE = 4;
/** A whole number of 32 bits with its sign. */
export const TAG_INT32 = 5;
/** Any other number. */
export const TAG_DOUBLE = 6;
/** A string whose units are all below 256. */
export const TAG_LATIN1 = 7;
/** Any other string, lone surrogates included. */
export const TAG_UTF16 = 8;
/** An array. */
export const TAG_ARRAY = 9;
/** A plain object. */
export const TAG_OBJECT = 10;
/** A Date, perhaps an invalid one. */
export const TAG_DATE = 11;
/** A Map. */
export const TAG_MAP = 12;
/** A Set. */
export const TAG_SET = 13;
/** A bigint of 64 bits with its sign. */
export const TAG_BIGINT64 = 14;
/** Any other bigint. */
export const TAG_BIGINT = 15;
/** An ArrayBuffer. */
export const TAG_ARRAY_BUFFER = 16;
/** The first of the tags of views, in the order of {@link VIEW_KINDS}. */
export const TAG_VIEW = 17;
/** Followed by 63 more: the length is in the tag. */
export const TAG_SHORT_LATIN1 = 64;
/** The longest string whose length is in its tag. */
export const SHORT_LATIN1_MAX = 63;
/** Followed by 127 more: the number is in the tag. */
export const TAG_SMALL_INT = 128;
/** The largest number that is in its tag. */
export const SMALL_INT_MAX = 127;

/** How deep arrays, objects, maps and sets may be nested. A cycle is deeper than anything, and so is found by it. */
export const DEPTH_MAX = 100;

/** One kind of view over an ArrayBuffer. */
export interface ViewKind {
  readonly prototype: object;
  readonly elementBytes: number;
  make(buffer: ArrayBuffer): ArrayBufferView;
}

/** The kinds of views, by their tag's distance from {@link TAG_VIEW}. A Buffer stays a Buffer. */
export const VIEW_KINDS: readonly ViewKind[] = [
  { prototype: Uint8Array.prototype, elementBytes: 1, make: (buffer) => new Uint8Array(buffer) },
  { prototype: Buffer.prototype, elementBytes: 1, make: (buffer) => Buffer.from(buffer) },
  { prototype: DataView.prototype, elementBytes: 1, make: (buffer) => new DataView(buffer) },
  { prototype: Int8Array.prototype, elementBytes: 1, make: (buffer) => new Int8Array(buffer) },
  { prototype: Uint8ClampedArray.prototype, elementBytes: 1, make: (buffer) => new Uint8ClampedArray(buffer) },
  { prototype: Int16Array.prototype, elementBytes: 2, make: (buffer) => new Int16Array(buffer) },
  { prototype: Uint16Array.prototype, elementBytes: 2, make: (buffer) => new Uint16Array(buffer) },
  { prototype: Int32Array.prototype, elementBytes: 4, make: (buffer) => new Int32Array(buffer) },
  { prototype: Uint32Array.prototype, elementBytes: 4, make: (buffer) => new Uint32Array(buffer) },
  { prototype: Float32Array.prototype, elementBytes: 4, make: (buffer) => new Float32Array(buffer) },
  { prototype: Float64Array.prototype, elementBytes: 8, make: (buffer) => new Float64Array(buffer) },
  { prototype: BigInt64Array.prototype, elementBytes: 8, make: (buffer) => new BigInt64Array(buffer) },
  { prototype: BigUint64Array.prototype, elementBytes: 8, make: (buffer) => new BigUint64Array(buffer) },
];
