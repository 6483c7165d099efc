import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ConnectionTable, PHASE_FREE, PHASE_IDLE } from "./connection-table.js";

test("ConnectionTable lists exactly the connections that were added and not removed", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 15 }), { maxLength: 100 }), (slots) => {
      const table = new ConnectionTable(16);
      const model = new Set<number>();
      for (const slot of slots) {
        if (model.has(slot)) {
          table.remove(slot);
          model.delete(slot);
        } else {
          table.add(slot, 5);
          model.add(slot);
        }
        assert.deepEqual(
          [...table.live.subarray(0, table.count)].sort((a, b) => a - b),
          [...model].sort((a, b) => a - b),
        );
        assert.equal(table.phases[slot], model.has(slot) ? PHASE_IDLE : PHASE_FREE);
      }
    }),
  );
});

test("ConnectionTable.add() starts every column afresh", () => {
  const table = new ConnectionTable(1);
  table.add(0, 5);
  table.flags[0] = 3;
  table.sequences[0] = 9;
  table.committed[0] = 7;
  table.remove(0);
  table.add(0, 6);
  assert.equal(table.flags[0], 0);
  assert.equal(table.sequences[0], 0);
  assert.equal(table.committed[0], 0);
  assert.equal(table.deadlines[0], 6);
});
