/** The payload of a close frame: RFC 6455, sections 5.5.1 and 7.4. */
import { Buffer } from "node:buffer";
import {
  CLOSE_INVALID_PAYLOAD,
  CLOSE_NO_STATUS,
  CLOSE_PROTOCOL_ERROR,
  CLOSE_REASON_BYTES_MAX,
  isSendableCloseCode,
} from "./close-code.js";
import { viewOf } from "./payload.js";
import { textOf } from "./text.js";

/** What a peer says at its end, or why that cannot be: then `code` is the one to answer with. */
export interface CloseFrame {
  readonly code: number;
  readonly reason: string;
  readonly isValid: boolean;
}

/** Writes one. */
export function closePayload(code: number, reason: string): Uint8Array {
  if (code === CLOSE_NO_STATUS) return new Uint8Array(0);
  const text = Buffer.from(reason, "utf8").subarray(0, CLOSE_REASON_BYTES_MAX);
  const payload = Buffer.alloc(2 + text.length);
  payload.writeUInt16BE(code, 0);
  text.copy(payload, 2);
  return payload;
}

/** Reads one. */
export function readClosePayload(bytes: Buffer, start: number, length: number): CloseFrame {
  if (length === 0) return { code: CLOSE_NO_STATUS, reason: "", isValid: true };
  if (length === 1) return { code: CLOSE_PROTOCOL_ERROR, reason: "A close frame has one byte", isValid: false };
  const code = bytes.readUInt16BE(start);
  if (!isSendableCloseCode(code))
    return { code: CLOSE_PROTOCOL_ERROR, reason: `Close code ${code} is none`, isValid: false };
  const reason = textOf(bytes, viewOf(bytes), start + 2, length - 2);
  if (reason === undefined) return { code: CLOSE_INVALID_PAYLOAD, reason: "A reason is not UTF-8", isValid: false };
  return { code, reason, isValid: true };
}
