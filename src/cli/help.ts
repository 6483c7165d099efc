/** The texts of `--help`, made from the same tables that the options are resolved by. */
import { HTTP_LIMIT_OPTIONS } from "../http/limit-options.js";
import type { OptionDefinition } from "../runtime/option.js";
import { RUNTIME_OPTIONS } from "../runtime/options.js";
import { paint, type Terminal } from "./terminal.js";

/** `ringloom --help`. */
export function generalHelp(terminal: Terminal): string {
  return [
    "Usage: ringloom <command> [options]",
    "",
    heading(terminal, "Commands"),
    "  serve <module>  Serve a module's default export on every core",
    "  doctor          Say which driver this machine gets, why, and what to change",
    "",
    heading(terminal, "Options"),
    "  -h, --help      This text; with a command, that command's",
    "  -v, --version   The version",
    "",
    heading(terminal, "Exit codes"),
    "  0 all went well   1 something failed while running   2 the command line or an option is wrong",
  ].join("\n");
}

/** `ringloom <command> --help`. */
export function commandHelp(command: string, terminal: Terminal): string {
  return command === "serve" ? serveHelp(terminal) : doctorHelp(terminal);
}

function serveHelp(terminal: Terminal): string {
  return [
    "Usage: ringloom serve <module> [options]",
    "",
    "Serves the module's default export, an App or an object with a fetch method, on every allowed CPU.",
    "SIGTERM or SIGINT stops in order: no new connections, begun requests are answered; a second signal cuts.",
    "SIGHUP restarts the shards one after the other, with the module as it is now, and loses no request.",
    "A variable in parentheses sets the same; the option is stronger.",
    "",
    heading(terminal, "Options"),
    ...Object.values(RUNTIME_OPTIONS).flatMap(describe),
    "  --json",
    "      Print one JSON object per line instead of text.",
    "",
    heading(terminal, "Limits"),
    ...Object.values(HTTP_LIMIT_OPTIONS).flatMap(describe),
    "",
    heading(terminal, "Exit codes"),
    "  0 every shard drained   1 the start failed, or the stop cut something   2 wrong options",
    "  3 shards died more often than --restarts-max allows",
  ].join("\n");
}

function doctorHelp(terminal: Terminal): string {
  return [
    "Usage: ringloom doctor [--json]",
    "",
    "Looks at the kernel, io_uring, seccomp, limits, control groups, the compiler and the addon, and says which",
    "driver serves here, for which reason, and what to change.",
    "",
    heading(terminal, "Options"),
    "  --json",
    "      Print one JSON object instead of text.",
    "",
    heading(terminal, "Exit codes"),
    "  0 servers run here, on whichever driver   1 the driver in RINGLOOM_DRIVER cannot run   2 wrong options",
  ].join("\n");
}

function describe(definition: OptionDefinition<unknown>): string[] {
  const variables = definition.environment.join(", ");
  return [
    `  --${definition.flag} ${definition.placeholder}  (${variables})`,
    `      ${definition.description} Default: ${definition.fallbackText}.`,
  ];
}

function heading(terminal: Terminal, text: string): string {
  return paint(terminal, "bold", `${text}:`);
}
