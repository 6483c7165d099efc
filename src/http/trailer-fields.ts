import type { HttpLimits } from "./limits.js";

/** The trailer section of one chunked request, put together from pieces. It is rare, so it is text at once. */
export class TrailerFields {
  readonly #fieldsMax: number;
  readonly #bytesMax: number;
  /** Flat, name after value. */
  readonly #fields: string[] = [];
  #bytes = 0;
  #lastIsValue = true;

  constructor(limits: Pick<HttpLimits, "headersMax" | "headerBytesMax">) {
    this.#fieldsMax = limits.headersMax;
    this.#bytesMax = limits.headerBytesMax;
  }

  /** Adds a piece of a name or a value. Returns false when there are too many, or too long ones. */
  add(isValue: boolean, bytes: Buffer, offset: number, length: number): boolean {
    this.#bytes += length;
    if (this.#bytes > this.#bytesMax) return false;
    const text = bytes.latin1Slice(offset, offset + length);
    if (isValue === this.#lastIsValue && this.#fields.length > 0) {
      this.#fields.push((this.#fields.pop() ?? "") + text);
    } else {
      if (!isValue && this.#fields.length === this.#fieldsMax * 2) return false;
      this.#fields.push(text);
    }
    this.#lastIsValue = isValue;
    return true;
  }

  /** All fields, flat, name after value, values without surrounding whitespace. */
  list(): readonly string[] {
    return this.#fields.map((text, index) => (index % 2 === 0 ? text : trimEnd(text)));
  }
}

/** Without spaces and tabs at the end; `trim` would also take 0xa0, which is data. llhttp has skipped those at the start. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === " " || text[end - 1] === "\t")) end -= 1;
  return text.slice(0, end);
}
