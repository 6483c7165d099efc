/**
 * Gives a WebAssembly module another memory size before it is compiled. Growing a memory afterwards would do the same, but it detaches an ArrayBuffer, and
 * from the first detached one on V8 checks at each access to any typed array of the thread whether that one is detached: 1.2 to 2 times the
 * time of a parser's loop in rough single runs, none in the simplest loop. The memory also gets its size as its maximum, so that it never grows.
 */
import { assert } from "../assert.js";

const HEADER_BYTES = 8;
const SECTION_MEMORY = 5;
const LIMITS_WITH_MAXIMUM = 1;

/** A module's bytes with a fixed memory, and the pages (64 KiB each) that the module asked for itself. */
export interface ResizedModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly ownPages: number;
}

/**
 * Returns a copy of `module` whose one memory has `morePages` pages besides its own. The format is that of the WebAssembly core specification,
 * section 5.5.8.
 */
export function withMemoryPages(module: Uint8Array, morePages: number): ResizedModule {
  let at = HEADER_BYTES;
  while (at < module.length) {
    const id = module[at]!;
    const size = readVariable(module, at + 1);
    const end = size.next + size.value;
    if (id !== SECTION_MEMORY) {
      at = end;
      continue;
    }
    const count = readVariable(module, size.next);
    const flags = readVariable(module, count.next);
    const pages = readVariable(module, flags.next);
    assert(count.value === 1 && flags.value <= LIMITS_WITH_MAXIMUM, "the module has one plain memory");
    const limit = writeVariable(pages.value + morePages);
    const content = [1, LIMITS_WITH_MAXIMUM, ...limit, ...limit];
    const section = Uint8Array.from([SECTION_MEMORY, ...writeVariable(content.length), ...content]);
    const bytes = new Uint8Array(at + section.length + module.length - end);
    bytes.set(module.subarray(0, at));
    bytes.set(section, at);
    bytes.set(module.subarray(end), at + section.length);
    return { bytes, ownPages: pages.value };
  }
  assert(false, "the module has a memory section");
}

/** An unsigned LEB128 number and the position behind it. */
function readVariable(bytes: Uint8Array, start: number): { readonly value: number; readonly next: number } {
  let value = 0;
  let factor = 1;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at]!;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return { value, next: at + 1 };
    factor *= 128;
  }
  assert(false, "a number ends within the module");
}

function writeVariable(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 128) | 0x80);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return bytes;
}
