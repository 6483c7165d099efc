/** Which opcodes this kernel's rings have. Asked for once a thread, when the first operation comes that an older kernel lacks. */
import type { NativeAddon } from "../native.js";

let opcodes: Uint8Array | undefined;

/** Whether a ring of this kernel has an opcode. False, too, where the kernel does not answer. */
export function ringHasOpcode(native: NativeAddon, opcode: number): boolean {
  opcodes ??= new Uint8Array(native.probeRing(0).opcodes);
  return opcodes[opcode] === 1;
}
