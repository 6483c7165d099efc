/** Section 7 of the list: closing (RFC 6455, sections 5.5.1, 7.1 and 7.4). */
import { closeFrame } from "../../ws/raw-client.js";
import type { WebSocketSession } from "./session.js";
import { INVALID_TEXT } from "./utf8-sequences.js";
import {
  CLOSE,
  CONTINUATION,
  closes,
  echoes,
  fails,
  type Outgoing,
  PING,
  sendAll,
  TEXT,
  text,
  type Verdict,
  type WebSocketCase,
} from "./web-socket-case.js";

const HELLO = "Hello World!";
const LONG_BYTES = 256 * 1024;
const GOOD_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
const BAD_CODES = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
/** Codes of which the RFC says nothing. */
const UNDEFINED_CODES = [5000, 65_535];

/** All cases of the section. */
export function closingCases(): WebSocketCase[] {
  return [...orders(), ...payloads(), ...codes()];
}

function orders(): WebSocketCase[] {
  const normal = close(1000);
  return [
    { id: "7.1.1", what: "a message, then a close", run: echoes([{ opcode: TEXT, payload: HELLO }], [text(HELLO)]) },
    { id: "7.1.2", what: "two close frames", run: closes([normal, { opcode: CLOSE }], [1000]) },
    { id: "7.1.3", what: "a ping behind the close", run: closes([normal, { opcode: PING }], [1000]) },
    { id: "7.1.4", what: "text behind the close", run: closes([normal, { opcode: TEXT, payload: HELLO }], [1000]) },
    {
      id: "7.1.5",
      what: "a close between two fragments",
      run: closes(
        [
          { opcode: TEXT, payload: "fragment1", isFinal: false },
          normal,
          { opcode: CONTINUATION, payload: "fragment2" },
        ],
        [1000],
      ),
    },
    { id: "7.1.6", what: "256 KiB, a message, a close and a ping at once", run: backToBack },
  ];
}

/** Whether what was sent before a close is still answered is left to the server. */
async function backToBack(session: WebSocketSession): Promise<Verdict> {
  session.answersClose = false;
  await sendAll(session, [
    { opcode: TEXT, payload: Buffer.alloc(LONG_BYTES, "BAsd7&jh23") },
    { opcode: TEXT, payload: HELLO },
    close(1000),
    { opcode: PING },
  ]);
  await session.ended();
  return "informational";
}

function payloads(): WebSocketCase[] {
  return [
    { id: "7.3.1", what: "a close without a payload", run: closes([{ opcode: CLOSE }], [1000]) },
    { id: "7.3.2", what: "a close with one byte", run: fails([{ opcode: CLOSE, payload: "a" }]) },
    { id: "7.3.3", what: "a close with a code", run: closes([close(1000)], [1000]) },
    { id: "7.3.4", what: "a close with a reason", run: closes([close(1000, HELLO)], [1000]) },
    { id: "7.3.5", what: "a close with a reason of 123 bytes", run: closes([close(1000, "*".repeat(123))], [1000]) },
    {
      id: "7.3.6",
      what: "a close with a reason of 124 bytes",
      run: fails([{ ...close(1000, "*".repeat(124)), lengthBytes: 2 }]),
    },
    {
      id: "7.5.1",
      what: "a reason that is no UTF-8",
      run: fails([{ opcode: CLOSE, payload: Buffer.concat([Buffer.from([0x03, 0xe8]), INVALID_TEXT]) }], [1002, 1007]),
    },
  ];
}

function codes(): WebSocketCase[] {
  return [
    ...GOOD_CODES.map((code, index) => ({
      id: `7.7.${index + 1}`,
      what: `code ${code}`,
      run: closes([close(code)], [1000, code]),
    })),
    ...BAD_CODES.map((code, index) => ({
      id: `7.9.${index + 1}`,
      what: `code ${code}, which nobody may send`,
      run: fails([close(code)]),
    })),
    ...UNDEFINED_CODES.map((code, index) => ({
      id: `7.13.${index + 1}`,
      what: `code ${code}, which nobody defines`,
      run: async (session: WebSocketSession): Promise<Verdict> => {
        session.answersClose = false;
        await session.send(closeFrame(code));
        await session.ended();
        return "informational";
      },
    })),
  ];
}

function close(code: number, reason = ""): Outgoing {
  const payload = Buffer.alloc(2 + reason.length);
  payload.writeUInt16BE(code, 0);
  payload.write(reason, 2);
  return { opcode: CLOSE, payload };
}
