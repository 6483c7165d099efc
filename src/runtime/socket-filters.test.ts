import assert from "node:assert/strict";
import { endianness } from "node:os";
import { test } from "node:test";
import { chooseAmong, dropOpening } from "./socket-filters.js";

/** Runs a program as the kernel would: `random` stands for its random number, `flags` for the TCP flags of the segment. */
function execute(program: Uint8Array, { random = 0, flags = 0 }): number {
  const view = new DataView(program.buffer);
  const little = endianness() === "LE";
  let accumulator = 0;
  for (let at = 0; at < program.length; at += 8) {
    const operand = view.getUint32(at + 4, little);
    switch (view.getUint16(at, little)) {
      case 0x20:
        assert.equal(operand, 0xfffff038, "SKF_AD_OFF + SKF_AD_RANDOM");
        accumulator = random;
        break;
      case 0x30:
        assert.equal(operand, 13, "the byte of the flags");
        accumulator = flags;
        break;
      case 0x54:
        accumulator &= operand;
        break;
      case 0x94:
        accumulator %= operand;
        break;
      case 0x15:
        at += 8 * view.getUint8(accumulator === operand ? at + 2 : at + 3);
        break;
      case 0x06:
        return operand;
      default:
        assert.fail(`instruction ${view.getUint16(at, little)}`);
    }
  }
  return assert.fail("a program returns");
}

test("chooseAmong() gives each index its share, and nobody else any", () => {
  for (const indexes of [[0], [3], [0, 2], [5, 1, 7], Array.from({ length: 256 }, (_, index) => index)]) {
    const program = chooseAmong(indexes);
    const chosen = indexes.map((_, random) => execute(program, { random: random + indexes.length * 7 }));
    assert.deepEqual(
      chosen.sort((a, b) => a - b),
      [...indexes].sort((a, b) => a - b),
    );
  }
});

test("dropOpening() drops what opens a connection, and nothing else", () => {
  const [fin, syn, rst, psh, ack] = [1, 2, 4, 8, 16];
  for (const flags of [syn, syn | 0x40, syn | psh]) assert.equal(execute(dropOpening(), { flags }), 0);
  for (const flags of [ack, syn | ack, fin | ack, rst, psh | ack, 0])
    assert.equal(execute(dropOpening(), { flags }), 0xffff_ffff);
});
