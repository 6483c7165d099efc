/** Path patterns: static text, `:name` for one whole segment, and `*` or `*name` at the end for the rest. */

import { PARAMS_MAX } from "./request-head.js";

/** One part of a pattern, in order. */
export type PatternPart =
  | { readonly kind: "static"; readonly text: string }
  | { readonly kind: "param"; readonly name: string }
  | { readonly kind: "wildcard"; readonly name: string };

/** A pattern that has been read. */
export interface RoutePattern {
  readonly source: string;
  readonly parts: readonly PatternPart[];
  /** Parameter names in order; a wildcard without a name is called `*`. */
  readonly names: readonly string[];
}

/**
 * The parameter names of a pattern, as a type: `PathParams<"/users/:id/*">` is `"id" | "*"`.
 * @experimental
 */
export type PathParams<Path extends string> = string extends Path
  ? string
  : Path extends `${infer Segment}/${infer Rest}`
    ? SegmentParam<Segment> | PathParams<Rest>
    : SegmentParam<Path>;

type SegmentParam<Segment extends string> = Segment extends `:${infer Name}`
  ? Name
  : Segment extends "*"
    ? "*"
    : Segment extends `*${infer Name}`
      ? Name
      : never;

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** What may stand in a static segment: RFC 3986's pchar, percent-encoded octets included. */
const STATIC_SEGMENT = /^(?:[A-Za-z0-9\-._~!$&'()+,;=:@]|%[0-9A-Fa-f]{2})*$/;

/**
 * Reads a pattern. Characters outside RFC 3986's path characters are percent-encoded, so `"/café"` can be written as it is.
 * Throws TypeError for a bad one.
 */
export function parsePattern(source: string): RoutePattern {
  if (typeof source !== "string" || !source.startsWith("/")) {
    throw new TypeError(`Cannot route ${JSON.stringify(source)}: a path pattern starts with "/"`);
  }
  const parts: PatternPart[] = [];
  const names: string[] = [];
  const segments = source.slice(1).split("/");
  let text = "";
  for (const [index, segment] of segments.entries()) {
    text += "/";
    const isParam = segment.startsWith(":");
    if (!isParam && !segment.startsWith("*")) {
      text += staticSegment(source, segment);
      continue;
    }
    const name = segment.slice(1) || (isParam ? "" : "*");
    if (name !== "*" && !NAME.test(name)) throw bad(source, `${JSON.stringify(segment)} is not a parameter name`);
    if (!isParam && index !== segments.length - 1) throw bad(source, "a wildcard stands at the end");
    if (names.includes(name)) throw bad(source, `the parameter ${JSON.stringify(name)} appears twice`);
    if (names.length === PARAMS_MAX) throw bad(source, `at most ${PARAMS_MAX} parameters are allowed`);
    names.push(name);
    parts.push({ kind: "static", text }, { kind: isParam ? "param" : "wildcard", name });
    text = "";
  }
  if (text !== "") parts.push({ kind: "static", text });
  return { source, parts, names };
}

/** Joins a prefix such as `/api` and a path such as `/users`. A path of `/` under a prefix is the prefix itself. */
export function joinPaths(prefix: string, path: string): string {
  if (prefix === "" || prefix === "/") return path;
  const start = prefix.endsWith("/") ? prefix.slice(0, -1) : prefix;
  return path === "/" || path === "" ? start : start + path;
}

function staticSegment(source: string, segment: string): string {
  if (/[?#*]/.test(segment)) throw bad(source, `${JSON.stringify(segment)} holds one of ?, # and *`);
  if (segment.includes(":") && !segment.startsWith(":")) throw bad(source, "a parameter is a whole segment");
  if (STATIC_SEGMENT.test(segment)) return normaliseEscapes(segment);
  return normaliseEscapes(segment.replace(/[^A-Za-z0-9\-._~!$&'()+,;=:@%]/gu, encodeURIComponent));
}

/** Static text is compared with a normalised path, so it is brought to the same form. */
function normaliseEscapes(segment: string): string {
  return segment.replace(/%([0-9A-Fa-f]{2})/g, (escaped, digits: string) => {
    const byte = Number.parseInt(digits, 16);
    return isUnreserved(byte) ? String.fromCharCode(byte) : escaped.toUpperCase();
  });
}

/** Whether RFC 3986, section 2.3, calls the character of this code unreserved: then its escaped form means the same. */
export function isUnreserved(byte: number): boolean {
  const isLetter = (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
  const isDigit = byte >= 0x30 && byte <= 0x39;
  return isLetter || isDigit || byte === 0x2d || byte === 0x2e || byte === 0x5f || byte === 0x7e;
}

function bad(source: string, why: string): TypeError {
  return new TypeError(`Cannot route ${JSON.stringify(source)}: ${why}`);
}
