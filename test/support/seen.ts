/** What a handler saw of a request, in a form that it can send back and a test can compare. */

/** One request as its handler saw it. Texts hold one character a byte. */
export interface SeenRequest {
  readonly method: string;
  /** The request target as it stood in the request line. */
  readonly target: string;
  /** `"1.0"` or `"1.1"`. */
  readonly version: string;
  /** Names in lower case, in wire order. */
  readonly headers: readonly (readonly [string, string])[];
  readonly trailers: readonly (readonly [string, string])[];
  readonly body: string;
}

/** The answer's header that carries the text of {@link writeSeen} where the answer can have no body (HEAD). */
export const SEEN_HEADER = "x-seen";

/** The text form, plain ASCII. */
export function writeSeen(seen: SeenRequest): string {
  return encodeURIComponent(JSON.stringify(seen));
}

/** The reverse of {@link writeSeen}. */
export function readSeen(text: string): SeenRequest {
  return JSON.parse(decodeURIComponent(text)) as SeenRequest;
}

/** `[name, value, name, value]` as pairs, with names in lower case. */
export function pairsOf(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let index = 0; index + 1 < flat.length; index += 2)
    pairs.push([(flat[index] ?? "").toLowerCase(), flat[index + 1] ?? ""]);
  return pairs;
}
