/** Sections 9 and 10 of the list: messages up to 16 MiB, in many fragments and in small pieces, round trips, and a sender that fragments by itself. */
import type { WebSocketSession } from "./session.js";
import {
  BINARY,
  CONTINUATION,
  closeNormally,
  echoes,
  expectEchoes,
  type Outgoing,
  sendAll,
  TEXT,
  type Verdict,
  type WebSocketCase,
} from "./web-socket-case.js";

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZES = [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB];
const FRAGMENTED_BYTES = 4 * MIB;
const FRAGMENTS = [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB];
const CUT_BYTES = MIB;
const PIECES = [64, 128, 256, 512, KIB, 2 * KIB];
const ROUND_TRIPS = 1_000;
const ROUND_TRIP_SIZES = [0, 16, 64, 256, KIB, 4 * KIB];
const AUTO_FRAGMENT_BYTES = 1_300;

/** The longest message of the list, for the limits of a server that is to pass it. */
export const MESSAGE_BYTES_MAX: number = 16 * MIB;
/** The most fragments of a message. */
export const FRAGMENTS_MAX: number = FRAGMENTED_BYTES / 64;

/** All cases of both sections. */
export function largeCases(): WebSocketCase[] {
  return [
    ...both(1, SIZES, (opcode, length) => ({
      what: `of ${size(length)}`,
      run: echo(opcode, length, (payload) => [{ opcode, payload }]),
    })),
    ...both(3, FRAGMENTS, (opcode, fragmentBytes) => ({
      what: `of ${size(FRAGMENTED_BYTES)} in fragments of ${size(fragmentBytes)}`,
      run: echo(opcode, FRAGMENTED_BYTES, (payload) => inFragments({ opcode }, payload, fragmentBytes)),
    })),
    ...both(5, PIECES, (opcode, pieceBytes) => ({
      what: `of ${size(CUT_BYTES)} in pieces of ${size(pieceBytes)}`,
      run: echo(opcode, CUT_BYTES, (payload) => [{ opcode, payload, pieceBytes }]),
    })),
    ...both(7, ROUND_TRIP_SIZES, (opcode, length) => ({
      what: `of ${size(length)}, ${ROUND_TRIPS} times`,
      run: (session) => roundTrips(session, opcode, length),
    })),
    {
      id: "10.1.1",
      what: `text of ${size(64 * KIB)} in fragments of ${AUTO_FRAGMENT_BYTES}`,
      run: echo(TEXT, 64 * KIB, (payload) => inFragments({ opcode: TEXT }, payload, AUTO_FRAGMENT_BYTES)),
    },
  ];
}

/** Cuts a message into frames of one size; the first of them is as `first` says. */
export function inFragments(first: Outgoing, payload: Buffer, fragmentBytes: number): Outgoing[] {
  const frames: Outgoing[] = [];
  for (let at = 0; at === 0 || at < payload.length; at += fragmentBytes) {
    frames.push({
      ...(at === 0 ? first : { opcode: CONTINUATION }),
      payload: payload.subarray(at, at + fragmentBytes),
      isFinal: at + fragmentBytes >= payload.length,
    });
  }
  return frames;
}

type Run = WebSocketCase["run"];

/** A subsection with text and the next one with bytes. */
function both(
  first: number,
  values: readonly number[],
  make: (opcode: number, value: number) => { readonly what: string; readonly run: Run },
): WebSocketCase[] {
  return [TEXT, BINARY].flatMap((opcode, group) =>
    values.map((value, index) => {
      const { what, run } = make(opcode, value);
      const kind = opcode === TEXT ? "text" : "bytes";
      return { id: `9.${first + group}.${index + 1}`, what: `${kind} ${what}`, isLarge: true, run };
    }),
  );
}

/** The frames are made when the case runs: all of them at once would be hundreds of megabytes. */
function echo(opcode: number, length: number, frames: (payload: Buffer) => Outgoing[]): Run {
  return (session) => {
    const payload = payloadOf(opcode, length);
    return echoes(frames(payload), [{ opcode, payload }])(session);
  };
}

async function roundTrips(session: WebSocketSession, opcode: number, length: number): Promise<Verdict> {
  const payload = payloadOf(opcode, length);
  for (let count = 1; count <= ROUND_TRIPS; count++) {
    await sendAll(session, [{ opcode, payload }]);
    await session.until("an echo", () => session.echoes.length >= 1);
    expectEchoes(session, [{ opcode, payload }]);
    session.echoes.length = 0;
  }
  await closeNormally(session);
  return "passed";
}

function payloadOf(opcode: number, length: number): Buffer {
  return opcode === TEXT ? Buffer.alloc(length, "BAsd7&jh23") : Buffer.alloc(length, 0xfe);
}

function size(bytes: number): string {
  if (bytes >= MIB) return `${bytes / MIB} MiB`;
  return bytes >= KIB ? `${bytes / KIB} KiB` : `${bytes} bytes`;
}
