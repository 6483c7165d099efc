/** Reading a command line: options with values, flags without, and clear errors for what is neither. */
import { parseArgs } from "node:util";

/** A command line that cannot be understood. The program prints it with a hint and exits with code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  /** What to try instead; empty when there is nothing close. */
  readonly hint: string;

  constructor(message: string, hint = "") {
    super(message);
    this.hint = hint;
  }
}

/** What a command accepts. */
export interface ArgumentRules {
  /** Names of options that take a value. */
  readonly valued: readonly string[];
  /** Names of options that do not. */
  readonly switches: readonly string[];
  /** Names of options whose value may be left out; where there is one, it follows after `=`. Without it the value is the empty text. */
  readonly optional?: readonly string[];
  /** Short forms, by letter. */
  readonly short?: Readonly<Record<string, string>>;
}

/** What a command line says. */
export interface Arguments {
  readonly values: Readonly<Record<string, string | undefined>>;
  readonly switches: ReadonlySet<string>;
  readonly positionals: readonly string[];
}

/**
 * Parses `args` by `rules`. A value follows after `=` or as the next argument; after `--` everything is positional.
 * Throws {@link UsageError} for an unknown option (with the nearest name), a missing value, a needless one, or an option given twice.
 */
export function parseArguments(args: readonly string[], rules: ArgumentRules): Arguments {
  const { short = {}, optional = [] } = rules;
  const options: Record<string, { type: "string" | "boolean"; short?: string }> = {};
  for (const name of rules.valued) options[name] = { type: "string" };
  for (const name of rules.switches) options[name] = { type: "boolean" };
  for (const [letter, name] of Object.entries(short)) {
    const option = options[name];
    if (option !== undefined) option.short = letter;
  }
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true });
  const values: Record<string, string> = {};
  const switches = new Set<string>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const { name, rawName, value } = token;
    if (rules.switches.includes(name)) {
      if (value !== undefined) throw new UsageError(`${rawName} takes no value.`);
      switches.add(name);
    } else if (optional.includes(name)) {
      if (values[name] !== undefined) throw new UsageError(`${rawName} is given twice.`);
      values[name] = value ?? "";
    } else if (rules.valued.includes(name)) {
      if (value === undefined || (value.startsWith("--") && !token.inlineValue)) {
        throw new UsageError(`${rawName} needs a value.`);
      }
      if (values[name] !== undefined) throw new UsageError(`${rawName} is given twice.`);
      values[name] = value;
    } else {
      const close = nearest(name, [...rules.valued, ...rules.switches, ...optional]);
      throw new UsageError(`Unknown option ${rawName}.`, close === undefined ? "" : `Did you mean --${close}?`);
    }
  }
  return { values, switches, positionals };
}

/** The candidate that is closest to `word`, if any is close enough to be a slip of the fingers. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const distanceMax = Math.max(1, Math.floor(word.length / 3));
  let best: { candidate: string; distance: number } | undefined;
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate);
    if (distance <= distanceMax && (best === undefined || distance < best.distance)) best = { candidate, distance };
  }
  return best?.candidate;
}

/** The fewest insertions, deletions, replacements and swaps of neighbours that turn one word into the other (optimal string alignment). */
function editDistance(left: string, right: string): number {
  const rows: number[][] = [Array.from({ length: right.length + 1 }, (_, column) => column)];
  const at = (row: number, column: number) => rows[row]?.[column] ?? Number.POSITIVE_INFINITY;
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    rows.push(current);
    for (let column = 1; column <= right.length; column++) {
      const isSame = left[row - 1] === right[column - 1];
      const isSwap = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      current.push(
        Math.min(
          at(row - 1, column - 1) + (isSame ? 0 : 1),
          at(row - 1, column) + 1,
          at(row, column - 1) + 1,
          isSwap ? at(row - 2, column - 2) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
  }
  return at(left.length, right.length);
}
