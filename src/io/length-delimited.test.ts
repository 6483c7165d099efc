/** Frames: every kind comes back as it was written, whatever pieces its bytes come in, and bad ones are typed errors. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { BufferedReader } from "./buffered-reader.js";
import { BufferedWriter } from "./buffered-writer.js";
import { type LengthDelimited, type LengthDelimitedOptions, lengthDelimited } from "./length-delimited.js";

const kinds = fc.record({
  lengthBytes: fc.constantFrom(...([1, 2, 3, 4, 6, 8, "varint"] as const)),
  byteOrder: fc.constantFrom("big" as const, "little" as const),
  lengthOffset: fc.nat(4),
  // Negative: the length counts itself too, or a part of it.
  lengthAdjustment: fc.constantFrom(0, -1, -3),
});
const payloads = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 });

async function framesOf(codec: LengthDelimited, bytes: Iterable<Uint8Array>): Promise<Buffer[]> {
  const found: Buffer[] = [];
  for await (const frame of codec.frames(bytes)) found.push(frame);
  return found;
}

function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const length of lengths) parts.push(bytes.subarray(at, (at += length)));
  return [...parts, bytes.subarray(at)];
}

describe("lengthDelimited()", () => {
  test("reads what it has written, for any division of the bytes", async () => {
    await fc.assert(
      fc.asyncProperty(kinds, payloads, fc.array(fc.nat(30), { maxLength: 40 }), async (kind, wanted, lengths) => {
        const codec = lengthDelimited(kind);
        const sent: Uint8Array[] = [];
        const writer = new BufferedWriter({ write: (bytes) => void sent.push(bytes) }, { bufferBytes: 64 });
        for (const payload of wanted) await codec.write(writer, payload);
        await writer.end();
        const bytes = Buffer.concat(sent);
        assert.deepEqual(bytes, Buffer.concat(wanted.map((payload) => codec.encode(payload))));
        const found = await framesOf(codec, cut(bytes, lengths));
        assert.deepEqual(
          found,
          wanted.map((payload) => Buffer.from(payload)),
        );
      }),
    );
  });

  test("reads the same frames split at every byte, and says where the source ended", async () => {
    const codec = lengthDelimited({ lengthBytes: "varint" });
    const bytes = Buffer.concat([codec.encode(Buffer.alloc(300, 1)), codec.encode(Buffer.from("two"))]);
    for (let at = 0; at <= bytes.length; at++) {
      assert.equal((await framesOf(codec, cut(bytes, [at]))).length, 2);
      if (at === 0 || at === 302 || at === bytes.length) continue;
      await assert.rejects(framesOf(codec, [bytes.subarray(0, at)]), { code: "ERR_RINGLOOM_UNEXPECTED_END" });
    }
  });

  test("knows the formats that people use", () => {
    const hex = (options: LengthDelimitedOptions, header?: Buffer) =>
      lengthDelimited(options).encode(Buffer.from("hi"), header).toString("hex");
    assert.equal(hex({}), "000000026869");
    assert.equal(hex({ lengthBytes: 2, byteOrder: "little" }), "02006869");
    assert.equal(hex({ lengthBytes: "varint" }), "026869");
    assert.equal(hex({ lengthBytes: 8 }), "00000000000000026869");
    // PostgreSQL: a type, then a length that counts itself.
    assert.equal(hex({ lengthOffset: 1, lengthAdjustment: -4 }, Buffer.from("Q")), "51000000066869");
  });

  test("keepHead gives header and length too", async () => {
    const codec = lengthDelimited({ lengthOffset: 1, lengthAdjustment: -4, keepHead: true });
    const bytes = codec.encode(Buffer.from("hi"), Buffer.from("Q"));
    assert.deepEqual(await framesOf(codec, [bytes]), [bytes]);
  });

  test("a length beyond the bound is refused before its bytes come", async () => {
    const codec = lengthDelimited({ payloadBytesMax: 10 });
    const reader = new BufferedReader([Buffer.from([0, 0, 0, 11]), Buffer.alloc(11)]);
    await assert.rejects(codec.read(reader), { code: "ERR_RINGLOOM_TOO_LARGE" });
    assert.equal(reader.bufferedBytes, 4, "nothing more was read");
    assert.throws(() => codec.encode(Buffer.alloc(11)), { code: "ERR_RINGLOOM_TOO_LARGE" });
    await assert.rejects(framesOf(lengthDelimited({ lengthBytes: 8 }), [Buffer.alloc(8, 0xff)]), {
      code: "ERR_RINGLOOM_TOO_LARGE",
    });
    assert.throws(() => lengthDelimited({ lengthBytes: 1 }).encode(Buffer.alloc(256)), {
      code: "ERR_RINGLOOM_TOO_LARGE",
    });
  });

  test("lengths that are none are typed errors", async () => {
    const postgres = lengthDelimited({ lengthAdjustment: -4 });
    await assert.rejects(framesOf(postgres, [Buffer.from([0, 0, 0, 3])]), { code: "ERR_RINGLOOM_BAD_ENCODING" });
    const varint = lengthDelimited({ lengthBytes: "varint" });
    await assert.rejects(framesOf(varint, [Buffer.alloc(20, 0x80)]), { code: "ERR_RINGLOOM_BAD_ENCODING" });
  });

  test("a reader that could not hold a frame is refused at once", async () => {
    const reader = new BufferedReader([Buffer.alloc(4)], { bytesMax: 100 });
    await assert.rejects(lengthDelimited().read(reader), RangeError);
  });

  test("a frame that was given up halfway is read whole by the next read", async () => {
    let give: (bytes: Uint8Array) => void = () => {};
    // Made before anybody reads: on a busy machine the time is over before the source has come to it.
    const rest = new Promise<Uint8Array>((resolve) => {
      give = resolve;
    });
    async function* source() {
      yield Buffer.from([0, 0, 0, 5, 1, 2]);
      yield await rest;
    }
    const codec = lengthDelimited({ payloadBytesMax: 100 });
    const reader = new BufferedReader(source());
    await assert.rejects(codec.read(reader, { timeoutMs: 5 }), { code: "ERR_RINGLOOM_TIMEOUT" });
    give(Buffer.from([3, 4, 5]));
    assert.deepEqual(await codec.read(reader), Buffer.from([1, 2, 3, 4, 5]));
    assert.equal(await codec.read(reader), undefined);
  });

  test("frames that are written at once stay whole, whether they fit the buffer or not", async () => {
    for (const bufferBytes of [1, 4, 100]) {
      const written: Buffer[] = [];
      const sink = {
        write: async (bytes: Uint8Array) => {
          await null;
          written.push(Buffer.from(bytes));
        },
      };
      const writer = new BufferedWriter(sink, { bufferBytes });
      const codec = lengthDelimited({ lengthBytes: 1 });
      const outcomes = await Promise.allSettled(["aa", "bb"].map((text) => codec.write(writer, Buffer.from(text))));
      await writer.flush();
      const frames: string[] = [];
      for await (const frame of codec.frames([Buffer.concat(written)])) frames.push(frame.toString());
      // A writer that waits for its sink takes one call.
      const isBusy = outcomes[1]?.status === "rejected";
      assert.deepEqual(frames, isBusy ? ["aa"] : ["aa", "bb"]);
      assert.equal(isBusy, bufferBytes === 1);
    }
  });

  test("the largest frame of a codec fits a reader, both with their defaults", async () => {
    for (const lengthBytes of [4, "varint"] as const) {
      const codec = lengthDelimited({ lengthBytes });
      const reader = new BufferedReader([codec.encode(Buffer.from("x"))]);
      assert.ok(codec.frameBytesMax <= reader.bytesMax);
      assert.equal(String(await codec.read(reader)), "x");
    }
  });

  test("options that make no frames throw", () => {
    assert.throws(() => lengthDelimited({ lengthBytes: 5 as never }), RangeError);
    assert.throws(() => lengthDelimited({ byteOrder: "middle" as never }), TypeError);
    assert.throws(() => lengthDelimited({ lengthOffset: -1 }), RangeError);
    assert.throws(() => lengthDelimited({ lengthOffset: 2 }).encode(Buffer.alloc(1), Buffer.alloc(1)), RangeError);
  });
});
