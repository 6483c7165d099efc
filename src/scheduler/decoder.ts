/**
 * The reading half of the task codec. It trusts nothing that it reads: every length is compared with what is left before anything is made of it, so a damaged value is a typed error,
 * costs no more memory than a fixed multiple of its bytes, and cannot touch a prototype.
 */
import { RingloomError } from "../errors.js";
import {
  DEPTH_MAX,
  SHORT_LATIN1_MAX,
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

/** Keys that are remembered, so that objects of one shape do not make their keys anew each time. */
const KEYS_KEPT = 256;
const KEY_UNITS_MAX = 32;
const HEXADECIMAL = /^-?[0-9a-f]+$/;

/** Decodes from one buffer, which may be shared. */
export class Decoder {
  readonly #bytes: Uint8Array;
  readonly #buffer: Buffer;
  readonly #view: DataView;
  readonly #keys: string[] = new Array<string>(KEYS_KEPT).fill("");
  #at = 0;
  #end = 0;

  constructor(memory: ArrayBuffer | SharedArrayBuffer) {
    this.#bytes = new Uint8Array(memory);
    this.#buffer = Buffer.from(memory);
    this.#view = new DataView(memory);
  }

  /** The value that takes exactly the bytes from `start` to `end`. Nothing in it refers to this memory. Throws a RingloomError with `ERR_RINGLOOM_BAD_ENCODING` when they are none. */
  decode(start: number, end: number): unknown {
    this.#begin(start, end);
    const value = this.#value(0);
    if (this.#at !== end) throw badEncoding("bytes behind the value", this.#at);
    return value;
  }

  /** The same for a list of arguments, made at its length at once: a list that grows by its elements is made twice. Not for what users keep, since V8 takes such a list for one with holes. */
  decodeList(start: number, end: number): unknown[] {
    this.#begin(start, end);
    if (this.#byte() !== TAG_ARRAY) throw badEncoding("a value that is no list", start);
    const count = this.#count(1);
    const elements = new Array<unknown>(count);
    for (let index = 0; index < count; index++) {
      if (this.#bytes[this.#at] === TAG_HOLE && this.#at < end) this.#at += 1;
      else elements[index] = this.#value(1);
    }
    if (this.#at !== end) throw badEncoding("bytes behind the value", this.#at);
    return elements;
  }

  #begin(start: number, end: number): void {
    if (!(start >= 0 && start < end && end <= this.#bytes.length)) {
      throw badEncoding("a range outside the memory", start);
    }
    this.#at = start;
    this.#end = end;
  }

  #value(depth: number): unknown {
    const tag = this.#byte();
    if (tag >= TAG_SMALL_INT) return tag - TAG_SMALL_INT;
    if (tag >= TAG_SHORT_LATIN1) return this.#latin1(tag - TAG_SHORT_LATIN1);
    switch (tag) {
      case TAG_UNDEFINED:
        return undefined;
      case TAG_NULL:
        return null;
      case TAG_FALSE:
        return false;
      case TAG_TRUE:
        return true;
      case TAG_INT32:
        return this.#view.getInt32(this.#skip(4), true);
      case TAG_DOUBLE:
        return this.#view.getFloat64(this.#skip(8), true);
      case TAG_LATIN1:
        return this.#latin1(this.#count(1));
      case TAG_UTF16:
        return this.#utf16();
      case TAG_BIGINT64:
        return this.#view.getBigInt64(this.#skip(8), true);
      case TAG_BIGINT:
        return this.#bigint();
      default:
        return this.#object(tag, depth);
    }
  }

  #object(tag: number, depth: number): unknown {
    if (depth >= DEPTH_MAX) throw badEncoding("values nested too deep", this.#at);
    switch (tag) {
      case TAG_ARRAY:
        return this.#array(depth);
      case TAG_OBJECT:
        return this.#plain(depth);
      case TAG_DATE:
        return new Date(this.#view.getFloat64(this.#skip(8), true));
      case TAG_MAP:
        return this.#map(depth);
      case TAG_SET:
        return this.#set(depth);
      case TAG_ARRAY_BUFFER:
        return this.#copy(this.#count(1));
      default:
        return this.#viewOf(tag);
    }
  }

  #byte(): number {
    if (this.#at >= this.#end) throw badEncoding("an end within the value", this.#at);
    return this.#bytes[this.#at++]!;
  }

  /** Passes over `byteLength` bytes, and gives the first. */
  #skip(byteLength: number): number {
    const at = this.#at;
    if (byteLength > this.#end - at) throw badEncoding("an end within the value", at);
    this.#at = at + byteLength;
    return at;
  }

  /** A count of things that take at least `eachBytes` bytes, all of which must still follow. */
  #count(eachBytes: number): number {
    let count = this.#byte();
    if (count > 0x7f) {
      count &= 0x7f;
      for (let scale = 0x80; ; scale *= 0x80) {
        const byte = this.#byte();
        count += (byte & 0x7f) * scale;
        if (byte <= 0x7f) break;
        if (scale >= 2 ** 28) throw badEncoding("a count too long", this.#at);
      }
    }
    if (count * eachBytes > this.#end - this.#at) throw badEncoding("a count beyond the end", this.#at);
    return count;
  }

  #latin1(length: number): string {
    const at = this.#skip(length);
    return length === 0 ? "" : this.#buffer.latin1Slice(at, at + length);
  }

  #utf16(): string {
    const byteLength = this.#count(2) * 2;
    const at = this.#skip(byteLength);
    return this.#buffer.toString("utf16le", at, at + byteLength);
  }

  #bigint(): bigint {
    const digits = this.#latin1(this.#count(1));
    if (!HEXADECIMAL.test(digits)) throw badEncoding("a bigint with other digits", this.#at);
    return digits.startsWith("-") ? -BigInt(`0x${digits.slice(1)}`) : BigInt(`0x${digits}`);
  }

  #array(depth: number): unknown[] {
    const count = this.#count(1);
    const elements: unknown[] = [];
    for (let index = 0; index < count; index++) {
      if (this.#bytes[this.#at] === TAG_HOLE && this.#at < this.#end) {
        this.#at += 1;
        elements.length = index + 1;
      } else elements.push(this.#value(depth + 1));
    }
    return elements;
  }

  #plain(depth: number): Record<string, unknown> {
    const count = this.#count(2);
    const object: Record<string, unknown> = {};
    for (let index = 0; index < count; index++) {
      const key = this.#key();
      const value = this.#value(depth + 1);
      // An assignment would call the setter of Object.prototype.
      if (key === "__proto__") {
        Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
      } else object[key] = value;
    }
    return object;
  }

  #key(): string {
    const tag = this.#byte();
    if (tag >= TAG_SHORT_LATIN1 && tag <= TAG_SHORT_LATIN1 + KEY_UNITS_MAX)
      return this.#keptKey(tag - TAG_SHORT_LATIN1);
    if (tag > TAG_SHORT_LATIN1 && tag <= TAG_SHORT_LATIN1 + SHORT_LATIN1_MAX)
      return this.#latin1(tag - TAG_SHORT_LATIN1);
    if (tag === TAG_LATIN1) return this.#latin1(this.#count(1));
    if (tag === TAG_UTF16) return this.#utf16();
    throw badEncoding("a key that is no string", this.#at - 1);
  }

  #keptKey(length: number): string {
    const at = this.#skip(length);
    const bytes = this.#bytes;
    let hash = length;
    for (let index = 0; index < length; index++) hash = (hash * 31 + bytes[at + index]!) | 0;
    const slot = (hash ^ (hash >>> 8)) & (KEYS_KEPT - 1);
    const kept = this.#keys[slot]!;
    if (kept.length === length) {
      let index = 0;
      while (index < length && kept.charCodeAt(index) === bytes[at + index]) index += 1;
      if (index === length) return kept;
    }
    const key = this.#buffer.latin1Slice(at, at + length);
    this.#keys[slot] = key;
    return key;
  }

  #map(depth: number): Map<unknown, unknown> {
    const count = this.#count(2);
    const map = new Map<unknown, unknown>();
    for (let index = 0; index < count; index++) {
      const key = this.#value(depth + 1);
      map.set(key, this.#value(depth + 1));
    }
    return map;
  }

  #set(depth: number): Set<unknown> {
    const count = this.#count(1);
    const set = new Set<unknown>();
    for (let index = 0; index < count; index++) set.add(this.#value(depth + 1));
    return set;
  }

  #viewOf(tag: number): ArrayBufferView {
    const kind = VIEW_KINDS[tag - TAG_VIEW];
    if (kind === undefined) throw badEncoding("an unknown tag", this.#at - 1);
    const byteLength = this.#count(1);
    if (byteLength % kind.elementBytes !== 0) throw badEncoding("half an element", this.#at);
    return kind.make(this.#copy(byteLength));
  }

  #copy(byteLength: number): ArrayBuffer {
    const at = this.#skip(byteLength);
    const copy = new ArrayBuffer(byteLength);
    if (byteLength > 0) new Uint8Array(copy).set(this.#bytes.subarray(at, at + byteLength));
    return copy;
  }
}

function badEncoding(what: string, at: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_BAD_ENCODING", `Cannot decode a value: ${what} at byte ${at}`, {
    operation: "decode",
    details: { at },
  });
}
