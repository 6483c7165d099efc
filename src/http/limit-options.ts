/** The HTTP limits as options of the command line and the environment: `headerTimeoutMs` is `--header-timeout-ms` and `RINGLOOM_HEADER_TIMEOUT_MS`. */
import { integerOption, type OptionDefinition, type OptionSources, resolveOption } from "../runtime/option.js";
import { HTTP_LIMITS, type HttpLimits } from "./limits.js";

/** One definition for each row of {@link HTTP_LIMITS}, by name. */
export const HTTP_LIMIT_OPTIONS: Readonly<Record<string, OptionDefinition<number>>> = Object.fromEntries(
  Object.entries(HTTP_LIMITS).map(([name, limit]) => [
    name,
    integerOption({
      flag: words(name).join("-"),
      environment: [`RINGLOOM_${words(name).join("_").toUpperCase()}`],
      placeholder: "N",
      fallback: limit.fallback,
      fallbackText: String(limit.fallback),
      min: limit.min,
      max: limit.max,
      description: limit.description,
    }),
  ]),
);

/**
 * The limits that the command line or the environment set, and no others, so that those of the module keep their place between
 * them and the defaults. Throws `ERR_RINGLOOM_INVALID_OPTION`.
 */
export function limitsFromOutside(sources: Omit<OptionSources, "config">): Partial<HttpLimits> {
  const limits: Record<string, number> = {};
  for (const [name, definition] of Object.entries(HTTP_LIMIT_OPTIONS)) {
    const isSet =
      sources.flags?.[definition.flag] !== undefined ||
      definition.environment.some((variable) => (sources.environment?.[variable] ?? "") !== "");
    if (isSet) limits[name] = resolveOption(name, definition, sources);
  }
  return limits;
}

/** `headerTimeoutMs` → header, timeout, ms. */
function words(name: string): string[] {
  return name.split(/(?=[A-Z])/).map((word) => word.toLowerCase());
}
