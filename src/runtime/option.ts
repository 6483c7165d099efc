/**
 * One option: what it is called on the command line and in the environment, what it may be, and how a value is checked. Tables of
 * these definitions are the single source of the command line's help, of docs/configuration.md and of every error message.
 */
import { RingloomError } from "../errors.js";

/** Definition of one option of type `Value`. */
export interface OptionDefinition<Value> {
  /** Its long form on the command line, without the dashes. */
  readonly flag: string;
  /** Environment variables that set it, the stronger one first. */
  readonly environment: readonly string[];
  /** What stands for the value in help: `N`, `HOST`. */
  readonly placeholder: string;
  /** Used when nobody sets it. */
  readonly fallback: Value;
  /** The same for people: `1 per allowed CPU`. */
  readonly fallbackText: string;
  /** What is allowed, as the end of "… is allowed: ": `a whole number from 0 to 65535`. */
  readonly allowed: string;
  /** One sentence for help and the reference. */
  readonly description: string;
  /** Turns text (flag, environment) or a value from code into the option; undefined when it is not allowed. */
  readonly parse: (value: unknown) => Value | undefined;
}

/** Where values can come from, the strongest first. */
export interface OptionSources {
  /** From the command line, by flag name. */
  readonly flags?: Readonly<Record<string, string | undefined>>;
  /** Usually `process.env`. An empty variable counts as not set. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** From code, by option name. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** The fields of a definition that say who it is and what it defaults to. */
type Identity<Value> = Omit<OptionDefinition<Value>, "allowed" | "parse">;

/**
 * The value of one option: command line, else environment, else code, else the default.
 * Throws `ERR_RINGLOOM_INVALID_OPTION` naming the option, the value and what is allowed.
 */
export function resolveOption<Value>(name: string, definition: OptionDefinition<Value>, sources: OptionSources): Value {
  const flag = sources.flags?.[definition.flag];
  if (flag !== undefined) return parseOption(definition, `--${definition.flag}`, flag);
  for (const variable of definition.environment) {
    const text = sources.environment?.[variable];
    if (text !== undefined && text !== "") return parseOption(definition, variable, text);
  }
  const value = sources.config?.[name];
  return value === undefined ? definition.fallback : parseOption(definition, name, value);
}

/** Rejects names in `config` that no option has, so that a spelling mistake is not silently ignored. */
export function rejectUnknownOptions(config: object, names: readonly string[]): void {
  for (const name of Object.keys(config)) {
    if (names.includes(name)) continue;
    throw new RingloomError(
      "ERR_RINGLOOM_INVALID_OPTION",
      `Unknown option "${name}"; known are: ${names.join(", ")}.`,
      {
        operation: "configure",
        details: { option: name },
      },
    );
  }
}

/** An option that is a whole number from `min` to `max`, both allowed, and satisfies `extra` where one is given. */
export function integerOption(
  identity: Identity<number> & { min: number; max: number; extra?: { test: (value: number) => boolean; text: string } },
): OptionDefinition<number> {
  const { min, max, extra, ...rest } = identity;
  const allowed = `a whole number from ${min} to ${max}${extra === undefined ? "" : `, ${extra.text}`}`;
  return {
    ...rest,
    allowed,
    parse(value) {
      const number = parseInteger(value, min, max);
      return number !== undefined && (extra === undefined || extra.test(number)) ? number : undefined;
    },
  };
}

/** The same, or the word `auto`. */
export function integerOrAutoOption(
  identity: Identity<number | "auto"> & { min: number; max: number },
): OptionDefinition<number | "auto"> {
  return integerOrWordOption("auto", identity);
}

/** The same, or another word. */
export function integerOrWordOption<const Word extends string>(
  word: Word,
  identity: Identity<number | Word> & { min: number; max: number },
): OptionDefinition<number | Word> {
  const { min, max, ...rest } = identity;
  return {
    ...rest,
    allowed: `${word}, or a whole number from ${min} to ${max}`,
    parse: (value) => (value === word ? word : parseInteger(value, min, max)),
  };
}

/** An option that is one of a few words. */
export function choiceOption<const Choice extends string>(
  identity: Identity<Choice> & { choices: readonly Choice[] },
): OptionDefinition<Choice> {
  const { choices, ...rest } = identity;
  return { ...rest, allowed: listWords(choices), parse: (value) => choices.find((choice) => choice === value) };
}

/** An option that is any text but the empty one. */
export function textOption(identity: Identity<string> & { allowed: string }): OptionDefinition<string> {
  return { ...identity, parse: (value) => (typeof value === "string" && value.trim() !== "" ? value : undefined) };
}

/** A whole number from `min` to `max` out of a number or plain decimal digits; undefined for anything else. */
export function parseInteger(value: unknown, min: number, max: number): number | undefined {
  const isDecimal = typeof value === "string" && /^[0-9]{1,15}$/.test(value.trim());
  const number = isDecimal ? Number(value) : value;
  return typeof number === "number" && Number.isInteger(number) && number >= min && number <= max ? number : undefined;
}

function parseOption<Value>(definition: OptionDefinition<Value>, source: string, value: unknown): Value {
  const parsed = definition.parse(value);
  if (parsed !== undefined) return parsed;
  throw new RingloomError(
    "ERR_RINGLOOM_INVALID_OPTION",
    `Invalid value for ${source}: ${show(value)}. Allowed is ${definition.allowed}.`,
    { operation: "configure", details: { option: source, value, allowed: definition.allowed } },
  );
}

function show(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

function listWords(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words[words.length - 1]}`;
}
