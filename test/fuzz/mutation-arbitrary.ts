/** Random damage to valid streams: what a broken or hostile client sends. */
import fc from "fast-check";

/** Pieces that parsers have been broken with. */
const FRAGMENTS = [
  "\r",
  "\n",
  "\r\n",
  "\r\n\r\n",
  "\0",
  " ",
  "\t",
  "\x0b",
  ":",
  ";",
  ",",
  "0\r\n\r\n",
  "ffffffffffffffff\r\n",
  "Content-Length: 5\r\n",
  "Content-Length: 5, 5\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: gzip\r\n",
  "Connection: close\r\n",
  "Connection: upgrade\r\nUpgrade: h2c\r\n",
  "Expect: 100-continue\r\n",
  "Host: b\r\n",
  " folded\r\n",
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "HTTP/1.0",
  "\x80\xff",
] as const;

type Mutation =
  | { readonly kind: "set"; readonly at: number; readonly byte: number }
  | { readonly kind: "insert"; readonly at: number; readonly text: string }
  | { readonly kind: "remove"; readonly at: number; readonly length: number }
  | { readonly kind: "repeat"; readonly at: number; readonly length: number; readonly times: number };

const at = fc.double({ min: 0, max: 1, noNaN: true });

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ kind: fc.constant("set" as const), at, byte: fc.nat(255) }),
  fc.record({ kind: fc.constant("insert" as const), at, text: fc.constantFrom(...FRAGMENTS) }),
  fc.record({ kind: fc.constant("remove" as const), at, length: fc.integer({ min: 1, max: 40 }) }),
  fc.record({
    kind: fc.constant("repeat" as const),
    at,
    length: fc.integer({ min: 1, max: 60 }),
    times: fc.integer({ min: 1, max: 400 }),
  }),
);

export const mutations = fc.array(mutation, { minLength: 1, maxLength: 6 });

/** Applies the damage, one after the other. */
export function damage(bytes: Buffer, list: readonly Mutation[]): Buffer {
  return list.reduce(apply, bytes);
}

function apply(bytes: Buffer, change: Mutation): Buffer {
  const place = Math.floor(change.at * bytes.length);
  const before = bytes.subarray(0, place);
  const after = bytes.subarray(place);
  if (change.kind === "set") return Buffer.concat([before, Buffer.from([change.byte]), after.subarray(1)]);
  if (change.kind === "insert") return Buffer.concat([before, Buffer.from(change.text, "latin1"), after]);
  if (change.kind === "remove") return Buffer.concat([before, after.subarray(change.length)]);
  const piece = after.subarray(0, change.length);
  return Buffer.concat([before, ...Array.from({ length: change.times }, () => piece), after]);
}
