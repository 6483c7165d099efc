/** `ringloom build-addon`: compiles the native addon of an installed package, which runs no script when it is installed. */
import { loadNative, nativeProblem } from "../native.js";
import { parseArguments, UsageError } from "./arguments.js";
import type { Terminal } from "./terminal.js";

/** What `scripts/build-native.js` of the package offers. */
interface BuildScript {
  buildNative(options: { readonly force: boolean }): {
    readonly state: "built" | "current" | "checked" | "skipped" | "failed";
    readonly message: string;
  };
}

/** Runs the command; resolves with the exit code. */
export async function buildAddon(args: readonly string[], terminal: Terminal): Promise<number> {
  const { switches, positionals } = parseArguments(args, {
    valued: [],
    switches: ["force", "help"],
    short: { h: "help" },
  });
  if (positionals[0] !== undefined)
    throw new UsageError(`Unexpected argument ${positionals[0]}: build-addon takes none.`);
  const outcome = await build(switches.has("force"));
  const isThere = outcome.state === "built" || outcome.state === "current";
  const problem = isThere && loadNative() === undefined ? nativeProblem() : undefined;
  if (isThere && problem === undefined) {
    terminal.out(outcome.message);
    return 0;
  }
  terminal.error(problem === undefined ? outcome.message : `${outcome.message}, but ${problem}`);
  return 1;
}

async function build(force: boolean): Promise<ReturnType<BuildScript["buildNative"]>> {
  // dist/src/cli/build-addon.js: the package's folder is three levels up. The script is part of the package, and of no compilation.
  const folder = new URL("../../../", import.meta.url);
  const script = new URL("scripts/build-native.js", folder);
  const { buildNative } = (await import(script.href)) as BuildScript;
  try {
    return buildNative({ force });
  } catch (error) {
    // The folder of the package belongs to somebody else, as a rule.
    return { state: "failed", message: `addon: not built, ${error instanceof Error ? error.message : String(error)}` };
  }
}
