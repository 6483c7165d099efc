/**
 * Two small classic BPF programs that decide where new connections go, without touching those that wait already.
 *
 * A listening socket that is closed resets the connections in its queue, and shutdown(2) does the same. What Linux does allow, on a
 * socket that stays open:
 *
 * - SO_ATTACH_REUSEPORT_CBPF (socket(7), any user): a program names the socket of a SO_REUSEPORT group that gets a new
 *   connection, by its index in the group. So a socket can be passed over and given its share again. An index that no socket has makes the
 *   kernel choose by its hash, as without a program.
 * - SO_ATTACH_FILTER (on some kernels, 6.18 among them, only with CAP_NET_ADMIN): a program sees the segments that arrive at the socket. One that drops
 *   those that open a connection lets handshakes in progress end; the dropped ones are sent again after a second.
 *
 * Opcodes and the layout of an instruction are those of linux/filter.h: code (16 bits), jumps if true and if false (8 bits each), operand (32 bits).
 */
import { endianness } from "node:os";
import { assert } from "../assert.js";

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, operand: number];

const LOAD_WORD = 0x20;
const LOAD_BYTE = 0x30;
const AND = 0x54;
const MODULO = 0x94;
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;

const INSTRUCTION_BYTES = 8;
/** The most sockets that {@link chooseAmong} takes: as many as there can be shards. */
export const TARGETS_MAX = 256;
/** SKF_AD_OFF + SKF_AD_RANDOM: not a place in the packet but a random number. */
const RANDOM_NUMBER = 0xfffff000 + 56;
/** RFC 9293, section 3.1: the byte of the TCP header that holds the flags. */
const TCP_FLAGS = 13;
const TCP_SYN = 0x02;
const TCP_ACK = 0x10;
const PASS_ALL = 0xffff_ffff;

/** A program without instructions, which the addon takes as the wish to detach. */
export const NO_PROGRAM = new Uint8Array(0);

/** Gives each new connection to one of the sockets with these indexes, at random. */
export function chooseAmong(indexes: readonly number[]): Uint8Array {
  assert(indexes.length > 0 && indexes.length <= TARGETS_MAX, "connections are given to 1 to 256 sockets");
  const [last = 0, ...others] = [...indexes].reverse();
  const choice: Instruction[] = others.flatMap((index, position): Instruction[] => [
    [JUMP_IF_EQUAL, 0, 1, position],
    [RETURN, 0, 0, index],
  ]);
  return assemble([[LOAD_WORD, 0, 0, RANDOM_NUMBER], [MODULO, 0, 0, indexes.length], ...choice, [RETURN, 0, 0, last]]);
}

/** Drops every segment that wants to open a connection, and lets all others pass. */
export function dropOpening(): Uint8Array {
  return assemble([
    [LOAD_BYTE, 0, 0, TCP_FLAGS],
    [AND, 0, 0, TCP_SYN | TCP_ACK],
    [JUMP_IF_EQUAL, 0, 1, TCP_SYN],
    [RETURN, 0, 0, 0],
    [RETURN, 0, 0, PASS_ALL],
  ]);
}

function assemble(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * INSTRUCTION_BYTES);
  const view = new DataView(bytes.buffer);
  const isLittle = endianness() === "LE";
  instructions.forEach(([code, ifTrue, ifFalse, operand], index) => {
    const at = index * INSTRUCTION_BYTES;
    view.setUint16(at, code, isLittle);
    view.setUint8(at + 2, ifTrue);
    view.setUint8(at + 3, ifFalse);
    view.setUint32(at + 4, operand, isLittle);
  });
  return bytes;
}
