import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runInNewContext } from "node:vm";
import { RingloomError } from "../errors.js";
import {
  DEPTH_MAX,
  TAG_ARRAY,
  TAG_MAP,
  TAG_OBJECT,
  TAG_SHORT_LATIN1,
  TAG_SMALL_INT,
  TAG_UTF16,
  TAG_VIEW,
} from "./codec-format.js";
import { Decoder } from "./decoder.js";
import { ENCODE_FULL, Encoder, NOT_ENCODABLE } from "./encoder.js";

const MEMORY_BYTES = 1 << 16;
const memory = new SharedArrayBuffer(MEMORY_BYTES);
const bytes = new Uint8Array(memory);
const encoder = new Encoder(memory);
const decoder = new Decoder(memory);

function roundTrip(value: unknown): unknown {
  const end = encoder.encode(value, 3, MEMORY_BYTES);
  assert.ok(end > 3, `encode() answered ${end}`);
  return decoder.decode(3, end);
}

function nested(depth: number): unknown {
  return depth === 0 ? 1 : [nested(depth - 1)];
}

/** An array of `length` that has only the elements at `indexes`, and the last of them is undefined. */
function holed(length: number, indexes: readonly number[]): unknown[] {
  const list: unknown[] = new Array(length);
  for (const index of indexes) list[index] = index === indexes.at(-1) ? undefined : index;
  return list;
}

function decodeBytes(...values: number[]): unknown {
  bytes.set(values);
  return decoder.decode(0, values.length);
}

const isBadEncoding = (error: unknown): boolean =>
  error instanceof RingloomError && error.code === "ERR_RINGLOOM_BAD_ENCODING";

describe("Encoder and Decoder", () => {
  const same: readonly (readonly [name: string, values: readonly unknown[]])[] = [
    ["nothing and truth", [undefined, null, true, false]],
    ["whole numbers", [0, 1, 127, 128, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, 2 ** 53]],
    ["other numbers", [-0, 0.5, Number.NaN, Number.POSITIVE_INFINITY, -1e308, 5e-324]],
    ["bigints", [0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 63n, -(2n ** 200n)]],
    ["one-byte strings of all lengths", [0, 1, 16, 17, 63, 64, 127, 128, 20_000].map((length) => "é".repeat(length))],
    ["two-byte strings", ["日", "a日".repeat(8), `${"x".repeat(40)}€`, "\ud800", "a\udc00b", "😀".repeat(5000)]],
    ["strings of two-byte memory that need only one", [`日${"é".repeat(5)}`.slice(1), `日${"é".repeat(70)}`.slice(1)]],
    ["arrays", [[], [1, [2, [3]]], ["a", undefined, null]]],
    ["arrays with holes", [new Array(3), holed(3, [0, 2]), holed(4, [1])]],
    ["objects", [{}, { a: 1, "": 2, é: 3, 日: 4, 7: 5, ["k".repeat(100)]: 6 }, { a: undefined, b: { c: [] } }]],
    ["dates", [new Date(0), new Date(-1.5e12), new Date(8.64e15)]],
    [
      "maps and sets",
      [
        new Map(),
        new Map<unknown, unknown>([
          [{ a: 1 }, new Set([1, "a", Number.NaN])],
          [null, 2],
        ]),
        new Set(),
      ],
    ],
    [
      "binary data",
      [new Uint8Array([1, 2]), new Float64Array([1.5, Number.NaN]), new BigInt64Array([-1n]), new ArrayBuffer(5)],
    ],
    [
      "more binary data",
      [new Int16Array(3), new Uint8ClampedArray([9]), new Uint32Array(0), new DataView(new ArrayBuffer(2))],
    ],
  ];
  for (const [name, values] of same) {
    it(`carry ${name} as structuredClone does`, () => {
      for (const value of values) assert.deepStrictEqual(roundTrip(value), structuredClone(value));
    });
  }

  it("carry an invalid Date", () => {
    const copy = roundTrip([new Date(Number.NaN)]);
    assert.ok(Array.isArray(copy) && copy[0] instanceof Date);
    assert.ok(Number.isNaN(copy[0].getTime()));
  });

  it("keep a Buffer a Buffer, and of a view the bytes that it shows", () => {
    const source = Buffer.from("abcdefgh");
    const copy = roundTrip(source.subarray(2, 5));
    assert.ok(Buffer.isBuffer(copy));
    assert.equal(copy.toString(), "cde");
    const words = roundTrip(new Uint16Array(new ArrayBuffer(16), 4, 2));
    assert.ok(words instanceof Uint16Array);
    assert.deepEqual([words.byteOffset, words.buffer.byteLength], [0, 4]);
  });

  it("give copies that share nothing with the encoded memory", () => {
    const end = encoder.encode(["text that is long enough", new Uint8Array([1]), { key: 1 }], 0, MEMORY_BYTES);
    const copy = decoder.decode(0, end);
    bytes.fill(0, 0, end);
    assert.deepEqual(copy, ["text that is long enough", new Uint8Array([1]), { key: 1 }]);
  });

  it("make `__proto__` a property like any other, and leave prototypes alone", () => {
    const copy = roundTrip(JSON.parse('{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}}'));
    assert.ok(typeof copy === "object" && copy !== null);
    assert.equal(Object.getPrototypeOf(copy), Object.prototype);
    assert.deepEqual(Object.keys(copy), ["__proto__", "constructor"]);
    assert.equal(Reflect.get({}, "polluted"), undefined);
  });

  it("ignore symbol keys and properties that do not enumerate, and make an object without prototype a plain one", () => {
    const value: object = Object.create(null, { shown: { value: 1, enumerable: true }, hidden: { value: 2 } });
    Reflect.set(value, Symbol("s"), 3);
    assert.deepStrictEqual(roundTrip(value), structuredClone(value));
  });

  it("tell apart keys that a short memory of keys could confuse", () => {
    const keys = Array.from({ length: 2000 }, (_, index) => `key${index * 7919}`);
    const value = Object.fromEntries(keys.map((key, index) => [key, index]));
    assert.deepStrictEqual(roundTrip(value), value);
    assert.deepStrictEqual(roundTrip(value), value);
  });
});

