/** The command line: finds the command, prints help and versions, turns errors into messages and exit codes. */
import { readFileSync } from "node:fs";
import { nearest, UsageError } from "./arguments.js";
import { buildAddon } from "./build-addon.js";
import { dev } from "./dev.js";
import { doctor } from "./doctor.js";
import { commandHelp, generalHelp } from "./help.js";
import { serve } from "./serve.js";
import { systemTerminal, type Terminal } from "./terminal.js";

/** Exit codes of the command line. */
export const EXIT = {
  /** All went well; after `serve`, every accepted request was answered. */
  ok: 0,
  /** Something failed while running: the port, the module, a hook, or a stop that had to cut connections. A spent restart budget is 3: see `StopReport.exitCode`. */
  failure: 1,
  /** The command line or an option is wrong. */
  usage: 2,
} as const;

const COMMANDS: Readonly<Record<string, (args: readonly string[], terminal: Terminal) => Promise<number>>> = {
  serve,
  dev,
  doctor,
  "build-addon": buildAddon,
};

/**
 * Runs the command line `args` (without the program) and resolves with the exit code.
 * @internal
 */
export async function runCommandLine(args: readonly string[], terminal: Terminal = systemTerminal()): Promise<number> {
  try {
    return await dispatch(args, terminal);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    terminal.error(`ringloom: ${error.message}${error.hint === "" ? "" : ` ${error.hint}`}`);
    const command = args[0] !== undefined && Object.hasOwn(COMMANDS, args[0]) ? ` ${args[0]}` : "";
    terminal.error(`Run "ringloom${command} --help" for what there is.`);
    return EXIT.usage;
  }
}

async function dispatch(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined) {
    terminal.error(generalHelp(terminal));
    return EXIT.usage;
  }
  if (name === "--help" || name === "-h" || name === "help") {
    const topic = name === "help" ? rest[0] : undefined;
    terminal.out(topic === undefined ? generalHelp(terminal) : helpFor(topic, terminal));
    return EXIT.ok;
  }
  if (name === "--version" || name === "-v") {
    terminal.out(`ringloom ${packageVersion()}`);
    return EXIT.ok;
  }
  const command = commandNamed(name);
  const end = rest.indexOf("--");
  const before = end < 0 ? rest : rest.slice(0, end);
  if (before.includes("--help") || before.includes("-h")) {
    terminal.out(helpFor(name, terminal));
    return EXIT.ok;
  }
  return command(rest, terminal);
}

function commandNamed(name: string): (args: readonly string[], terminal: Terminal) => Promise<number> {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command !== undefined) return command;
  const close = nearest(name, Object.keys(COMMANDS));
  const what = name.startsWith("-") ? "option" : "command";
  const looksLikeModule = /\.[cm]?[jt]s$/.test(name);
  const hint = looksLikeModule
    ? `Did you mean "ringloom serve ${name}"?`
    : close === undefined
      ? ""
      : `Did you mean "${close}"?`;
  throw new UsageError(`Unknown ${what} ${name}.`, hint);
}

function helpFor(name: string, terminal: Terminal): string {
  commandNamed(name);
  return commandHelp(name, terminal);
}

/** The version of this package. */
export function packageVersion(): string {
  // dist/src/cli/main.js: the package's folder is three levels up.
  const text = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  const parsed: unknown = JSON.parse(text);
  return typeof parsed === "object" && parsed !== null && "version" in parsed ? String(parsed.version) : "unknown";
}
