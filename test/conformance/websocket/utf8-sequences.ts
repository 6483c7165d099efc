/**
 * The byte sequences of section 6.5 to 6.23, after Markus Kuhn's stress test of UTF-8 decoders: made from code points and lengths by the encoding of RFC 3629,
 * and its older form of up to six bytes, so that overlong and far too large ones come out too.
 */

export interface Utf8Group {
  readonly what: string;
  readonly sequences: readonly Utf8Sequence[];
}

export interface Utf8Sequence {
  readonly bytes: Buffer;
  readonly isValid: boolean;
}

/** A Greek word: five letters, the second of three bytes. */
export const VALID_TEXT: Buffer = Buffer.from("\u03ba\u1f79\u03c3\u03bc\u03b5");
/** It, the first surrogate, and ASCII behind it. */
export const INVALID_TEXT: Buffer = Buffer.concat([VALID_TEXT, encode(0xd800, 3), Buffer.from("edited")]);

/** Group n is section 6.(n + 5). */
export function utf8Groups(): Utf8Group[] {
  return [
    ...validAndPrefixes(),
    ...boundaries(),
    ...continuations(),
    ...overlong(),
    ...surrogates(),
    ...nonCharacters(),
  ];
}

/** A code point in so many bytes, whether it needs or fits them or not. */
export function encode(point: number, length: number): Buffer {
  if (length === 1) return Buffer.from([point]);
  const bytes = Buffer.alloc(length);
  let rest = point;
  for (let index = length - 1; index > 0; index--) {
    bytes[index] = 0x80 | (rest & 0x3f);
    rest = Math.floor(rest / 64);
  }
  bytes[0] = ((0xff << (8 - length)) & 0xff) | rest;
  return bytes;
}

function validAndPrefixes(): Utf8Group[] {
  const inside = [0x24, 0xa2, 0x20ac, 0x24b62].map((point) => Buffer.from(`hello${String.fromCodePoint(point)}world`));
  const prefixes = Array.from({ length: VALID_TEXT.length }, (_, index) => VALID_TEXT.subarray(0, index + 1));
  const wholes = new Set([2, 5, 7, 9, 11]);
  return [
    group("valid text", [...inside, VALID_TEXT], true),
    {
      what: "every prefix of valid text",
      sequences: prefixes.map((bytes) => ({ bytes, isValid: wholes.has(bytes.length) })),
    },
  ];
}

function boundaries(): Utf8Group[] {
  const firsts = [encode(0, 1), encode(0x80, 2), encode(0x800, 3), encode(0x10000, 4)];
  const lasts = [encode(0x7f, 1), encode(0x7ff, 2), encode(0xffff, 3), encode(0x10ffff, 4)];
  const tooLong = [encode(0x200000, 5), encode(0x4000000, 6)];
  const tooLarge = [encode(0x1fffff, 4), encode(0x3ffffff, 5), encode(0x7fffffff, 6)];
  const others = [0xd7ff, 0xe000, 0xfffd].map((point) => encode(point, 3));
  return [
    group("the first of each length", firsts, true),
    group("the first of five and of six bytes", tooLong, false),
    group("the last of each length", lasts, true),
    group("the last of four, five and six bytes", tooLarge, false),
    {
      what: "other boundaries",
      sequences: [
        ...[...others, encode(0x10ffff, 4)].map((bytes) => ({ bytes, isValid: true })),
        { bytes: encode(0x110000, 4), isValid: false },
      ],
    },
  ];
}

function continuations(): Utf8Group[] {
  const alternating = (length: number): Buffer =>
    Buffer.from(Array.from({ length }, (_, index) => (index % 2 === 0 ? 0x80 : 0xbf)));
  const all = Buffer.from(Array.from({ length: 0x3f }, (_, index) => 0x80 + index));
  const ranges: [number, number][] = [
    [0xc0, 0xdf],
    [0xe0, 0xef],
    [0xf0, 0xf7],
    [0xf8, 0xfb],
    [0xfc, 0xfd],
  ];
  const lonely = ranges.map(([from, to]) =>
    Buffer.from(Array.from({ length: to - from }, (_, index) => [from + index, 0x20]).flat()),
  );
  const lengths = [2, 3, 4, 5, 6];
  const largest = [0x7ff, 0xffff, 0x1fffff, 0x3ffffff, 0x7fffffff];
  const cut = [
    ...lengths.map((length) => encode(0, length)),
    ...largest.map((point, index) => encode(point, lengths[index]!)),
  ].map((bytes) => bytes.subarray(0, -1));
  return [
    group(
      "continuation bytes alone",
      [Buffer.from([0x80]), Buffer.from([0xbf]), ...[2, 3, 4, 5, 6].map(alternating), all],
      false,
    ),
    group("first bytes alone", lonely, false),
    group("the last byte missing", cut, false),
    group("all of these in a row", [Buffer.concat(cut)], false),
    group(
      "bytes that nothing has",
      [[0xfe], [0xff], [0xfe, 0xfe, 0xff, 0xff]].map((bytes) => Buffer.from(bytes)),
      false,
    ),
  ];
}

function overlong(): Utf8Group[] {
  const lengths = [2, 3, 4, 5, 6];
  const largest = [0x7f, 0x7ff, 0xffff, 0x1fffff, 0x3ffffff];
  return [
    group(
      "an overlong slash",
      lengths.map((length) => encode(0x2f, length)),
      false,
    ),
    group(
      "the largest overlong ones",
      lengths.map((length, index) => encode(largest[index]!, length)),
      false,
    ),
    group(
      "an overlong NUL",
      lengths.map((length) => encode(0, length)),
      false,
    ),
  ];
}

function surrogates(): Utf8Group[] {
  const single = [0xd800, 0xdb7f, 0xdb80, 0xdbff, 0xdc00, 0xdf80, 0xdfff];
  const pairs = [0xd800, 0xdb7f, 0xdb80, 0xdbff].flatMap((high) => [0xdc00, 0xdfff].map((low) => [high, low]));
  return [
    group(
      "single surrogates",
      single.map((point) => encode(point, 3)),
      false,
    ),
    group(
      "pairs of surrogates",
      pairs.map((pair) => Buffer.concat(pair.map((point) => encode(point, 3)))),
      false,
    ),
  ];
}

/** Valid, although they are no characters. */
function nonCharacters(): Utf8Group[] {
  const planes = Array.from({ length: 16 }, (_, index) => (index + 1) * 0x10000);
  const ends = planes.flatMap((plane) => [encode(plane + 0xfffe, 4), encode(plane + 0xffff, 4)]);
  const specials = [0xfff9, 0xfffa, 0xfffb, 0xfffc, 0xfffd, 0xfffe, 0xffff].map((point) => encode(point, 3));
  return [
    group("code points that are no characters", [encode(0xfffe, 3), encode(0xffff, 3), ...ends], true),
    group("specials, such as the replacement character", specials, true),
  ];
}

function group(what: string, sequences: readonly Buffer[], isValid: boolean): Utf8Group {
  return { what, sequences: sequences.map((bytes) => ({ bytes, isValid })) };
}
