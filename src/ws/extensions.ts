/** The Sec-WebSocket-Extensions field: RFC 6455, section 9.1. */

/** One extension as it is offered or agreed on. A parameter without a value is `true`. */
export interface Extension {
  readonly name: string;
  readonly parameters: ReadonlyMap<string, string | true>;
  /** Whether a parameter stands there twice, which no extension allows. */
  readonly hasDuplicates: boolean;
}

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
/** A quoted value has to be a token once its quotes are off, so nothing in it is escaped. */
const VALUE = `=[ \\t]*(?:(${TOKEN})|"(${TOKEN})")[ \\t]*`;

/** The extensions that a field lists, in its order. Undefined where the field is malformed. */
export function parseExtensions(field: string | undefined): Extension[] | undefined {
  if (field === undefined) return [];
  const name = new RegExp(`[ \\t]*(${TOKEN})[ \\t]*`, "y");
  const parameter = new RegExp(`;[ \\t]*(${TOKEN})[ \\t]*(?:${VALUE})?`, "y");
  const extensions: Extension[] = [];
  for (let at = 0; ; at += 1) {
    name.lastIndex = at;
    const found = name.exec(field);
    if (found === null) return undefined;
    const parameters = new Map<string, string | true>();
    let hasDuplicates = false;
    at = name.lastIndex;
    for (;;) {
      parameter.lastIndex = at;
      const next = parameter.exec(field);
      if (next === null) break;
      hasDuplicates ||= parameters.has(next[1]!);
      parameters.set(next[1]!, next[2] ?? next[3] ?? true);
      at = parameter.lastIndex;
    }
    extensions.push({ name: found[1]!, parameters, hasDuplicates });
    if (at === field.length) return extensions;
    if (field[at] !== ",") return undefined;
  }
}