describe("Encoder.encode()", () => {
  class Point {
    x = 1;
  }
  const cycle: unknown[] = [];
  cycle.push([{ cycle }]);
  const detached = new ArrayBuffer(4);
  structuredClone(detached, { transfer: [detached] });
  const refused: readonly (readonly [name: string, value: unknown])[] = [
    ["a function", () => 1],
    ["a symbol", Symbol("s")],
    ["an instance of a class", new Point()],
    ["an array of a class", new (class extends Array {})()],
    ["a view of a class", new (class extends Uint8Array {})(1)],
    ["a cycle", cycle],
    ["what is nested too deep", nested(DEPTH_MAX + 1)],
    ["a boxed number", Object(1)],
    ["a RegExp", /a/],
    ["an Error", new Error("x")],
    ["a Promise", Promise.resolve()],
    ["a WeakMap", new WeakMap()],
    ["a SharedArrayBuffer", new SharedArrayBuffer(1)],
    ["a view of shared memory", new Uint8Array(new SharedArrayBuffer(1))],
    ["a resizable buffer", Reflect.construct(ArrayBuffer, [1, { maxByteLength: 2 }])],
    ["a view of a resizable buffer", new Uint8Array(Reflect.construct(ArrayBuffer, [1, { maxByteLength: 2 }]))],
    ["a detached buffer", detached],
    ["a false Date", Object.create(Date.prototype)],
    ["a false Map", Object.create(Map.prototype)],
    ["a false Set", Object.create(Set.prototype)],
    ["a false ArrayBuffer", Object.create(ArrayBuffer.prototype)],
    ["an object of another realm", runInNewContext("({ a: 1 })")],
  ];
  for (const [name, value] of refused) {
    it(`leaves ${name} to structured clone, also deep in a value`, () => {
      assert.equal(encoder.encode(value, 0, MEMORY_BYTES), NOT_ENCODABLE);
      assert.equal(encoder.encode([1, { a: new Map([[1, [value]]]) }], 0, MEMORY_BYTES), NOT_ENCODABLE);
    });
  }

  it("takes the deepest value that the decoder takes", () => {
    assert.deepEqual(roundTrip(nested(DEPTH_MAX)), nested(DEPTH_MAX));
    let value: unknown = 2n ** 70n;
    for (let depth = 0; depth < DEPTH_MAX; depth++) value = [value, 1n];
    assert.deepEqual(roundTrip(value), value);
  });

  it("says that there is no room at every length but the whole, and writes nothing behind its end", () => {
    const value = [
      1,
      -5,
      0.5,
      "short",
      "a string that is long enough",
      "日本",
      "z".repeat(200),
      3n,
      2n ** 80n,
      [],
      { key: null },
      holed(2, [1]),
      new Map([[1, 2]]),
      new Set([3]),
      new Date(0),
      new Uint8Array(9),
      new ArrayBuffer(130),
    ];
    const whole = encoder.encode(value, 0, MEMORY_BYTES);
    for (let end = 0; end < whole; end++) {
      bytes.fill(0xaa, end, whole + 8);
      assert.equal(encoder.encode(value, 0, end), ENCODE_FULL, `with ${end} of ${whole} bytes`);
      assert.ok(
        bytes.subarray(end, whole + 8).every((byte) => byte === 0xaa),
        `behind ${end} bytes`,
      );
    }
    assert.equal(encoder.encode(value, 0, whole), whole);
    assert.deepStrictEqual(decoder.decode(0, whole), structuredClone(value));
  });

  it("throws what a getter throws, and may be used from within one", () => {
    const failure = new Error("no");
    const throwing = {
      get a(): never {
        throw failure;
      },
    };
    assert.throws(() => encoder.encode(throwing, 0, MEMORY_BYTES), failure);
    const nesting = {
      get a() {
        return encoder.encode("inner", 1000, 1010);
      },
      b: "x".repeat(500),
    };
    const end = encoder.encode(nesting, 0, 900);
    assert.deepEqual(decoder.decode(0, end), { a: 1006, b: "x".repeat(500) });
    assert.equal(decoder.decode(1000, 1006), "inner");
  });
});

