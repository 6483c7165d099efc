/**
 * Random values through the task codec, against structuredClone, and random bytes into its decoder. `RINGLOOM_SEED=…` replays a run, `RINGLOOM_FUZZ_RUNS=100000` looks longer.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RingloomError } from "../../src/errors.js";
import { Decoder } from "../../src/scheduler/decoder.js";
import { Encoder } from "../../src/scheduler/encoder.js";
import { randomRun } from "../support/random-run.js";

const MEMORY_BYTES = 1 << 18;
const memory = new SharedArrayBuffer(MEMORY_BYTES);
const bytes = new Uint8Array(memory);
const encoder = new Encoder(memory);
const decoder = new Decoder(memory);

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: "binary" }),
  fc.string({ maxLength: 200 }),
  fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
);
const scalar = fc.oneof(
  text,
  fc.integer(),
  fc.integer({ min: -130, max: 130 }),
  fc.double(),
  fc.boolean(),
  fc.constantFrom(undefined, null, -0, Number.NaN),
  fc.bigInt(),
  // assert.deepStrictEqual finds an invalid date unlike itself.
  fc.date({ noInvalidDate: true }),
);
const binary = fc.oneof(
  fc.uint8Array(),
  fc.int16Array(),
  fc.float64Array(),
  fc.bigUint64Array(),
  fc.uint8Array().map((array) => array.slice().buffer),
  fc.uint8Array().map((array) => new DataView(array.slice().buffer)),
);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    scalar,
    binary,
    fc.array(tie("value")),
    fc.sparseArray(tie("value"), { maxNumElements: 5, maxLength: 12 }),
    fc.dictionary(fc.oneof(text, fc.constantFrom("__proto__", "constructor", "length", "0")), tie("value")),
    fc.array(fc.tuple(tie("value"), tie("value"))).map((pairs) => new Map(pairs)),
    fc.array(tie("value")).map((members) => new Set(members)),
  ),
}));
/** Bytes that look more like a value than chance would have them. */
const likely = fc
  .array(fc.oneof(fc.integer({ min: 0, max: 32 }), fc.constantFrom(64, 65, 66, 128, 129, 255), fc.nat(255)), {
    minLength: 1,
    maxLength: 300,
  })
  .map((list) => Uint8Array.from(list));

test("the task codec carries what structuredClone carries, as it does", () => {
  const { seed, numRuns } = randomRun("values of the task codec", 1000);
  let encoded = 0;
  const property = fc.property(value, fc.nat(100), (sent, start) => {
    const end = encoder.encode(sent, start, MEMORY_BYTES);
    if (end < 0) return;
    encoded += 1;
    assert.deepStrictEqual(decoder.decode(start, end), structuredClone(sent));
    // Exactly as much room as it needs is enough, and a byte less is not.
    assert.equal(encoder.encode(sent, start, end), end);
    assert.ok(encoder.encode(sent, start, end - 1) < 0);
  });
  fc.assert(property, { seed, numRuns });
  assert.ok(encoded > numRuns * 0.9, `only ${encoded} of ${numRuns} values could be encoded`);
});

/** Decodes, and says whether the bytes were a value; an error of any other kind fails the test. */
function decodes(input: Uint8Array): boolean {
  bytes.set(input);
  try {
    decoder.decode(0, input.length);
    return true;
  } catch (error) {
    assert.ok(error instanceof RingloomError && error.code === "ERR_RINGLOOM_BAD_ENCODING", String(error));
    return false;
  }
}

test("Decoder answers random bytes with a value or its own error", () => {
  const { seed, numRuns } = randomRun("random bytes for the task codec", 5000);
  let values = 0;
  const property = fc.property(fc.oneof(likely, fc.uint8Array({ minLength: 1 })), (input) => {
    if (decodes(input)) values += 1;
  });
  fc.assert(property, { seed, numRuns });
  assert.ok(values < numRuns, "some bytes are no value");
});

test("Decoder answers a damaged value with a value or its own error", () => {
  const { seed, numRuns } = randomRun("damaged values for the task codec", 2000);
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
  const property = fc.property(value, damage, fc.nat(), (sent, changes, cut) => {
    const end = encoder.encode(sent, 0, MEMORY_BYTES);
    if (end < 0) return;
    const input = bytes.slice(0, end);
    for (const [at, byte] of changes) input[at % end] = byte;
    decodes(input);
    decodes(input.subarray(0, 1 + (cut % end)));
  });
  fc.assert(property, { seed, numRuns });
});
