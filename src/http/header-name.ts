/** RFC 9110, section 5.6.2: token. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Checked names in lower case. A program uses a few dozen; one that makes names up at run time pays for checking them. */
const NAMES_MAX = 512;
const names = new Map<string, string>();

/** A header's name in lower case. Throws a TypeError for what is no token. */
export function lowerHeaderName(name: string): string {
  return names.get(name) ?? checkedName(name);
}

function checkedName(name: unknown): string {
  const text = String(name);
  if (!TOKEN.test(text)) throw new TypeError(`Cannot use a header: ${JSON.stringify(text)} is no valid name`);
  const lowerName = text.toLowerCase();
  if (names.size === NAMES_MAX) names.clear();
  names.set(text, lowerName);
  return lowerName;
}
