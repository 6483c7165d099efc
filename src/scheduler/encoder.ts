/**
 * The writing half of the task codec: puts a value into a piece of memory, in place, or says that it cannot.
 *
 * What can be encoded: undefined, null, booleans, numbers, bigints, strings, and arrays, plain objects, Map, Set, Date, ArrayBuffer and its views of these. Everything else is left to the structured clone algorithm, and so
 * are values that algorithm would treat in another way than a copy: functions, symbols, instances of classes, boxed primitives, RegExp, Error, cycles, resizable and shared buffers, objects of another realm.
 *
 * Deliberate differences from structured clone: a Buffer stays a Buffer; of a view its own bytes are copied and not all of its buffer; a value that occurs twice arrives as two;
 * named properties of an array are not carried, as in JSON.
 */
import {
  DEPTH_MAX,
  SHORT_LATIN1_MAX,
  SMALL_INT_MAX,
  TAG_ARRAY,
  TAG_ARRAY_BUFFER,
  TAG_BIGINT,
  TAG_BIGINT64,
  TAG_DATE,
  TAG_DOUBLE,
  TAG_FALSE,
  TAG_HOLE,
  TAG_INT32,
  TAG_LATIN1,
  TAG_MAP,
  TAG_NULL,
  TAG_OBJECT,
  TAG_SET,
  TAG_SHORT_LATIN1,
  TAG_SMALL_INT,
  TAG_TRUE,
  TAG_UNDEFINED,
  TAG_UTF16,
  TAG_VIEW,
  VIEW_KINDS,
} from "./codec-format.js";

/** The answer of {@link Encoder.encode} when the value does not fit. */
export const ENCODE_FULL = -1;
/** The answer of {@link Encoder.encode} when the value is none that the codec carries. */
export const NOT_ENCODABLE = -2;

/** Below this many units a loop is cheaper than a call of Buffer's. */
const LOOP_UNITS_MAX = 16;
/** On a string of one-byte units V8 knows without looking that this cannot match, so the test costs about 30 ns at any length. */
const BEYOND_LATIN1 = /[\u0100-\uffff]/;
const COUNT_BYTES_MAX = 5;
const dateValue = Date.prototype.getTime;
const viewTags: ReadonlyMap<object, number> = new Map(
  VIEW_KINDS.map(({ prototype }, index) => [prototype, TAG_VIEW + index]),
);

/** Encodes into one buffer, which may be shared. */
export class Encoder {
  readonly #bytes: Uint8Array;
  /** The same bytes with Buffer's calls, which are written in C++ and work on shared memory in all supported versions of Node. */
  readonly #buffer: Buffer;
  readonly #view: DataView;
  #end = 0;

  constructor(memory: ArrayBuffer | SharedArrayBuffer) {
    this.#bytes = new Uint8Array(memory);
    this.#buffer = Buffer.from(memory);
    this.#view = new DataView(memory);
  }

  /**
   * Writes `value` from byte `start` on and before byte `end`. Returns the byte behind it, or {@link ENCODE_FULL} or {@link NOT_ENCODABLE}; then the bytes between are undefined.
   * Throws what a getter of the value throws.
   */
  encode(value: unknown, start: number, end: number): number {
    // A getter may encode something else meanwhile.
    const outerEnd = this.#end;
    this.#end = end;
    try {
      return this.#value(value, start, 0);
    } finally {
      this.#end = outerEnd;
    }
  }

  /** The same for a list of arguments, which is taken for an array without a look at what it is. */
  encodeList(values: readonly unknown[], start: number, end: number): number {
    const outerEnd = this.#end;
    this.#end = end;
    try {
      return this.#array(values, start, 0);
    } finally {
      this.#end = outerEnd;
    }
  }

