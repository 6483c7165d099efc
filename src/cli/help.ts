/** The texts of `--help`, made from the same tables that the options are resolved by. */
import { HTTP_LIMIT_OPTIONS } from "../http/limit-options.js";
import type { OptionDefinition } from "../runtime/option.js";
import { RUNTIME_OPTIONS } from "../runtime/options.js";
import { DEV_DEFAULTS, DEV_OPTIONS, SERVE_ONLY } from "./dev-options.js";
import { paint, type Terminal } from "./terminal.js";

/** `ringloom --help`. */
export function generalHelp(terminal: Terminal): string {
  return [
    "Usage: ringloom <command> [options]",
    "",
    heading(terminal, "Commands"),
    "  serve <module>  Serve a module's default export on every core",
    "  dev <module>    Serve it on one shard, again after each change, with a debugger's way in",
    "  doctor          Say which driver this machine gets, why, and what to change",
    "  build-addon     Compile the native part, which the uring and epoll drivers need",
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
  if (command === "serve") return serveHelp(terminal);
  if (command === "build-addon") return buildAddonHelp(terminal);
  return command === "dev" ? devHelp(terminal) : doctorHelp(terminal);
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

function devHelp(terminal: Terminal): string {
  return [
    "Usage: ringloom dev <module> [options]",
    "",
    "Serves the module's default export on one shard, and loads it again when a file changes that it consists of. The port stays open:",
    "requests wait meanwhile. r and Enter loads it again too, Ctrl-C ends. Stacks point to the sources that source maps name.",
    "",
    heading(terminal, "Options"),
    ...Object.values(DEV_OPTIONS).flatMap(describe),
    "",
    heading(terminal, "Options and limits of serve"),
    '  See "ringloom serve --help"; all but --json and these, which mean nothing with one shard that is replaced after each change:',
    ...chunk(SERVE_ONLY.map((name) => `--${RUNTIME_OPTIONS[name].flag}`)).map((flags) => `    ${flags.join(" ")}`),
    `  --${RUNTIME_OPTIONS.drainMs.flag} is ${DEV_DEFAULTS.drainMs} and --${RUNTIME_OPTIONS.drainGraceMs.flag} ${DEV_DEFAULTS.drainGraceMs} here, --${RUNTIME_OPTIONS.sourceMaps.flag} ${DEV_DEFAULTS.sourceMaps}.`,
    "",
    heading(terminal, "Exit codes"),
    "  0 somebody ended it   1 it could not start   2 wrong options",
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

function buildAddonHelp(terminal: Terminal): string {
  return [
    "Usage: ringloom build-addon [--force]",
    "",
    "Compiles the C sources of this package into its folder. Installing the package runs no script, so without this the portable driver",
    'serves. It needs Linux, a C compiler (Debian: "apt-get install gcc libc6-dev") and node_api.h, which comes with Node or with the',
    "package node-api-headers.",
    "",
    heading(terminal, "Options"),
    "  --force",
    "      Compile again, even if what is there is newer than the sources.",
    "",
    heading(terminal, "Exit codes"),
    "  0 the addon is there and loads   1 it is not, and the message says why   2 wrong options",
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

/** Lines of so many flags as a terminal is wide. */
function chunk(flags: readonly string[]): string[][] {
  const perLine = 6;
  const lines: string[][] = [];
  for (let index = 0; index < flags.length; index += perLine) lines.push(flags.slice(index, index + perLine));
  return lines;
}
