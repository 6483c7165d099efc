import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Fifo } from "./fifo.js";

describe("Fifo", () => {
  it("gives back what was put in, in order, whatever is removed in between", () => {
    const fifo = new Fifo<number>();
    const model: number[] = [];
    let next = 0;
    let state = 12_345;
    for (let step = 0; step < 50_000; step++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      const choice = (state >>> 16) % 10;
      // Long queues first, then short ones, so that the front is cut off many times.
      if (choice < (step < 20_000 ? 7 : 4)) {
        fifo.push(next);
        model.push(next);
        next += 1;
      } else if (choice < 9) assert.equal(fifo.shift(), model.shift());
      else if (model.length > 0) {
        const [removed] = model.splice(state % model.length, 1);
        assert.equal(fifo.remove(removed!), true);
        assert.equal(fifo.remove(removed!), false);
      }
      assert.equal(fifo.length, model.length);
      assert.equal(fifo.first, model[0]);
    }
  });
});
