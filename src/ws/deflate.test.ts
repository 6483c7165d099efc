import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { deflateLater, deflateNow, type Inflated, inflateLater, inflateNow } from "./deflate.js";
import { HistoryWindow } from "./history-window.js";

const PARAMETERS = { seed: Number(process.env.RINGLOOM_SEED ?? Date.now() % 2 ** 31), numRuns: 60 };
const KIB = 1024;

/** Messages that repeat each other, so that windows matter. */
const messages = fc.array(
  fc
    .array(fc.constantFrom("the ", "quick ", "brown ", "fox ", "🙂", "0123456789"), { maxLength: 400 })
    .map((words) => Buffer.from(words.join(""))),
  { minLength: 1, maxLength: 8 },
);

function inflate(hex: string, history?: Buffer): Inflated {
  return inflateNow(Buffer.from(hex.replaceAll(" ", ""), "hex"), { windowBits: 15, history, bytesMax: 100 });
}

test("inflateNow() reads the examples of RFC 7692, section 7.2.3", () => {
  const hello = Buffer.from("Hello");
  assert.deepEqual(inflate("f2 48 cd c9 c9 07 00"), hello);
  assert.deepEqual(inflate("f2 00 11 00 00", hello), hello, "the second message refers to the first");
  assert.deepEqual(inflate("00 05 00 fa ff 48 65 6c 6c 6f 00"), hello, "a block that is not compressed");
  assert.deepEqual(inflate("f3 48 cd c9 c9 07 00 00"), hello, "a final block");
  assert.deepEqual(inflate("f2 48 05 00 00 00 ff ff ca c9 c9 07 00"), hello, "two blocks");
  assert.deepEqual(inflate("00"), Buffer.alloc(0));
});

test("inflateNow() goes on behind a final block, and gives up where there are too many", () => {
  const one = deflateRawSync(Buffer.from("again and again "));
  const parameters = { windowBits: 15, history: undefined, bytesMax: KIB };
  const twice = Buffer.concat([one, one, Buffer.from([0])]);
  assert.deepEqual(inflateNow(twice, parameters).toString(), "again and again again and again ");
  assert.equal(inflateNow(Buffer.concat(Array(100).fill(one)), parameters), "invalid");
});

test("a short message does not keep the chunk that zlib wrote it into", () => {
  const inflated = inflateNow(deflateRawSync(Buffer.from("short")), {
    windowBits: 15,
    history: undefined,
    bytesMax: KIB,
  });
  assert.ok(typeof inflated !== "string" && inflated.buffer.byteLength === 5, String(inflated));
});

test("deflateNow() and inflateNow() agree with each other's windows of every size", () => {
  fc.assert(
    fc.property(messages, fc.integer({ min: 8, max: 15 }), fc.integer({ min: 1, max: 9 }), (all, windowBits, level) => {
      const sent = new HistoryWindow(1 << windowBits);
      const received = new HistoryWindow(1 << windowBits);
      for (const message of all) {
        const payload = deflateNow(message, { windowBits, level, history: sent.bytes });
        sent.append(message);
        const inflated = inflateNow(payload, { windowBits, history: received.bytes, bytesMax: message.length });
        assert.ok(typeof inflated !== "string", String(inflated));
        assert.deepEqual(inflated, message);
        received.append(inflated);
        assert.deepEqual(received.bytes, sent.bytes);
      }
      const all_ = Buffer.concat(all);
      assert.deepEqual(sent.bytes ?? Buffer.alloc(0), all_.subarray(Math.max(0, all_.length - (1 << windowBits))));
    }),
    PARAMETERS,
  );
});

test("inflateLater() and deflateLater() do the same in libuv's pool", async () => {
  const message = Buffer.from("abcdefgh".repeat(20 * KIB));
  const payload = await deflateLater(message, { windowBits: 15, level: 6, history: undefined });
  assert.deepEqual(payload, deflateNow(message, { windowBits: 15, level: 6, history: undefined }));
  const parameters = { windowBits: 15, history: undefined, bytesMax: message.length };
  assert.deepEqual(await inflateLater(payload, parameters), message);
  assert.equal(await inflateLater(payload, { ...parameters, bytesMax: message.length - 1 }), "tooLarge");
  assert.equal(await inflateLater(Buffer.from("ffff", "hex"), parameters), "invalid");
});

test("inflateNow() stops at the bound, however much would come", () => {
  const bomb = deflateNow(Buffer.alloc(64 * KIB * KIB), { windowBits: 15, level: 9, history: undefined });
  const before = process.memoryUsage().arrayBuffers;
  assert.equal(inflateNow(bomb, { windowBits: 15, history: undefined, bytesMax: 32 * KIB }), "tooLarge");
  assert.ok(process.memoryUsage().arrayBuffers - before < 16 * KIB * KIB, "nothing is inflated beyond the bound");
  assert.equal(inflate("ff ff ff"), "invalid");
  assert.equal(inflate("f2 00 11 00 00"), "invalid", "it refers to what was not said");
});
