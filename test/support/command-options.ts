/** The options of a command of this repository: what it was called with, or what it takes. */
import { type ParseArgsConfig, parseArgs } from "node:util";

type Options = NonNullable<ParseArgsConfig["options"]>;
type Parsed<Given extends Options> = ReturnType<typeof parseArgs<{ options: Given }>>["values"];

/** Parses the command line. `--help` prints the usage and ends the process with 0, an option that there is not with 2. */
export function commandOptions<Given extends Options>(options: Given, usage: string): Parsed<Given> {
  if (process.argv.includes("--help")) {
    console.log(usage);
    process.exit(0);
  }
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    process.exit(2);
  }
}
