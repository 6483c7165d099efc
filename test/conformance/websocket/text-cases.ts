/** Section 6 of the list: text is UTF-8 (RFC 6455, sections 5.6 and 8.1). */
import { frame } from "../../ws/raw-client.js";
import type { WebSocketSession } from "./session.js";
import { encode, INVALID_TEXT, utf8Groups, VALID_TEXT } from "./utf8-sequences.js";
import {
  CONTINUATION,
  echoes,
  expectCode,
  expectEchoes,
  fails,
  type Outgoing,
  TEXT,
  text,
  type Verdict,
  type WebSocketCase,
} from "./web-socket-case.js";

const UMLAUTS = ["Hello-\u00b5@\u00df\u00f6\u00e4", "\u00fc\u00e0\u00e1-UTF-8!!"];
/** The word, a number that is one too large for a code point, and ASCII. The thirteenth byte is the first that is wrong. */
const TOO_LARGE = Buffer.concat([VALID_TEXT, encode(0x110000, 4), Buffer.from("edited")]);
const WRONG_AT = 12;
const FIRST_GROUP = 5;
/** How long a server has to notice bytes that are wrong before the message is complete. */
const FAST_MS = 250;

/** All cases of the section. */
export function textCases(): WebSocketCase[] {
  return [...wholes(), ...broken(), ...early(), ...sequences()];
}

function wholes(): WebSocketCase[] {
  const whole = UMLAUTS.join("");
  const empty = ["", "", ""];
  const middle = ["", "middle frame payload", ""];
  return [
    { id: "6.1.1", what: "empty text", run: echoes([{ opcode: TEXT }], [text("")]) },
    { id: "6.1.2", what: "empty text in three", run: echoes(fragmented(empty), [text("")]) },
    { id: "6.1.3", what: "text between two empty fragments", run: echoes(fragmented(middle), [text(middle[1]!)]) },
    { id: "6.2.1", what: "valid text", run: echoes([{ opcode: TEXT, payload: whole }], [text(whole)]) },
    { id: "6.2.2", what: "valid text, cut between letters", run: echoes(fragmented(UMLAUTS), [text(whole)]) },
    { id: "6.2.3", what: "valid text in fragments of a byte", run: echoes(byBytes(Buffer.from(whole)), [text(whole)]) },
    { id: "6.2.4", what: "a Greek word in fragments of a byte", run: echoes(byBytes(VALID_TEXT), [text(VALID_TEXT)]) },
  ];
}

function broken(): WebSocketCase[] {
  return [
    { id: "6.3.1", what: "a surrogate", run: fails([{ opcode: TEXT, payload: INVALID_TEXT }], [1007]) },
    { id: "6.3.2", what: "a surrogate in fragments of a byte", run: fails(byBytes(INVALID_TEXT), [1007]) },
  ];
}

/** Text that is wrong before it is complete: who looks at every piece can say so at once, the others at the end. */
function early(): WebSocketCase[] {
  const wide = [VALID_TEXT.length, VALID_TEXT.length + 4];
  const narrow = [WRONG_AT, WRONG_AT + 1];
  return [
    { id: "6.4.1", what: "the second of three fragments is wrong", run: failsEarly(cutFrames(wide)) },
    { id: "6.4.2", what: "the second of three fragments is the wrong byte", run: failsEarly(cutFrames(narrow)) },
    { id: "6.4.3", what: "the second of three pieces of a frame is wrong", run: failsEarly(cutBytes(wide)) },
    { id: "6.4.4", what: "the second of three pieces of a frame is the wrong byte", run: failsEarly(cutBytes(narrow)) },
  ];
}

function failsEarly(pieces: readonly Buffer[]): (session: WebSocketSession) => Promise<Verdict> {
  return async (session) => {
    await session.send(pieces[0]!);
    if (await session.pause(FAST_MS)) throw new Error("a good beginning was refused");
    await session.send(pieces[1]!);
    const isFast = await session.pause(FAST_MS);
    await session.send(pieces[2]!);
    await session.ended();
    expectCode(session, [1007]);
    expectEchoes(session, []);
    return isFast ? "passed" : "non-strict";
  };
}

function cutFrames([first, second]: readonly number[]): Buffer[] {
  return [
    frame({ opcode: TEXT, payload: TOO_LARGE.subarray(0, first), isFinal: false }),
    frame({ opcode: CONTINUATION, payload: TOO_LARGE.subarray(first, second), isFinal: false }),
    frame({ opcode: CONTINUATION, payload: TOO_LARGE.subarray(second) }),
  ];
}

function cutBytes([first = 0, second = 0]: readonly number[]): Buffer[] {
  const whole = frame({ opcode: TEXT, payload: TOO_LARGE });
  const header = whole.length - TOO_LARGE.length;
  return [
    whole.subarray(0, header + first),
    whole.subarray(header + first, header + second),
    whole.subarray(header + second),
  ];
}

function sequences(): WebSocketCase[] {
  return utf8Groups().flatMap(({ what, sequences }, group) =>
    sequences.map(({ bytes, isValid }, index) => ({
      id: `6.${FIRST_GROUP + group}.${index + 1}`,
      what: `${what}: ${bytes.length > 12 ? `${bytes.length} bytes` : bytes.toString("hex")}`,
      run: isValid
        ? echoes([{ opcode: TEXT, payload: bytes }], [text(bytes)])
        : fails([{ opcode: TEXT, payload: bytes }], [1007]),
    })),
  );
}

function fragmented(payloads: readonly (string | Buffer)[]): Outgoing[] {
  return payloads.map((payload, index) => ({
    opcode: index === 0 ? TEXT : CONTINUATION,
    payload,
    isFinal: index === payloads.length - 1,
  }));
}

function byBytes(bytes: Buffer): Outgoing[] {
  return fragmented(Array.from(bytes, (byte) => Buffer.from([byte])));
}
