/** Random HTTP/1.1 requests, as bytes beside what their handler must see. */
import fc from "fast-check";
import type { SeenRequest } from "../support/seen.js";

export interface GeneratedRequest {
  readonly bytes: Buffer;
  readonly seen: SeenRequest;
}

const TOKEN_CHARACTERS = [..."!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"];
const PATH_CHARACTERS = [..."abcxyzABCXYZ0189-._~!$&'()*+,;=:@/|\"[]{}^`\\"];
/** Fields that change the framing or the life of the connection are put in by the generator, not by chance. */
const FRAMING_FIELDS = new Set([
  "host",
  "connection",
  "content-length",
  "transfer-encoding",
  "expect",
  "upgrade",
  "proxy-connection",
]);

const method = fc.constantFrom(
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
  "REPORT",
  "PURGE",
  "M-SEARCH",
);
const bodyText = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
const pathText = fc.array(
  fc.oneof(fc.constantFrom(...PATH_CHARACTERS), fc.constantFrom("%20", "%2F", "%c3%A9", "//", "..")),
  {
    maxLength: 30,
  },
);
const queryText = fc.option(fc.array(fc.constantFrom(...PATH_CHARACTERS, "?", "=", "&"), { maxLength: 20 }), {
  nil: undefined,
});

const target = fc
  .tuple(fc.constantFrom("", "", "", "http://b.example:81"), pathText, queryText)
  .map(([origin, path, query]) => {
    const tail = query === undefined ? "" : `?${query.join("")}`;
    return `${origin}/${path.join("")}${tail}`;
  });

const fieldName = fc
  .array(fc.constantFrom(...TOKEN_CHARACTERS), { minLength: 1, maxLength: 20 })
  .map((characters) => characters.join(""))
  .filter((name) => !FRAMING_FIELDS.has(name.toLowerCase()));

/** Visible ASCII and obs-text, with white space within but not around. */
const fieldValue = fc
  .array(fc.oneof(fc.integer({ min: 0x20, max: 0x7e }), fc.integer({ min: 0x80, max: 0xff }), fc.constant(0x09)), {
    maxLength: 40,
  })
  .map((codes) => String.fromCharCode(...codes).replace(/^[ \t]+|[ \t]+$/g, ""));

const padding = fc.constantFrom("", " ", " ", "\t", "  \t ");
const field = fc.record({ name: fieldName, value: fieldValue, before: padding, after: padding });
const fields = fc.array(field, { maxLength: 12 });

