/**
 * Header fields known by their bytes. A client sends the same fields with most requests of a connection, so where the bytes behind a request line are those of
 * an earlier request, what was found in them then is true again: a comparison takes the place of the parser.
 *
 *     GET /a HTTP/1.1\r\n  [ Host: example.org\r\nUser-Agent: …\r\nAccept: …\r\n\r\n ]
 *     GET /b HTTP/1.1\r\n  [ the same bytes                                       ]   one comparison of 8 bytes at a time
 *
 * Only blocks are learnt that a parser has read to their end, of requests that say nothing about their connection or a body. Which of the known blocks is
 * compared is a guess by connection, which needs not be right: what counts are the bytes.
 */
import { assert } from "../assert.js";
import { type RequestHead, SPAN_VALUE, SPAN_WORDS } from "./request-head.js";

/** Longer blocks, and those of more fields, are not learnt. */
const BLOCK_BYTES_MAX = 2048;
const BLOCK_FIELDS_MAX = 48;
/** Each shard knows so many. */
const BLOCKS = 64;
/** Connections whose slots differ by a multiple of this share a guess. */
const GUESSES = 1024;
/** Learning costs more than it gains where requests hardly ever repeat their fields: after a block that was new it rests, for 2^6 - 1 requests at most. */
const NEWS_MAX = 6;
/** The empty line alone; also what the comparison needs. */
const BLOCK_BYTES_MIN = 8;

/** The fields of one block, with positions relative to its start. */
class FieldBlock {
  /** Larger than any receive until something is learnt, so that nothing is found. */
  length = 0x3fff_ffff;
  fieldCount = 0;
  hostIndex = -1;
  /** Whose request it came from, as a slot. */
  owner = -1;
  view = new DataView(new ArrayBuffer(0));
  spans = new Int32Array(0);
}

/** The blocks that the connections of one shard sent last. */
export class KnownFields {
  readonly #head: RequestHead;
  readonly #view: DataView;
  readonly #blocks: readonly FieldBlock[] = Array.from({ length: BLOCKS }, () => new FieldBlock());
  /** By slot: the block to compare with. */
  readonly #guesses = new Uint8Array(GUESSES);
  #nextPlace = 0;
  #rest = 0;
  /** Blocks in a row that were new. */
  #news = 0;

  /** `view` is over the same memory as the bytes of `head`. */
  constructor(head: RequestHead, view: DataView) {
    this.#head = head;
    this.#view = view;
  }

  /** Describes the fields at `start` in the head, and returns the position behind them; -1 when they are not the ones that the connection `slot` is likely to send. */
  find(start: number, end: number, slot: number): number {
    const block = this.#blocks[this.#guesses[slot & (GUESSES - 1)]!]!;
    const next = start + block.length;
    if (next > end || !isSame(this.#view, start, block)) return -1;
    if (this.#news > 0) this.#news = 0;
    const head = this.#head;
    const { spans, fieldCount } = block;
    const target = head.spans;
    const words = fieldCount * SPAN_WORDS;
    for (let at = 0; at < words; at += SPAN_WORDS) {
      target[at] = spans[at]! + start;
      target[at + 1] = spans[at + 1]!;
      target[at + 2] = spans[at + 2]! + start;
      target[at + 3] = spans[at + 3]!;
    }
    head.headerCount = fieldCount;
    head.spanKind = SPAN_VALUE;
    head.hostIndex = block.hostIndex;
    return next;
  }

  /** A parser has read the fields from `start` to `end`, the empty line included, for the connection `slot`: the head describes them. */
  learn(start: number, end: number, slot: number): void {
    if (this.#rest > 0) {
      this.#rest -= 1;
      return;
    }
    const length = end - start;
    if (length < BLOCK_BYTES_MIN || length > BLOCK_BYTES_MAX || this.#head.headerCount > BLOCK_FIELDS_MAX) return;
    const known = this.#blocks.findIndex((block) => block.length === length && isSame(this.#view, start, block));
    const place = known >= 0 ? known : this.#placeFor(slot);
    this.#guesses[slot & (GUESSES - 1)] = place;
    if (known >= 0) return;
    this.#take(this.#blocks[place]!, start, length);
    this.#blocks[place]!.owner = slot;
    this.#news = Math.min(this.#news + 1, NEWS_MAX);
    this.#rest = (1 << this.#news) - 1;
  }

  /** A connection that sends something new each time takes no other one's place. */
  #placeFor(slot: number): number {
    const guess = this.#guesses[slot & (GUESSES - 1)]!;
    if (this.#blocks[guess]!.owner === slot) return guess;
    const place = this.#nextPlace;
    this.#nextPlace = (place + 1) % BLOCKS;
    return place;
  }

  #take(block: FieldBlock, start: number, length: number): void {
    const { bytes, spans, headerCount, hostIndex } = this.#head;
    if (block.view.byteLength < length) block.view = new DataView(new ArrayBuffer(length));
    if (block.spans.length < headerCount * SPAN_WORDS) block.spans = new Int32Array(headerCount * SPAN_WORDS);
    bytes.copy(new Uint8Array(block.view.buffer), 0, start, start + length);
    block.length = length;
    block.fieldCount = headerCount;
    block.hostIndex = hostIndex;
    for (let at = 0; at < headerCount * SPAN_WORDS; at += SPAN_WORDS) {
      assert(spans[at]! >= start && spans[at + 2]! >= start, "the fields that are learnt lie in their block");
      block.spans[at] = spans[at]! - start;
      block.spans[at + 1] = spans[at + 1]!;
      block.spans[at + 2] = spans[at + 2]! - start;
      block.spans[at + 3] = spans[at + 3]!;
    }
  }
}

/**
 * Whether the bytes at `start` are those of `block`. As floats, eight at a time: two are equal only if their bytes are, but for zeros, which a block has none of, and
 * for what is no number, which equals nothing and so is left to the parser.
 */
function isSame(view: DataView, start: number, block: FieldBlock): boolean {
  const known = block.view;
  const last = block.length - 8;
  for (let index = 0; index < last; index += 8) {
    if (view.getFloat64(start + index, true) !== known.getFloat64(index, true)) return false;
  }
  return view.getFloat64(start + last, true) === known.getFloat64(last, true);
}
