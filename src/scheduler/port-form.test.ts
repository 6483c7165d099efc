import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { fromPortForm, toPortForm } from "./port-form.js";

function across(value: unknown, kept?: ReadonlySet<object>): unknown {
  return fromPortForm(structuredClone(toPortForm(value, kept)));
}

describe("port form", () => {
  it("gives back every value that is data", () => {
    const bytes = fc.uint8Array();
    const leaf = fc.oneof(
      bytes,
      bytes.map((one) => Buffer.from(one)),
      fc.date(),
      fc.bigInt(),
      fc.string(),
    );
    const value = fc.anything({
      values: [leaf, fc.float64Array()],
      withMap: true,
      withSet: true,
      withSparseArray: true,
    });
    fc.assert(fc.property(value, (one) => assert.deepEqual(across(one), expected(one))));
  });

  it("keeps Buffers, and copies the own bytes of a view alone", () => {
    const large = Buffer.alloc(100, 7).subarray(10, 20);
    const words = new Float64Array(new ArrayBuffer(80), 16, 2);
    const back = across({ large, list: [words, large] }) as { large: Buffer; list: [Float64Array, Buffer] };
    assert.ok(Buffer.isBuffer(back.large) && Buffer.isBuffer(back.list[1]));
    assert.deepEqual(back.large, large);
    assert.equal(back.large.buffer.byteLength, 10);
    assert.equal(back.list[0].buffer.byteLength, 16);
    assert.ok(Buffer.isBuffer(across(Buffer.alloc(3))));
  });

  it("keeps cycles and what occurs twice", () => {
    const inner = { bytes: Buffer.from("a") };
    const value: Record<string, unknown> = { a: inner, b: inner };
    value.self = value;
    const back = across(value) as typeof value;
    assert.equal(back.self, back);
    assert.equal(back.a, back.b);
    assert.ok(Buffer.isBuffer((back.a as typeof inner).bytes));
  });

  it("leaves views of what is handed over as they are, and shared memory", () => {
    const view = new Uint8Array(new ArrayBuffer(8), 2, 2);
    const shared = new Uint8Array(new SharedArrayBuffer(8), 2, 2);
    const form = toPortForm({ view, shared }, new Set([view.buffer]));
    assert.deepEqual(form.value, { view, shared });
    assert.equal((form.value as { view: Uint8Array }).view, view);
    assert.equal((form.value as { shared: Uint8Array }).shared, shared);
  });

  it("sets no prototype and calls each getter once", () => {
    let calls = 0;
    const value = {
      ["__proto__"]: { polluted: true },
      get once() {
        calls += 1;
        return calls;
      },
    };
    const back = across(value) as object;
    assert.ok(Object.hasOwn(back, "__proto__") && !("polluted" in back));
    assert.equal(calls, 1);
  });
});

/** Structured clone makes plain objects of those without a prototype. */
function expected(value: unknown): unknown {
  return fromPortForm({ value: structuredClone(value), buffers: toPortForm(value).buffers });
}