describe("Encoder.encodeList() and Decoder.decodeList()", () => {
  function listTrip(values: readonly unknown[]): unknown[] {
    return decoder.decodeList(3, encoder.encodeList(values, 3, MEMORY_BYTES));
  }

  it("carry arguments as an array is carried, holes and undefined too", () => {
    for (const values of [[], [1], [undefined], ["a", { b: [2] }, null], holed(3, [0, 2])]) {
      const arrived = listTrip(values);
      assert.deepEqual(arrived, values);
      assert.deepEqual(Object.keys(arrived), Object.keys(values));
    }
  });

  it("refuse what is no list, and what has bytes behind it", () => {
    const end = encoder.encode(7, 3, MEMORY_BYTES);
    assert.throws(() => decoder.decodeList(3, end), { code: "ERR_RINGLOOM_BAD_ENCODING" });
    const listEnd = encoder.encodeList([1], 3, MEMORY_BYTES);
    assert.throws(() => decoder.decodeList(3, listEnd + 1), { code: "ERR_RINGLOOM_BAD_ENCODING" });
    assert.throws(() => decoder.decodeList(3, 3), { code: "ERR_RINGLOOM_BAD_ENCODING" });
  });

  it("answer as for any value when the list does not fit or cannot be carried", () => {
    assert.equal(encoder.encodeList(["0123456789"], 3, 8), ENCODE_FULL);
    assert.equal(encoder.encodeList([() => 1], 3, MEMORY_BYTES), NOT_ENCODABLE);
  });
});

describe("Decoder.decode()", () => {
  const ONE = TAG_SMALL_INT + 1;
  const bad: readonly (readonly [name: string, values: readonly number[]])[] = [
    ["an unknown tag", [63]],
    ["a hole outside an array", [4]],
    ["bytes behind the value", [ONE, ONE]],
    ["an array longer than its bytes", [TAG_ARRAY, 3, ONE, ONE]],
    ["an array of 2^32 elements", [TAG_ARRAY, 0xff, 0xff, 0xff, 0xff, 0x0f, ONE]],
    ["a count without an end", [TAG_ARRAY, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0]],
    ["a count that ends with the input", [TAG_ARRAY, 0x80]],
    ["an object with a number for a key", [TAG_OBJECT, 1, ONE, ONE]],
    ["an object whose keys take its values' place", [TAG_OBJECT, 2, TAG_SHORT_LATIN1, ONE]],
    ["a map of half a pair", [TAG_MAP, 1, ONE]],
    ["a string longer than its bytes", [TAG_SHORT_LATIN1 + 2, 65]],
    ["a two-byte string of half a unit", [TAG_UTF16, 1, 65]],
    ["half an element of a typed array", [TAG_VIEW + 5, 3, 0, 0, 0]],
    ["a bigint of letters", [15, 1, 0x78]],
    ["a bigint of a sign", [15, 1, 0x2d]],
    ["half a double", [6, 0, 0]],
    ["values nested too deep", [...Array.from({ length: DEPTH_MAX + 1 }, () => [TAG_ARRAY, 1]).flat(), ONE]],
  ];
  for (const [name, values] of bad) {
    it(`throws ERR_RINGLOOM_BAD_ENCODING for ${name}`, () => {
      assert.throws(() => decodeBytes(...values), isBadEncoding);
    });
  }

  it("throws ERR_RINGLOOM_BAD_ENCODING for a range that is none", () => {
    for (const [start, end] of [
      [0, 0],
      [5, 4],
      [-1, 4],
      [0, MEMORY_BYTES + 1],
      [Number.NaN, 4],
    ] as const) {
      assert.throws(() => decoder.decode(start, end), isBadEncoding);
    }
  });

  it("reads no further than its end, though more of the value follows", () => {
    const end = encoder.encode([[1, 2], "text", { a: 1 }], 0, MEMORY_BYTES);
    for (let cut = 1; cut < end; cut++) assert.throws(() => decoder.decode(0, cut), isBadEncoding);
  });
});
