/** `ringloom serve <module>`: starts the supervisor, prints where it listens, and waits until it has stopped. */

import { RingloomError } from "../errors.js";
import { HTTP_LIMIT_OPTIONS, limitsFromOutside } from "../http/limit-options.js";
import { SHARD_MAIN } from "../http/serve-module.js";
import { raiseInliningBudget } from "../runtime/inlining.js";
import { resolveModule } from "../runtime/module.js";
import { RUNTIME_OPTIONS, resolveRuntimeOptions } from "../runtime/options.js";
import type { StopReport } from "../runtime/shard-group.js";
import { fromShardError } from "../runtime/shard-protocol.js";
import type { ShardEnd } from "../runtime/shard-thread.js";
import { stopOnSignals } from "../runtime/signals.js";
import { Supervisor } from "../runtime/supervisor.js";
import { type ArgumentRules, parseArguments, UsageError } from "./arguments.js";
import { errorText } from "./error-text.js";
import { formatBytes, paint, plural, type Terminal, table } from "./terminal.js";

const RULES: ArgumentRules = {
  valued: [...Object.values(RUNTIME_OPTIONS), ...Object.values(HTTP_LIMIT_OPTIONS)].map((option) => option.flag),
  switches: ["json", "help"],
  short: { h: "help" },
};

/** Says what happens, as text or as one JSON object a line. */
interface Voice {
  listening(supervisor: Supervisor): void;
  signal(signal: NodeJS.Signals, isFirst: boolean): void;
  shardLost(end: ShardEnd): void;
  stopped(report: StopReport): void;
  failed(error: unknown): void;
}

/** Runs the command; resolves with the exit code when the server has stopped, or has failed to start. */
export async function serve(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, switches, positionals } = parseArguments(args, RULES);
  const [specifier, extra] = positionals;
  if (specifier === undefined) throw new UsageError("Which module? serve needs one, such as: ringloom serve app.js");
  if (extra !== undefined) throw new UsageError(`Unexpected argument ${extra}: serve takes one module.`);
  raiseInliningBudget();
  const voice = switches.has("json") ? jsonVoice(terminal) : textVoice(terminal);
  let supervisor: Supervisor;
  try {
    supervisor = await Supervisor.start({
      options: resolveRuntimeOptions({ flags: values, environment: process.env }),
      service: { limits: limitsFromOutside({ flags: values, environment: process.env }) },
      module: resolveModule(specifier, process.cwd()),
      shardMain: SHARD_MAIN,
      shardLost: (end) => voice.shardLost(end),
    });
  } catch (error) {
    voice.failed(error);
    return error instanceof RingloomError && error.code === "ERR_RINGLOOM_INVALID_OPTION" ? 2 : 1;
  }
  stopOnSignals(supervisor, (signal, isFirst) => voice.signal(signal, isFirst));
  voice.listening(supervisor);
  const report = await supervisor.stopped;
  voice.stopped(report);
  return report.exitCode;
}

function textVoice(terminal: Terminal): Voice {
  return {
    listening(supervisor) {
      for (const line of describe(supervisor, terminal)) terminal.out(line);
      terminal.out(`listening ${supervisor.url}`);
    },
    signal(signal, isFirst) {
      terminal.error(
        isFirst ? `${signal}: finishing what was begun (again to cut)` : `${signal}: cutting what is left`,
      );
    },
    shardLost(end) {
      terminal.error(`shard ${end.shard} ended unexpectedly (exit code ${end.exitCode}); the server stops`);
      if (end.error !== undefined) terminal.error(errorText(fromShardError(end.error, "run")));
    },
    stopped(report) {
      terminal.out(summary(report));
    },
    failed(error) {
      terminal.error(errorText(error));
    },
  };
}

function jsonVoice(terminal: Terminal): Voice {
  function print(event: string, fields: object): void {
    terminal.out(JSON.stringify({ event, ...fields }));
  }
  return {
    listening({ url, host, port, choice, sizing }) {
      print("listening", {
        url,
        host,
        port,
        driver: choice.name,
        driverReason: choice.reason,
        shards: sizing.shards,
        shardsReason: sizing.shardsReason,
        connectionsMax: sizing.connectionsMax,
        spin: sizing.spin,
        spinReason: sizing.spinReason,
        memory: sizing.memory,
        pid: process.pid,
      });
    },
    signal: (signal, isFirst) => print("signal", { signal, isFirst }),
    shardLost: (end) => print("shard-lost", end),
    stopped: (report) => print("stopped", report),
    failed(error) {
      const isOurs = error instanceof RingloomError;
      print("failed", {
        code: isOurs ? error.code : undefined,
        message: error instanceof Error ? error.message : String(error),
        text: errorText(error),
      });
    },
  };
}

function describe(supervisor: Supervisor, terminal: Terminal): string[] {
  const { choice, sizing, host } = supervisor;
  const { memory } = sizing;
  const everywhere = host === "0.0.0.0" || host === "::" ? " (every interface)" : "";
  return table(terminal, [
    ["url", `${paint(terminal, "cyan", supervisor.url)}${everywhere}`],
    ["driver", `${paint(terminal, choice.name === "portable" ? "yellow" : "green", choice.name)}: ${choice.reason}`],
    ["shards", `${sizing.shards} (${sizing.shardsReason}), spin ${sizing.spin.mode} (${sizing.spinReason})`],
    [
      "memory",
      `up to ${formatBytes(memory.buffersBytesTotal)} of buffers for ${plural(sizing.connectionsMax, "connection")} a shard; ` +
        `${formatBytes(memory.limitBytes)} allowed (${memory.limitFrom})`,
    ],
    ["pid", String(process.pid)],
  ]);
}

/** `stopped: 3 shards drained in 120 ms, 12 requests finished, 0 cut`. */
function summary(report: StopReport): string {
  const drained =
    report.shardsDrained === report.shards
      ? `${plural(report.shards, "shard")} drained`
      : `${report.shardsDrained} of ${report.shards} shards drained`;
  return (
    `stopped: ${drained} in ${Math.round(report.ms)} ms, ` +
    `${plural(report.requestsFinished, "request")} finished, ${report.connectionsCut} cut`
  );
}
