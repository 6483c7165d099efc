/** Text of messages: UTF-8, checked (RFC 6455, section 8.1). */
import { isUtf8 } from "node:buffer";

/** The bytes as text, or undefined where they are no UTF-8. `view` is over the memory of `bytes`. */
export function textOf(bytes: Buffer, view: DataView, start: number, length: number): string | undefined {
  if (length === 0) return "";
  const end = start + length;
  if (isAscii(view, start, end)) return bytes.latin1Slice(start, end);
  return isUtf8(bytes.subarray(start, end)) ? bytes.utf8Slice(start, end) : undefined;
}

function isAscii(view: DataView, start: number, end: number): boolean {
  let at = start;
  for (; at + 8 <= end; at += 8) {
    if (((view.getInt32(at, true) | view.getInt32(at + 4, true)) & 0x8080_8080) !== 0) return false;
  }
  for (; at < end; at += 1) {
    if (view.getUint8(at) > 0x7f) return false;
  }
  return true;
}
