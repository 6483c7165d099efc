/** Sections 1 to 5 of the list: framing, pings and pongs, reserved bits, opcodes, fragmentation (RFC 6455, sections 5.2, 5.4, 5.5). */
import type { WebSocketSession } from "./session.js";
import {
  BINARY,
  CLOSE,
  CONTINUATION,
  closeNormally,
  echoes,
  expectEchoes,
  fails,
  type Outgoing,
  PING,
  PONG,
  pong,
  sendAll,
  TEXT,
  text,
  type Verdict,
  type WebSocketCase,
} from "./web-socket-case.js";

const HELLO = "Hello, world!";
const BYTES = Buffer.from([0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff]);
/** The reserved bits 1, 2, 3 stand for 4, 2, 1 in the suite's numbers. */
const RESERVED_SHIFT = 4;
const LENGTHS = [0, 125, 126, 127, 128, 65_535, 65_536, 65_536];
const PIECE_BYTES = 997;

/** All cases of the five sections. */
export function framingCases(): WebSocketCase[] {
  return [...lengths(), ...pings(), ...reservedBits(), ...opcodes(), ...fragments(), ...interleaved()];
}

function lengths(): WebSocketCase[] {
  return [TEXT, BINARY].flatMap((opcode) =>
    LENGTHS.map((length, index): WebSocketCase => {
      const isCut = index === LENGTHS.length - 1;
      const payload = Buffer.alloc(length, opcode === TEXT ? "*" : 0xfe);
      const sent: Outgoing = isCut ? { opcode, payload, pieceBytes: PIECE_BYTES } : { opcode, payload };
      return {
        id: `1.${opcode}.${index + 1}`,
        what: `${opcode === TEXT ? "text" : "bytes"} of ${length}${isCut ? ` in pieces of ${PIECE_BYTES}` : ""}`,
        run: echoes([sent], [{ opcode, payload }]),
      };
    }),
  );
}

function pings(): WebSocketCase[] {
  const long = Buffer.alloc(125, 0xfe);
  const ten = Array.from({ length: 10 }, (_, index) => `payload-${index}`);
  const one = (payload: string | Buffer, more: Partial<Outgoing> = {}) =>
    echoes([{ opcode: PING, payload, ...more }], [pong(payload)]);
  const many = (more: Partial<Outgoing>) =>
    echoes(
      ten.map((payload) => ({ opcode: PING, payload, ...more })),
      ten.map((payload) => pong(payload)),
    );
  const unasked: Outgoing = { opcode: PONG, payload: "nobody asked" };
  return [
    { id: "2.1", what: "an empty ping", run: one("") },
    { id: "2.2", what: "a ping with text", run: one(HELLO) },
    { id: "2.3", what: "a ping with bytes that are no UTF-8", run: one(BYTES) },
    { id: "2.4", what: "a ping of 125 bytes", run: one(long) },
    {
      id: "2.5",
      what: "a ping of 126 bytes",
      run: fails([{ opcode: PING, payload: Buffer.alloc(126, 0xfe), lengthBytes: 2 }]),
    },
    { id: "2.6", what: "a ping of 125 bytes, byte by byte", run: one(long, { pieceBytes: 1 }) },
    { id: "2.7", what: "an empty pong that nobody asked for", run: echoes([{ opcode: PONG }], []) },
    { id: "2.8", what: "a pong with a payload that nobody asked for", run: echoes([unasked], []) },
    {
      id: "2.9",
      what: "such a pong, then a ping",
      run: echoes([unasked, { opcode: PING, payload: "ping payload" }], [pong("ping payload")]),
    },
    { id: "2.10", what: "ten pings", run: many({}) },
    { id: "2.11", what: "ten pings, byte by byte", run: many({ pieceBytes: 1 }) },
  ];
}

function reservedBits(): WebSocketCase[] {
  const reserved = (bits: number): Pick<Outgoing, "reserved"> => ({ reserved: bits << RESERVED_SHIFT });
  const behindText = (bits: number, how: Partial<Outgoing>) => {
    const frames: Outgoing[] = [
      { opcode: TEXT, payload: HELLO, ...how },
      { opcode: TEXT, payload: HELLO, ...reserved(bits), ...how },
      { opcode: PING, ...how },
    ];
    return fails(frames, [1002], [text(HELLO)]);
  };
  return [
    { id: "3.1", what: "text with RSV 1", run: fails([{ opcode: TEXT, payload: HELLO, ...reserved(1) }]) },
    { id: "3.2", what: "RSV 2 behind good text, then a ping", run: behindText(2, {}) },
    { id: "3.3", what: "RSV 3 behind good text, frame by frame", run: behindText(3, { isAlone: true }) },
    { id: "3.4", what: "RSV 4 behind good text, byte by byte", run: behindText(4, { pieceBytes: 1 }) },
    { id: "3.5", what: "bytes with RSV 5", run: fails([{ opcode: BINARY, payload: BYTES, ...reserved(5) }]) },
    { id: "3.6", what: "a ping with RSV 6", run: fails([{ opcode: PING, payload: HELLO, ...reserved(6) }]) },
    { id: "3.7", what: "a close frame with RSV 7", run: fails([{ opcode: CLOSE, ...reserved(7) }]) },
  ];
}

