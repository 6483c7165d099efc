/** The errors of `ringloom/dns`. */
import { RingloomError } from "../errors.js";

/** The code that Node's resolver gave an error: `ENOTFOUND`, `ESERVFAIL`, `ETIMEOUT`. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "string" ? code : "ESERVFAIL";
}

/** Whether a code says that there is nothing, and not that nobody could be asked. */
export function saysNothing(code: string): boolean {
  return code === "ENOTFOUND" || code === "ENODATA";
}

/** A name that could not be resolved. */
export function lookupFailed(name: string, code: string, cause?: unknown): RingloomError {
  const text = WORDS[code] ?? code;
  return new RingloomError(code, `Cannot look up ${name}: ${text}`, { operation: "lookup", details: { name }, cause });
}

/** The resolver does not ask any more. */
export function closed(name: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", `Cannot look up ${name}: the resolver is closed`, {
    operation: "lookup",
    details: { name },
  });
}

/** Too many questions are open. */
export function overloaded(name: string, queriesMax: number): RingloomError {
  return new RingloomError(
    "ERR_RINGLOOM_OVERLOADED",
    `Cannot look up ${name}: ${queriesMax} questions wait for their answers already`,
    { operation: "lookup", details: { name, queriesMax } },
  );
}

const WORDS: Readonly<Record<string, string>> = {
  ENOTFOUND: "there is no such name (ENOTFOUND)",
  ENODATA: "the name has no address of that kind (ENODATA)",
  ETIMEOUT: "no name server answered in time (ETIMEOUT)",
  ESERVFAIL: "the name server failed (ESERVFAIL)",
  EREFUSED: "the name server refused to answer (EREFUSED)",
  ECONNREFUSED: "no name server could be reached (ECONNREFUSED)",
  EBADNAME: "it is no valid name (EBADNAME)",
};
