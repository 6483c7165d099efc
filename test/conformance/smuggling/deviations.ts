/** What the server accepts although the grammar does not, and why no body can hide in it. What no rule here explains fails `npm run conformance`. */

interface Deviation {
  readonly reason: string;
  readonly names: readonly RegExp[];
}

const DEVIATIONS: readonly Deviation[] = [
  {
    reason:
      "llhttp reads a chunk's extension up to its CR LF without asking for a name, for a value or for printable characters in quotes; the size in front of it and the line end are what everybody reads",
    names: [/^chunk-size: "[0-9a-f]+;(=b|a=)"$/, /^chunk-byte: 0x7f in a quoted extension$/],
  },
  {
    reason:
      "llhttp passes over a CR or LF alone in front of a request line, as over the empty line of RFC 9112, section 2.2; the message before it has ended by then",
    names: [/^request-line: "\\[nr]POST/, /^chunk-end: "\\r\\n\\n" behind the last chunk$/],
  },
];

/** Why a mutation with that name may be accepted; undefined where nothing explains it. */
export function deviationOf(name: string): string | undefined {
  return DEVIATIONS.find(({ names }) => names.some((pattern) => pattern.test(name)))?.reason;
}