/** Reserved opcodes: 3 to 7 of data, 11 to 15 of control. */
function opcodes(): WebSocketCase[] {
  return [3, 11].flatMap((first, group) => {
    const behindText = (opcode: number, payload: string, how: Partial<Outgoing>) =>
      fails(
        [
          { opcode: TEXT, payload: HELLO, ...how },
          { opcode, payload, ...how },
          { opcode: PING, ...how },
        ],
        [1002],
        [text(HELLO)],
      );
    const runs = [
      fails([{ opcode: first }]),
      fails([{ opcode: first + 1, payload: "a payload" }]),
      behindText(first + 2, "", {}),
      behindText(first + 3, HELLO, {}),
      behindText(first + 4, HELLO, { pieceBytes: 1 }),
    ];
    return runs.map((run, index) => ({ id: `4.${group + 1}.${index + 1}`, what: `opcode ${first + index}`, run }));
  });
}

const CUTS: readonly [string, Partial<Outgoing>][] = [
  ["at once", {}],
  ["frame by frame", { isAlone: true }],
  ["byte by byte", { pieceBytes: 1 }],
];

function fragments(): WebSocketCase[] {
  const part = (index: number, isFinal: boolean, how: Partial<Outgoing> = {}): Outgoing => ({
    opcode: index === 1 ? TEXT : CONTINUATION,
    payload: `fragment${index}`,
    isFinal,
    ...how,
  });
  const whole = text("fragment1fragment2");
  const stray = (isFinal: boolean, how: Partial<Outgoing> = {}): Outgoing => ({
    opcode: CONTINUATION,
    payload: "continues nothing",
    isFinal,
    ...how,
  });
  const twice = (isFinal: boolean): Outgoing[] => [1, 2].flatMap(() => [stray(isFinal), part(1, false), part(2, true)]);
  return [
    { id: "5.1", what: "a ping in two", run: fails([{ ...part(1, false), opcode: PING }, part(2, true)]) },
    { id: "5.2", what: "a pong in two", run: fails([{ ...part(1, false), opcode: PONG }, part(2, true)]) },
    ...CUTS.map(([cut, how], index) => ({
      id: `5.${3 + index}`,
      what: `text in two, ${cut}`,
      run: echoes([part(1, false, how), part(2, true, how)], [whole]),
    })),
    ...CUTS.map(([cut, how], index) => ({
      id: `5.${6 + index}`,
      what: `text in two with a ping between, ${cut}`,
      run: echoes(
        [part(1, false, how), { opcode: PING, payload: "ping payload", ...how }, part(2, true, how)],
        [pong("ping payload"), whole],
      ),
    })),
    ...[true, false].flatMap((isFinal, group) =>
      CUTS.map(([cut, how], index) => ({
        id: `5.${9 + 3 * group + index}`,
        what: `a ${isFinal ? "final " : ""}continuation of nothing, ${cut}`,
        run: fails([stray(isFinal, how), { opcode: TEXT, payload: HELLO, ...how }]),
      })),
    ),
    {
      id: "5.15",
      what: "a continuation behind a message in two",
      run: fails([part(1, false), part(2, true), stray(false), { opcode: TEXT, payload: HELLO }], [1002], [whole]),
    },
    { id: "5.16", what: "continuations of nothing between messages", run: fails(twice(false)) },
    { id: "5.17", what: "final continuations of nothing between messages", run: fails(twice(true)) },
    {
      id: "5.18",
      what: "both fragments with the opcode of text",
      run: fails([part(1, false), { opcode: TEXT, payload: "fragment2" }]),
    },
  ];
}

/** A message in five with two pings in it; what follows the first ping is sent when that is answered. */
function interleaved(): WebSocketCase[] {
  const run =
    (how: Partial<Outgoing>) =>
    async (session: WebSocketSession): Promise<Verdict> => {
      const part = (index: number): Outgoing => ({
        opcode: index === 1 ? TEXT : CONTINUATION,
        payload: `fragment${index}`,
        isFinal: index === 5,
        ...how,
      });
      await sendAll(session, [part(1), part(2), { opcode: PING, payload: "first", ...how }]);
      await session.until("the first pong", () => session.echoes.length === 1);
      await sendAll(session, [part(3), part(4), { opcode: PING, payload: "second", ...how }, part(5)]);
      await session.until("the second pong and the message", () => session.echoes.length === 3);
      await closeNormally(session);
      expectEchoes(session, [pong("first"), pong("second"), text("fragment1fragment2fragment3fragment4fragment5")]);
      return "passed";
    };
  return [
    { id: "5.19", what: "text in five with two pings", run: run({}) },
    { id: "5.20", what: "text in five with two pings, frame by frame", run: run({ isAlone: true }) },
  ];
}
