/**
 * Keys and values in the memory of a shared cache, in the compact form in which tasks' values travel.
 *
 *     entry: [slot + 1, units | hash, key bytes, value bytes, expiry low, expiry high, 0] key, value
 */
import { assert } from "../assert.js";
import { notCloneable } from "../errors.js";
import { monotonicMs } from "../observe/monotonic.js";
import { Decoder } from "../scheduler/decoder.js";
import { ENCODE_FULL, Encoder, NOT_ENCODABLE } from "../scheduler/encoder.js";
import { type CacheShape, ENTRY_HEADER_WORDS, UNIT_WORDS } from "../shared/cache-layout.js";
import { CacheTable, type SlotPlace } from "../shared/cache-table.js";
import { SharedWords } from "../shared/words.js";
import { entryBytesMax } from "./cache-size.js";

const HASH = ENTRY_HEADER_WORDS;
const KEY_BYTES = HASH + 1;
const VALUE_BYTES = HASH + 2;
const EXPIRY_LOW = HASH + 3;
const EXPIRY_HIGH = HASH + 4;
const HEADER_WORDS = 8;
const HEADER_BYTES = HEADER_WORDS * 4;
/** The longest key in its encoded form, in bytes. */
export const CACHE_KEY_BYTES_MAX = 4_096;
const SCRATCH_BYTES = 64 * 2 ** 10;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** Counters of each thread, by their number in the table. */
export const CACHE_COUNTS = {
  hits: 0,
  misses: 1,
  sets: 2,
  deletes: 3,
  expired: 4,
  refused: 5,
  loads: 6,
  evictions: CacheTable.EVICTIONS,
} as const;

/** How a value is put in. */
export interface PutOptions {
  /** 0 is for ever. */
  readonly ttlMs: number;
  /** Puts it in only if nothing has made the key's value invalid since its stamp was this. */
  readonly stamp: number | undefined;
}

/** Where bytes are made before they are copied into an entry. */
interface Scratch {
  readonly bytes: Uint8Array;
  readonly encoder: Encoder;
}

/** Where a key belongs, and what it looks like. */
interface Located {
  readonly hash: number;
  readonly tag: number;
  readonly segment: number;
  readonly bucket: number;
  readonly keyBytes: number;
  readonly scratch: Scratch;
}

// The clock of all threads, without what a bigint costs.
const clockOffsetMs = monotonicMs() - performance.now();

/** One thread's use of a cache: by key and value. */
export class CacheEntries {
  readonly table: CacheTable;
  readonly #words: SharedWords;
  readonly #bytes: Uint8Array;
  readonly #decoder: Decoder;
  readonly #entryBytesMax: number;
  readonly #keyScratch = makeScratch(CACHE_KEY_BYTES_MAX);
  /** Absent while it is in use: a getter of a value may use the cache itself. */
  #scratch: Scratch | undefined;

