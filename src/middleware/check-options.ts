import { RingloomError } from "../errors.js";

/** Throws `ERR_RINGLOOM_INVALID_OPTION` when `options` is no object or has a name that is none of `known`. */
export function checkOptions(subject: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== "object" || options === null)
    throw new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot use ${subject}: its options are ${String(options)}`);
  for (const name of Object.keys(options)) {
    if (!known.includes(name))
      throw invalidOption(subject, name, `there is no such option; there are ${known.join(", ")}`);
  }
}

/** The error of an option with a value that it cannot have. */
export function invalidOption(subject: string, option: string, why: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot use ${subject}: option ${option}: ${why}`, {
    operation: subject,
    details: { option },
  });
}

/** A whole number of at least `min`, or the fallback when there is none. */
export function wholeNumber(
  subject: string,
  entry: {
    readonly option: string;
    readonly value: number | undefined;
    readonly fallback: number;
    readonly min: number;
  },
): number {
  const { option, value = entry.fallback, min } = entry;
  if (!Number.isSafeInteger(value) || value < min)
    throw invalidOption(subject, option, `${String(value)} is no whole number of at least ${min}`);
  return value;
}