  /** All of these return the byte behind what they wrote, or a negative answer, which whoever called returns at once. */
  #value(value: unknown, at: number, depth: number): number {
    switch (typeof value) {
      case "string":
        return this.#string(value, at);
      case "number":
        return this.#number(value, at);
      case "boolean":
        return this.#tag(value ? TAG_TRUE : TAG_FALSE, at);
      case "undefined":
        return this.#tag(TAG_UNDEFINED, at);
      case "bigint":
        return this.#bigint(value, at);
      case "object":
        return value === null ? this.#tag(TAG_NULL, at) : this.#object(value, at, depth);
      default:
        return NOT_ENCODABLE;
    }
  }

  #tag(tag: number, at: number): number {
    if (at >= this.#end) return ENCODE_FULL;
    this.#bytes[at] = tag;
    return at + 1;
  }

  #number(value: number, at: number): number {
    if ((value | 0) !== value || (value === 0 && 1 / value < 0)) return this.#double(TAG_DOUBLE, value, at);
    if (value >= 0 && value <= SMALL_INT_MAX) return this.#tag(TAG_SMALL_INT + value, at);
    if (at + 5 > this.#end) return ENCODE_FULL;
    this.#bytes[at] = TAG_INT32;
    this.#view.setInt32(at + 1, value, true);
    return at + 5;
  }

  #double(tag: number, value: number, at: number): number {
    if (at + 9 > this.#end) return ENCODE_FULL;
    this.#bytes[at] = tag;
    this.#view.setFloat64(at + 1, value, true);
    return at + 9;
  }

  #bigint(value: bigint, at: number): number {
    if (BigInt.asIntN(64, value) !== value) {
      const digits = value.toString(16);
      const next = this.#head(TAG_BIGINT, digits.length, at, digits.length);
      if (next < 0) return next;
      this.#buffer.latin1Write(digits, next, digits.length);
      return next + digits.length;
    }
    if (at + 9 > this.#end) return ENCODE_FULL;
    this.#bytes[at] = TAG_BIGINT64;
    this.#view.setBigInt64(at + 1, value, true);
    return at + 9;
  }

  #string(value: string, at: number): number {
    const { length } = value;
    if (length <= LOOP_UNITS_MAX) {
      if (at + 1 + length > this.#end) return ENCODE_FULL;
      const bytes = this.#bytes;
      for (let index = 0; index < length; index++) {
        const unit = value.charCodeAt(index);
        if (unit > 0xff) return this.#utf16(value, at);
        bytes[at + 1 + index] = unit;
      }
      bytes[at] = TAG_SHORT_LATIN1 + length;
      return at + 1 + length;
    }
    if (BEYOND_LATIN1.test(value)) return this.#utf16(value, at);
    const next =
      length > SHORT_LATIN1_MAX
        ? this.#head(TAG_LATIN1, length, at, length)
        : at + 1 + length > this.#end
          ? ENCODE_FULL
          : this.#tag(TAG_SHORT_LATIN1 + length, at);
    if (next < 0) return next;
    this.#buffer.latin1Write(value, next, length);
    return next + length;
  }

  #utf16(value: string, at: number): number {
    const byteLength = value.length * 2;
    const next = this.#head(TAG_UTF16, value.length, at, byteLength);
    if (next < 0) return next;
    this.#buffer.write(value, next, byteLength, "utf16le");
    return next + byteLength;
  }

  /** A tag and a count, behind which at least `byteLength` bytes must fit. */
  #head(tag: number, count: number, at: number, byteLength: number): number {
    if (at + 1 + COUNT_BYTES_MAX + byteLength > this.#end) {
      const countBytes = count === 0 ? 1 : Math.ceil((32 - Math.clz32(count)) / 7);
      if (at + 1 + countBytes + byteLength > this.#end) return ENCODE_FULL;
    }
    const bytes = this.#bytes;
    bytes[at++] = tag;
    let rest = count;
    while (rest > 0x7f) {
      bytes[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    return at;
  }

  #object(value: object, at: number, depth: number): number {
    if (depth >= DEPTH_MAX) return NOT_ENCODABLE;
    const prototype: unknown = Object.getPrototypeOf(value);
    if (Array.isArray(value)) return prototype === Array.prototype ? this.#array(value, at, depth) : NOT_ENCODABLE;
    if (prototype === Object.prototype || prototype === null) return this.#plain(value, at, depth);
    if (ArrayBuffer.isView(value)) return this.#viewOf(value, at);
    if (prototype === Date.prototype) return this.#date(value, at);
    if (prototype === Map.prototype) return this.#map(value, at, depth);
    if (prototype === Set.prototype) return this.#set(value, at, depth);
    if (prototype === ArrayBuffer.prototype && value instanceof ArrayBuffer) {
      return isPlainBuffer(value) ? this.#copy(TAG_ARRAY_BUFFER, new Uint8Array(value), at) : NOT_ENCODABLE;
    }
    return NOT_ENCODABLE;
  }

  #array(value: readonly unknown[], at: number, depth: number): number {
    const { length } = value;
    let next = this.#head(TAG_ARRAY, length, at, length);
    for (let index = 0; index < length && next >= 0; index++) {
      const element = value[index];
      next =
        element === undefined && !Object.hasOwn(value, index)
          ? this.#tag(TAG_HOLE, next)
          : this.#value(element, next, depth + 1);
    }
    return next;
  }

  #plain(value: object, at: number, depth: number): number {
    const keys = Object.keys(value);
    let next = this.#head(TAG_OBJECT, keys.length, at, 2 * keys.length);
    for (let index = 0; index < keys.length && next >= 0; index++) {
      const key = keys[index]!;
      next = this.#string(key, next);
      if (next >= 0) next = this.#value(Reflect.get(value, key), next, depth + 1);
    }
    return next;
  }

  #date(value: object, at: number): number {
    const time = unlessForeign(() => dateValue.call(value as Date));
    return time === undefined ? NOT_ENCODABLE : this.#double(TAG_DATE, time, at);
  }

  #map(value: object, at: number, depth: number): number {
    // A copy: a getter in a value could change the map meanwhile, and would make the count a lie.
    const entries = unlessForeign(() => [...Map.prototype.entries.call(value)]);
    if (entries === undefined) return NOT_ENCODABLE;
    let next = this.#head(TAG_MAP, entries.length, at, 2 * entries.length);
    for (let index = 0; index < entries.length && next >= 0; index++) {
      const entry = entries[index]!;
      next = this.#value(entry[0], next, depth + 1);
      if (next >= 0) next = this.#value(entry[1], next, depth + 1);
    }
    return next;
  }

  #set(value: object, at: number, depth: number): number {
    const members = unlessForeign(() => [...Set.prototype.values.call(value)]);
    if (members === undefined) return NOT_ENCODABLE;
    let next = this.#head(TAG_SET, members.length, at, members.length);
    for (let index = 0; index < members.length && next >= 0; index++) {
      next = this.#value(members[index], next, depth + 1);
    }
    return next;
  }

  #viewOf(value: ArrayBufferView, at: number): number {
    const tag = viewTags.get(Object.getPrototypeOf(value));
    if (tag === undefined || !(value.buffer instanceof ArrayBuffer) || !isPlainBuffer(value.buffer)) {
      return NOT_ENCODABLE;
    }
    const bytes =
      value instanceof Uint8Array ? value : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return this.#copy(tag, bytes, at);
  }

  #copy(tag: number, source: Uint8Array, at: number): number {
    const next = this.#head(tag, source.byteLength, at, source.byteLength);
    if (next < 0) return next;
    this.#bytes.set(source, next);
    return next + source.byteLength;
  }
}

/** What `read` gives, or undefined when the object only has the prototype of what it is read as. */
function unlessForeign<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** Neither resizable, which a copy would not be, nor detached, which the structured clone algorithm refuses. */
function isPlainBuffer(buffer: ArrayBuffer): boolean {
  try {
    // On a detached buffer the constructor throws, and on what only has the prototype of a buffer the getters do.
    return Reflect.get(buffer, "resizable") !== true && (buffer.byteLength > 0 || new Uint8Array(buffer).length === 0);
  } catch {
    return false;
  }
}
