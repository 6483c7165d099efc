import assert from "node:assert/strict";
import { test } from "node:test";
import { withMemoryPages } from "./wasm-memory.js";

/** A module with nothing but one exported memory of `pages` pages. */
function moduleWithMemory(pages: number): Uint8Array {
  const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  const name = [...Buffer.from("memory")];
  return Uint8Array.from([...header, 5, 3, 1, 0, pages, 7, 10, 1, name.length, ...name, 2, 0]);
}

for (const more of [0, 1, 125, 126, 1024, 20_000]) {
  test(`withMemoryPages() adds ${more} pages, for good`, () => {
    const { bytes, ownPages } = withMemoryPages(moduleWithMemory(2), more);
    assert.equal(ownPages, 2);
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {});
    const memory = instance.exports.memory as WebAssembly.Memory;
    assert.equal(memory.buffer.byteLength, (2 + more) * 65_536);
    assert.throws(() => memory.grow(1), RangeError);
  });
}

test("withMemoryPages() throws for what has no memory", () => {
  assert.throws(() => withMemoryPages(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0), 1), {
    code: "ERR_RINGLOOM_ASSERTION",
  });
});
