import assert from "node:assert/strict";
import { test } from "node:test";
import { createFunctionTable, FunctionTable, UNFOUND_MAX } from "./function-table.js";

const WRONG_MANY = 2_000;
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

test("FunctionTable.numberOf() refuses a module's wrong names before they are in the way of others", () => {
  const buffer = createFunctionTable();
  const [caller, runner] = [new FunctionTable(buffer), new FunctionTable(buffer)];
  const called = caller.numberOf({ module: MODULE, name: "called" });
  runner.found(called);
  let refused = 0;
  for (let n = 0; n < WRONG_MANY; n++) {
    try {
      caller.numberOf({ module: MODULE, name: `wrong${n}` });
    } catch (error) {
      assert.equal((error as { code?: unknown }).code, "ERR_RINGLOOM_OVERLOADED");
      refused += 1;
    }
  }
  assert.equal(refused, WRONG_MANY - UNFOUND_MAX);
  assert.throws(() => caller.numberOf({ module: MODULE, name: "cold" }), { code: "ERR_RINGLOOM_OVERLOADED" });
  runner.foundAll(MODULE, ["called", "cold"]);
  const cold = caller.numberOf({ module: MODULE, name: "cold" });
  assert.deepEqual(runner.nameOf(cold), { module: MODULE, name: "cold" });
  assert.deepEqual(runner.nameOf(called), { module: MODULE, name: "called" });
  assert.equal(caller.numberOf({ module: MODULE, name: "called" }), called);
  const other = caller.numberOf({ module: "file:///other.js", name: "wrong0" });
  assert.deepEqual(runner.nameOf(other), { module: "file:///other.js", name: "wrong0" });
});
