/** `ringloom dev <module>`: one shard that is replaced when a file of the module changes, and a debugger's way in. */
import { close as closeInspector, url as inspectorUrl, open as openInspector, waitForDebugger } from "node:inspector";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { RingloomError } from "../errors.js";
import { HTTP_LIMIT_OPTIONS, limitsFromOutside } from "../http/limit-options.js";
import { resolveModule } from "../runtime/module.js";
import { RUNTIME_OPTIONS, resolveRuntimeOptions } from "../runtime/options.js";
import { fromShardError, type ShardError } from "../runtime/shard-error.js";
import type { ShardEnd } from "../runtime/shard-thread.js";
import { type ArgumentRules, parseArguments, UsageError } from "./arguments.js";
import {
  DEV_DEFAULTS,
  DEV_OPTIONS,
  type DevOptions,
  devEnvironment,
  resolveDevOptions,
  SERVE_ONLY,
} from "./dev-options.js";
import { type DevEvents, DevServer } from "./dev-server.js";
import { errorText } from "./error-text.js";
import { syntaxPlace } from "./syntax-place.js";
import { paint, plural, type Terminal } from "./terminal.js";

const RULES: ArgumentRules = {
  valued: [
    ...[...Object.values(RUNTIME_OPTIONS), ...Object.values(HTTP_LIMIT_OPTIONS)].map((option) => option.flag),
    DEV_OPTIONS.watchPath.flag,
    DEV_OPTIONS.watchPollMs.flag,
  ].filter((flag) => !SERVE_ONLY.some((name) => RUNTIME_OPTIONS[name].flag === flag)),
  switches: ["help"],
  optional: [DEV_OPTIONS.inspect.flag, DEV_OPTIONS.inspectWait.flag],
  short: { h: "help" },
};

/** Runs the command; resolves with the exit code when somebody has ended it. */
export async function dev(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseArguments(args, RULES);
  const [specifier, extra] = positionals;
  if (specifier === undefined) throw new UsageError("Which module? dev needs one, such as: ringloom dev app.js");
  if (extra !== undefined) throw new UsageError(`Unexpected argument ${extra}: dev takes one module.`);
  let server: DevServer;
  try {
    const sources = { flags: values, environment: devEnvironment(process.env) };
    const devOptions = resolveDevOptions(sources);
    const options = { ...resolveRuntimeOptions({ ...sources, config: DEV_DEFAULTS }), shards: 1 };
    const limits = limitsFromOutside(sources);
    const module = resolveModule(specifier, process.cwd());
    startInspector(devOptions);
    const watchPaths = devOptions.watchPath.split(",").filter((path) => path.trim() !== "");
    server = await DevServer.start(
      {
        module,
        options,
        service: { limits },
        watchPaths: watchPaths.map((path) => resolve(path.trim())),
        pollMs: devOptions.watchPollMs,
      },
      devVoice(terminal),
    );
  } catch (error) {
    closeInspector();
    terminal.error(errorText(error));
    return error instanceof RingloomError && error.code === "ERR_RINGLOOM_INVALID_OPTION" ? 2 : 1;
  }
  introduce(server, terminal);
  const release = obey(server);
  await server.stopped;
  release();
  // Node's exit waits for a debugger to let go, unless its connection is closed.
  closeInspector();
  terminal.out("stopped");
  return 0;
}

function startInspector({ inspect, inspectWait }: DevOptions): void {
  const address = inspectWait === "off" ? inspect : inspectWait;
  if (address === "off" || inspectorUrl() !== undefined) return;
  openInspector(address.port, address.host);
  if (inspectorUrl() === undefined) {
    throw new RingloomError(
      "EADDRINUSE",
      `Cannot open the inspector at ${address.host}:${address.port}: something listens there. Choose another with --inspect=PORT.`,
      { operation: "inspect", details: { ...address } },
    );
  }
  if (inspectWait !== "off") waitForDebugger();
}

/** One line for people, and the one that programs look for, as `serve` prints it. */
function introduce(server: DevServer, terminal: Terminal): void {
  terminal.out(paint(terminal, "dim", `${server.choice.name} driver, 1 shard; r and Enter restarts, Ctrl-C ends`));
  terminal.out(`listening ${server.url}`);
}

/** Obeys signals and the keyboard; returns a function that stops doing so. */
function obey(server: DevServer): () => void {
  const lines = createInterface({ input: process.stdin, terminal: false });
  lines.on("line", (line) => {
    // "rs" is what nodemon taught people.
    if (line.trim() === "r" || line.trim() === "rs") server.restart("r");
  });
  const onSignal = () => void server.stop();
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return () => {
    lines.close();
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  };
}

function devVoice(terminal: Terminal): DevEvents {
  return {
    ready(ms, files) {
      terminal.out(`${paint(terminal, "green", "ready")} in ${Math.round(ms)} ms, ${plural(files, "file")} watched`);
    },
    restarting(why) {
      terminal.out(`${paint(terminal, "cyan", "restart")}: ${why}`);
    },
    failed(end, isReplaced, files) {
      terminal.error(failureText(end));
      if (isSyntaxError(end.error)) {
        void syntaxPlace(files).then((place) => {
          if (place !== undefined) terminal.error(place);
        });
      }
      terminal.error(isReplaced ? "the shard starts again" : "waiting for a change, or r and Enter");
    },
    trouble({ kind, error }) {
      terminal.error(kind === "hook" ? "the ready hook failed" : "a rejection that nobody handled");
      terminal.error(errorText(fromShardError(error, "run")));
    },
    polling(reason) {
      terminal.error(`files are polled, because they cannot be watched: ${reason}`);
    },
  };
}

function isSyntaxError(error: ShardError | undefined): boolean {
  return error !== undefined && (error.name === "SyntaxError" || isSyntaxError(error.cause));
}

function failureText(end: ShardEnd): string {
  if (end.error !== undefined) return errorText(fromShardError(end.error, end.wasReady ? "run" : "start"));
  const when = end.wasReady ? "while it served" : "before it served";
  return `ringloom: the shard ended with exit code ${end.exitCode} ${when}. Does the module call process.exit?`;
}
