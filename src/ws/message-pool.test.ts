import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { MessagePool } from "./message-pool.js";
import { unmaskerOf } from "./unmasker.js";

const PARAMETERS = { seed: Number(process.env.RINGLOOM_SEED ?? Date.now() % 2 ** 31), numRuns: 200 };

/** Memory as the server receives into. */
function openMemory(pages: number): WebAssembly.Memory {
  const { Memory } = globalThis.WebAssembly as unknown as {
    Memory: new (limits: { initial: number }) => WebAssembly.Memory;
  };
  return new Memory({ initial: pages });
}

test("MessagePool.unmasked() gives a Buffer of its own with the bytes behind the mask", () => {
  const pool = new MessagePool();
  const kept: { readonly message: Buffer; readonly expected: string }[] = [];
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 512 }),
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.nat(9),
      (payload, mask, before) => {
        const bytes = Buffer.alloc(before + payload.length + 7, 0xee);
        payload.forEach((byte, index) => {
          bytes[before + index] = byte ^ mask[index & 3]!;
        });
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        const message = pool.unmasked(view, before, payload.length, Buffer.from(mask).readInt32LE(0));
        kept.push({ message, expected: Buffer.from(payload).toString("hex") });
        assert.ok(Buffer.isBuffer(message) && message instanceof Uint8Array);
      },
    ),
    PARAMETERS,
  );
  // Messages that came later have touched none of them.
  for (const { message, expected } of kept) assert.equal(message.toString("hex"), expected);
});

test("what MessagePool gives is a Buffer in all that a program sees of it", () => {
  const source = Buffer.from("hello, it is me........");
  const message = new MessagePool().unmasked(new DataView(source.buffer, source.byteOffset, source.length), 0, 5, 0);
  assert.equal(inspect(message), inspect(Buffer.from("hello")));
  assert.deepEqual(message, Buffer.from("hello"));
  assert.equal(message.subarray(1, 3).toString(), "el");
  assert.equal(message.slice(1, 3).toString(), "el");
  assert.ok(Buffer.isBuffer(message.map((byte) => byte + 1)));
  assert.equal(structuredClone(message).length, 5);
});

test("an unmasker takes the mask off any part of a payload, and touches nothing beside it", () => {
  const memory = openMemory(1);
  const unmask = unmaskerOf(memory);
  const bytes = Buffer.from(memory.buffer);
  const payloads = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.uint8Array({ minLength: 60, maxLength: 3_000, size: "max" }),
  );
  fc.assert(
    fc.property(
      payloads,
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.nat(70),
      fc.nat(3_000),
      (payload, mask, before, cutAt) => {
        const cut = Math.min(cutAt, payload.length);
        bytes.fill(0xee, 0, before + payload.length + 80);
        payload.forEach((byte, index) => {
          bytes[before + index] = byte ^ mask[index & 3]!;
        });
        const key = Buffer.from(mask).readInt32LE(0);
        unmask(before, cut, key, 0);
        unmask(before + cut, payload.length - cut, key, cut);
        assert.ok(bytes.subarray(before, before + payload.length).equals(payload));
        assert.ok(bytes.subarray(0, before).every((byte) => byte === 0xee));
        assert.ok(bytes.subarray(before + payload.length, before + payload.length + 80).every((byte) => byte === 0xee));
      },
    ),
    PARAMETERS,
  );
  // Up to the last byte of the memory.
  bytes.fill(1, bytes.length - 300);
  unmask(bytes.length - 300, 300, 0x01010101, 0);
  assert.ok(bytes.subarray(bytes.length - 300).every((byte) => byte === 0));
});