const chunk = fc.record({
  data: fc.uint8Array({ minLength: 1, maxLength: 120 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
  extension: fc.constantFrom("", "", "", ";a", ";a=b", ';q="x;\\"y"'),
  isUpperCase: fc.boolean(),
  zeros: fc.constantFrom("", "", "0", "000"),
});

type Body =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly text: string }
  | { readonly kind: "chunked"; readonly chunks: readonly Chunk[]; readonly trailers: readonly Field[] };
type Chunk = {
  readonly data: string;
  readonly extension: string;
  readonly isUpperCase: boolean;
  readonly zeros: string;
};
type Field = { readonly name: string; readonly value: string; readonly before: string; readonly after: string };

const body: fc.Arbitrary<Body> = fc.oneof(
  fc.constant({ kind: "none" } as const),
  fc.record({ kind: fc.constant("length" as const), text: bodyText }),
  fc.record({
    kind: fc.constant("chunked" as const),
    chunks: fc.array(chunk, { maxLength: 5 }),
    trailers: fc.array(field, { maxLength: 3 }),
  }),
);

interface RequestParts {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly Field[];
  /** How many fields come before Host. */
  readonly hostPlace: number;
  readonly body: Body;
  /** Empty lines before the request line. */
  readonly emptyLines: string;
}

const anyParts: fc.Arbitrary<RequestParts> = fc.record({
  method,
  target,
  fields,
  hostPlace: fc.nat(12),
  body,
  emptyLines: fc.constantFrom("", "", "", "\r\n", "\r\n\r\n"),
});

/** What most requests are: a short GET. A server may have a shorter way for them. */
const plainParts: fc.Arbitrary<RequestParts> = fc.record({
  method: fc.constant("GET"),
  target: fc.constantFrom("/", "/hello/ada", "/a/b?c=d&e", "/%41%2f"),
  fields: fc.array(
    fc.record({
      name: fc.constantFrom("Accept", "User-Agent", "X", "Cookie", "If-None-Match"),
      value: fc.constantFrom("*/*", "curl/8.0 (x; y)", 'a="b"; c', "1", ""),
      before: fc.constantFrom(" ", "", "\t"),
      after: fc.constantFrom("", "", " "),
    }),
    { maxLength: 3 },
  ),
  hostPlace: fc.nat(3),
  body: fc.constant({ kind: "none" } as const),
  emptyLines: fc.constant(""),
});

/** One request that keeps its connection open. */
export const request: fc.Arbitrary<GeneratedRequest> = fc.oneof(anyParts, plainParts).map(assemble);

function assemble(parts: RequestParts): GeneratedRequest {
  const lines = parts.fields.map(asLine);
  const pairs = parts.fields.map(asPair);
  const place = Math.min(parts.hostPlace, lines.length);
  lines.splice(place, 0, "Host: a.example");
  pairs.splice(place, 0, ["host", "a.example"]);
  const framing = framingOf(parts.body);
  const framingLines = framing.map(([name, value]) => `${name}: ${value}`);
  const head = [`${parts.method} ${parts.target} HTTP/1.1`, ...lines, ...framingLines].join("\r\n");
  const text = `${parts.emptyLines}${head}\r\n\r\n${encodeBody(parts.body)}`;
  const seen: SeenRequest = {
    method: parts.method,
    target: parts.target,
    version: "1.1",
    headers: [...pairs, ...framing],
    trailers: parts.body.kind === "chunked" ? parts.body.trailers.map(asPair) : [],
    body: bodyOf(parts.body),
  };
  return { bytes: Buffer.from(text, "latin1"), seen };
}

/** Where to cut a stream: fractions of its length, so that they shrink with it. */
export const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });

/** Cuts `bytes` at the given fractions of its length. */
export function cutAt(bytes: Buffer, fractions: readonly number[]): Buffer[] {
  const places = [...new Set(fractions.map((fraction) => Math.floor(fraction * bytes.length)))].sort(
    (left, right) => left - right,
  );
  const pieces: Buffer[] = [];
  let from = 0;
  for (const to of [...places, bytes.length]) {
    if (to > from) pieces.push(bytes.subarray(from, to));
    from = to;
  }
  return pieces;
}

function asLine({ name, value, before, after }: Field): string {
  return `${name}:${before}${value}${after}`;
}

function asPair({ name, value }: Field): [string, string] {
  return [name.toLowerCase(), value];
}

function framingOf(from: Body): [string, string][] {
  if (from.kind === "none") return [];
  return from.kind === "length" ? [["content-length", String(from.text.length)]] : [["transfer-encoding", "chunked"]];
}

function bodyOf(from: Body): string {
  if (from.kind === "none") return "";
  return from.kind === "length" ? from.text : from.chunks.map(({ data }) => data).join("");
}

function encodeBody(from: Body): string {
  if (from.kind !== "chunked") return bodyOf(from);
  const chunks = from.chunks.map(({ data, extension, isUpperCase, zeros }) => {
    const size = data.length.toString(16);
    return `${zeros}${isUpperCase ? size.toUpperCase() : size}${extension}\r\n${data}\r\n`;
  });
  return `${chunks.join("")}0\r\n${from.trailers.map((trailer) => `${asLine(trailer)}\r\n`).join("")}\r\n`;
}