  constructor(memory: SharedArrayBuffer, shape: CacheShape, thread: number) {
    this.#words = new SharedWords(memory);
    this.#bytes = new Uint8Array(memory);
    this.#decoder = new Decoder(memory);
    this.#entryBytesMax = entryBytesMax(shape);
    this.table = new CacheTable(this.#words, shape, thread);
  }

  /** The value of a key, decoded from its entry; undefined if there is none. */
  get(key: string): unknown {
    const located = this.#locate(key, this.#keyScratch);
    const { segment, bucket } = located;
    const place = { segment, bucket, way: 0 };
    const entry = this.#find(located, place);
    if (entry === 0) return undefined;
    try {
      if (this.#isExpired(entry)) {
        if (this.table.remove(place, entry)) this.table.count(CACHE_COUNTS.expired);
        return undefined;
      }
      this.table.mark(place);
      const start = entry * 4 + HEADER_BYTES + this.#words.read(entry + KEY_BYTES);
      return this.#decoder.decode(start, start + this.#words.read(entry + VALUE_BYTES));
    } finally {
      this.table.unpin();
    }
  }

  /** What {@link PutOptions.stamp} is compared with: a number that each deletion of the key changes, and each value that is put in without a stamp; of the other keys few do. */
  stampOf(key: string): number {
    return this.table.stampOf(this.#numberOf(this.#locate(key, this.#keyScratch)));
  }

  /** Puts a value in. False when there is no room for it; what the key had is gone then too. Throws `ERR_RINGLOOM_NOT_CLONEABLE` for what cannot be encoded. */
  put(key: string, value: unknown, options: PutOptions): boolean {
    const scratch = this.#scratch ?? makeScratch(SCRATCH_BYTES);
    this.#scratch = undefined;
    let own = scratch;
    try {
      const keyBytes = this.#locate(key, scratch).keyBytes;
      let end = own.encoder.encode(value, keyBytes, own.bytes.length);
      while (end === ENCODE_FULL && own.bytes.length < this.#entryBytesMax) {
        own = makeScratch(Math.min(own.bytes.length * 4, this.#entryBytesMax));
        this.#locate(key, own);
        end = own.encoder.encode(value, keyBytes, own.bytes.length);
      }
      if (end === NOT_ENCODABLE)
        throw notCloneable("sharedCache", `the value of ${JSON.stringify(key)} is not plain data`);
      const isWritten =
        end !== ENCODE_FULL &&
        end + HEADER_BYTES <= this.#entryBytesMax &&
        this.#write(this.#locate(key, own), end, options);
      if (!isWritten && options.stamp === undefined) this.delete(key);
      return isWritten;
    } finally {
      this.#scratch = scratch;
    }
  }

  /** Takes a key out, and keeps out what was loaded before this. True if it was there. */
  delete(key: string): boolean {
    const located = this.#locate(key, this.#keyScratch);
    const { segment, bucket } = located;
    const place = { segment, bucket, way: 0 };
    this.table.stamp(this.#numberOf(located));
    for (;;) {
      const entry = this.#find(located, place);
      if (entry === 0) return false;
      const isGone = this.table.remove(place, entry);
      this.table.unpin();
      // If not, a writer may have moved the entry to the front, and its copy has to go too.
      if (isGone) return true;
    }
  }

  #write(located: Located, end: number, { ttlMs, stamp }: PutOptions): boolean {
    const { segment, tag, scratch } = located;
    const { table } = this;
    const number = this.#numberOf(located);
    if (!table.lock(segment)) return false;
    try {
      if (stamp === undefined) table.stamp(number);
      else if (table.stampOf(number) !== stamp) return false;
      const place = this.#placeFor(located);
      const room = table.reserve(segment, Math.ceil((HEADER_BYTES + end) / (UNIT_WORDS * 4)));
      if (room === undefined) return false;
      this.#fill(room.word, { located, end, ttlMs });
      this.#bytes.set(scratch.bytes.subarray(0, end), (room.word + HEADER_WORDS) * 4);
      table.publish(place, tag, room);
      // A deletion that did not see the entry has changed the stamp before this looks.
      if (stamp !== undefined && table.stampOf(number) !== stamp) {
        table.clear(place);
        return false;
      }
      return true;
    } finally {
      table.unlock(segment);
    }
  }

  #fill(word: number, { located, end, ttlMs }: { located: Located; end: number; ttlMs: number }): void {
    const expiryMs = ttlMs === 0 ? 0 : Math.ceil(performance.now() + clockOffsetMs + ttlMs);
    this.#words.write(word + HASH, located.hash);
    this.#words.write(word + KEY_BYTES, located.keyBytes);
    this.#words.write(word + VALUE_BYTES, end - located.keyBytes);
    this.#words.write(word + EXPIRY_LOW, expiryMs | 0);
    this.#words.write(word + EXPIRY_HIGH, Math.floor(expiryMs / 2 ** 32));
  }

  /** The slot that the key has, or gets. Its segment is locked. */
  #placeFor(located: Located): SlotPlace {
    const { segment, bucket } = located;
    const place = { segment, bucket, way: 0 };
    if (this.#find(located, place) === 0) return this.table.victim(segment, bucket);
    this.table.unpin();
    return place;
  }

  /** The entry of the key, pinned, and its way in `place`; 0 if there is none. */
  #find(located: Located, place: SlotPlace & { way: number }): number {
    const { ways } = this.table.shape;
    for (place.way = 0; place.way < ways; place.way++) {
      const entry = this.table.pin(place, located.tag);
      if (entry === 0) continue;
      if (this.#isSame(entry, located)) return entry;
      this.table.unpin();
    }
    return 0;
  }

  #isSame(entry: number, { hash, keyBytes, scratch }: Located): boolean {
    if (this.#words.read(entry + HASH) !== hash || this.#words.read(entry + KEY_BYTES) !== keyBytes) return false;
    const start = (entry + HEADER_WORDS) * 4;
    const bytes = this.#bytes;
    for (let index = 0; index < keyBytes; index++) if (bytes[start + index] !== scratch.bytes[index]) return false;
    return true;
  }

  /** Where its stamp is. The tag's bits are not those that have chosen the bucket. */
  #numberOf({ segment, bucket, tag }: Located): SlotPlace {
    return { segment, bucket, way: tag % this.table.shape.ways };
  }

  #isExpired(entry: number): boolean {
    const low = this.#words.read(entry + EXPIRY_LOW) >>> 0;
    const expiryMs = this.#words.read(entry + EXPIRY_HIGH) * 2 ** 32 + low;
    return expiryMs !== 0 && performance.now() + clockOffsetMs >= expiryMs;
  }

  #locate(key: string, scratch: Scratch): Located {
    const keyBytes = scratch.encoder.encode(key, 0, CACHE_KEY_BYTES_MAX);
    if (keyBytes === ENCODE_FULL)
      throw new TypeError(`Cannot cache under a key of ${key.length} characters: it is too long`);
    assert(keyBytes > 0, "a string can be encoded");
    let hash = FNV_OFFSET;
    for (let index = 0; index < keyBytes; index++) hash = Math.imul(hash ^ scratch.bytes[index]!, FNV_PRIME);
    // Murmur3's last steps: segment, bucket and tag take different bits of it.
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
    const { segments, buckets } = this.table.shape;
    const unsigned = hash >>> 0;
    const bucket = Math.floor(unsigned / segments) % buckets;
    // Not the bits that have chosen the bucket, or all keys of one would have the same tag.
    const tag = Math.imul(hash, 0x9e3779b1) >>> 20;
    return { hash, tag, segment: unsigned % segments, bucket, keyBytes, scratch };
  }
}

function makeScratch(byteLength: number): Scratch {
  const memory = new ArrayBuffer(byteLength);
  return { bytes: new Uint8Array(memory), encoder: new Encoder(memory) };
}
