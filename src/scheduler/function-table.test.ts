import assert from "node:assert/strict";
import { test } from "node:test";
import { createFunctionTable, FunctionTable } from "./function-table.js";

const COUNT = 0;
const MODULE = "file:///work.js";

test("FunctionTable.numberOf() finds what stands behind a number that a thread took and died", () => {
  const buffer = createFunctionTable();
  const first = new FunctionTable(buffer);
  const before = first.numberOf({ module: MODULE, name: "before" });
  Atomics.add(new Int32Array(buffer), COUNT, 1);
  const behind = first.numberOf({ module: MODULE, name: "behind" });
  const second = new FunctionTable(buffer);
  assert.equal(second.numberOf({ module: MODULE, name: "before" }), before);
  assert.equal(second.numberOf({ module: MODULE, name: "behind" }), behind);
  const added = second.numberOf({ module: MODULE, name: "added" });
  assert.equal(first.numberOf({ module: MODULE, name: "added" }), added);
  assert.equal(second.nameOf(before + 1), undefined);
});
