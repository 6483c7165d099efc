/** Reading `application/x-www-form-urlencoded` queries (URL standard, section 5.1) without making an object of all of them. */

/** The first value of `name` in a query without its question mark, or undefined. */
export function queryValue(query: string, name: string): string | undefined {
  let start = 0;
  while (start < query.length) {
    const end = pairEnd(query, start);
    const equals = query.indexOf("=", start);
    const nameEnd = equals < 0 || equals > end ? end : equals;
    if (decodedEquals(query, start, nameEnd, name))
      return nameEnd === end ? "" : decodeFormText(query.slice(nameEnd + 1, end));
    start = end + 1;
  }
  return undefined;
}

/** Every value of `name`, in order. */
export function queryValues(query: string, name: string): string[] {
  return query === "" ? [] : new URLSearchParams(query).getAll(name);
}

/** All pairs; the last value of a name that repeats wins. */
export function queryRecord(query: string): Record<string, string> {
  const record = Object.create(null) as Record<string, string>;
  for (const [name, value] of new URLSearchParams(query)) record[name] = value;
  return record;
}

function pairEnd(query: string, start: number): number {
  const end = query.indexOf("&", start);
  return end < 0 ? query.length : end;
}

function decodedEquals(query: string, start: number, end: number, name: string): boolean {
  if (start === end) return false;
  const raw = query.slice(start, end);
  return raw === name || ((raw.includes("%") || raw.includes("+")) && decodeFormText(raw) === name);
}

/** Plus signs are spaces; escapes are UTF-8, and what is none stays as the standard says. */
function decodeFormText(text: string): string {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text;
  if (!spaced.includes("%")) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    return new URLSearchParams(`a=${text}`).get("a") ?? "";
  }
}
