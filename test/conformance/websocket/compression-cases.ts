/**
 * Sections 12 and 13 of the list: messages through permessage-deflate (RFC 7692), of five kinds of payload and under seven offers. The suite's payloads are files
 * of its own; these are made here, of the same kinds. It sends a thousand messages a case; of long ones fewer are sent here, {@link CASE_BYTES} together.
 */
import { inFragments } from "./large-cases.js";
import type { WebSocketSession } from "./session.js";
import {
  BINARY,
  closeNormally,
  expectEchoes,
  sendAll,
  TEXT,
  type Verdict,
  type WebSocketCase,
} from "./web-socket-case.js";

const KIB = 1024;
const MESSAGES = 1_000;
/** What the messages of a case hold together, at least {@link MESSAGES_MIN} of them. */
const CASE_BYTES: number = 256 * KIB;
const MESSAGES_MIN = 4;
/** RSV1 marks a compressed message. */
const COMPRESSED = 0x40;

/** Length of a message, and of the frames that a message is cut into; 0 is one frame. */
const SHAPES: readonly (readonly [number, number])[] = [
  ...[16, 64, 256, KIB, 4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB, 64 * KIB, 128 * KIB].map(
    (length) => [length, 0] as const,
  ),
  ...[8 * KIB, 16 * KIB, 32 * KIB, 64 * KIB, 128 * KIB].map((length) => [length, 256] as const),
  ...[KIB, 4 * KIB, 32 * KIB].map((fragment) => [128 * KIB, fragment] as const),
];

/** What every offer of the suite's client allows besides. */
const BASE = "permessage-deflate; client_no_context_takeover; client_max_window_bits";
const FORGET = "; server_no_context_takeover";

const OFFERS = [
  BASE,
  `${BASE}${FORGET}`,
  `${BASE}; server_max_window_bits=9`,
  `${BASE}; server_max_window_bits=15`,
  `${BASE}${FORGET}; server_max_window_bits=9`,
  `${BASE}${FORGET}; server_max_window_bits=15`,
  `${BASE}${FORGET}; server_max_window_bits=9, ${BASE}${FORGET}, ${BASE}`,
];

interface Material {
  readonly what: string;
  readonly opcode: number;
  /** Some 200 KiB, made when the first case asks for it. */
  make(): Buffer;
}

const MATERIAL_BYTES = 200 * KIB;

const MATERIALS: readonly Material[] = [
  {
    what: "JSON",
    opcode: TEXT,
    make: () => filled((index) => `{"id":${index},"name":"user ${index % 97}","tags":["a","b"]},`),
  },
  { what: "a picture", opcode: BINARY, make: () => bytesOf((index, random) => ((index >> 6) + (random % 23)) & 0xff) },
  { what: "prose", opcode: BINARY, make: () => filled((index) => `${WORDS[(index * 7919) % WORDS.length]} `) },
  {
    what: "HTML",
    opcode: TEXT,
    make: () => filled((index) => `<li class="row r${index % 7}"><a href="/item/${index}">Item ${index}</a></li>\n`),
  },
  { what: "bytes that are compressed already", opcode: BINARY, make: () => bytesOf((_, random) => random & 0xff) },
];

const WORDS = "the wind that shakes the barley was heard across a valley of stone and water while nobody slept".split(
  " ",
);

/** All cases of both sections. */
export function compressionCases(): WebSocketCase[] {
  const made = MATERIALS.map((material) => ({ ...material, bytes: lazily(material.make) }));
  const json = made[0]!;
  return [
    ...made.flatMap((material, index) => subsection(`12.${index + 1}`, BASE, material)),
    ...OFFERS.flatMap((offer, index) => subsection(`13.${index + 1}`, offer, json)),
  ];
}

interface MadeMaterial extends Material {
  readonly bytes: () => Buffer;
}

function subsection(id: string, extensions: string, material: MadeMaterial): WebSocketCase[] {
  return SHAPES.map(([length, fragmentBytes], index) => ({
    id: `${id}.${index + 1}`,
    what: `${material.what} of ${length}${fragmentBytes === 0 ? "" : ` in frames of ${fragmentBytes}`}`,
    extensions,
    run: (session) => exchangeAll(session, material, { length, fragmentBytes }),
  }));
}

async function exchangeAll(
  session: WebSocketSession,
  { opcode, bytes }: MadeMaterial,
  { length, fragmentBytes }: { readonly length: number; readonly fragmentBytes: number },
): Promise<Verdict> {
  if (session.terms === undefined) {
    await closeNormally(session);
    return "not offered";
  }
  const source = bytes();
  const count = Math.min(MESSAGES, Math.max(MESSAGES_MIN, Math.ceil(CASE_BYTES / length)));
  for (let sent = 0; sent < count; sent++) {
    const start = (sent * length) % (source.length - length);
    const payload = source.subarray(start, start + length);
    const compressed = await session.compress(payload);
    await sendAll(session, inFragments({ opcode, reserved: COMPRESSED }, compressed, fragmentBytes || Infinity));
    await session.until("an echo", () => session.echoes.length >= 1);
    expectEchoes(session, [{ opcode, payload }]);
    session.echoes.length = 0;
  }
  await closeNormally(session);
  return "passed";
}

function filled(item: (index: number) => string): Buffer {
  let text = "";
  for (let index = 0; text.length < MATERIAL_BYTES; index++) text += item(index);
  return Buffer.from(text);
}

/** The random numbers are the same in every run. */
function bytesOf(byte: (index: number, random: number) => number): Buffer {
  let state = 0x2545f491;
  return Buffer.from(
    Array.from({ length: MATERIAL_BYTES }, (_, index) => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return byte(index, state >>> 8);
    }),
  );
}

function lazily(make: () => Buffer): () => Buffer {
  let bytes: Buffer | undefined;
  return () => (bytes ??= make());
}
