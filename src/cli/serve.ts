/** `ringloom serve <module>`: starts the supervisor, prints where it listens, and waits until it has stopped. */

import { RingloomError } from "../errors.js";
import { HTTP_LIMIT_OPTIONS, limitsFromOutside } from "../http/limit-options.js";
import { type Supervised, supervise } from "../http/supervise.js";
import { configureLog, logSettings, resolveLogSettings, writeLog } from "../observe/log.js";
import type { LogLevel } from "../observe/log-format.js";
import { raiseInliningBudget } from "../runtime/inlining.js";
import { RUNTIME_OPTIONS, type RuntimeOptions, resolveRuntimeOptions } from "../runtime/options.js";
import type { RestartReport } from "../runtime/rolling-restart.js";
import { fromShardError } from "../runtime/shard-error.js";
import type { GroupEvents, Replacement } from "../runtime/shard-group.js";
import type { ShardEnd } from "../runtime/shard-thread.js";
import { restartOnHangup, stopOnSignals } from "../runtime/signals.js";
import type { Sizing } from "../runtime/sizing.js";
import type { StopReport } from "../runtime/stop-report.js";
import { describeTaskThreads, taskThreads } from "../scheduler/topology.js";
import { type ArgumentRules, parseArguments, UsageError } from "./arguments.js";
import { errorText } from "./error-text.js";
import { startTable } from "./start-table.js";
import { plural, type Terminal } from "./terminal.js";

const RULES: ArgumentRules = {
  valued: [...Object.values(RUNTIME_OPTIONS), ...Object.values(HTTP_LIMIT_OPTIONS)].map((option) => option.flag),
  switches: ["json", "help"],
  short: { h: "help" },
};

interface PrintOptions {
  readonly level?: LogLevel;
  readonly msg?: string;
}

/** Says what happens, as text or as one JSON object a line. */
interface Voice extends Required<GroupEvents> {
  listening(server: Supervised, options: RuntimeOptions): void;
  signal(signal: NodeJS.Signals, isFirst: boolean): void;
  hangup(hasTerminal: boolean): void;
  restarted(report: RestartReport): void;
  restartFailed(error: unknown): void;
  supervisorFailed(error: unknown): void;
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
  const flags = switches.has("json") ? { ...values, log: "json" } : values;
  let voice = flags.log === "json" ? jsonVoice() : textVoice(terminal);
  let server: Supervised;
  let options: RuntimeOptions;
  try {
    options = resolveRuntimeOptions({ flags, environment: process.env });
    configureLog(resolveLogSettings(options.log, options.logLevel));
    if (options.log === "json") voice = jsonVoice();
    const service = { limits: limitsFromOutside({ flags: values, environment: process.env }) };
    server = await supervise({ module: specifier, options, service, events: voice });
  } catch (error) {
    voice.failed(error);
    return error instanceof RingloomError && error.code === "ERR_RINGLOOM_INVALID_OPTION" ? 2 : 1;
  }
  const { supervisor } = server;
  surviveOwnErrors(server, voice);
  stopOnSignals(supervisor, (signal, isFirst) => voice.signal(signal, isFirst));
  restartOnHangup(supervisor, {
    heard: (hasTerminal) => voice.hangup(hasTerminal),
    restarted: (report) => voice.restarted(report),
    failed: (error) => voice.restartFailed(error),
  });
  voice.listening(server, options);
  const report = await supervisor.stopped;
  voice.stopped(report);
  return report.exitCode;
}

/**
 * An error that nobody caught on this thread says that its state is not to be trusted; the shards do not depend on it. So they finish what they have, and the
 * process ends with code 1. A second such error ends it at once.
 */
function surviveOwnErrors({ supervisor }: Supervised, voice: Voice): void {
  let hasFailed = false;
  process.on("uncaughtException", (error) => {
    voice.supervisorFailed(error);
    if (hasFailed) process.exit(1);
    hasFailed = true;
    void supervisor.stop({ cause: "supervisor-failed" });
  });
}

function textVoice(terminal: Terminal): Voice {
  return {
    listening({ supervisor, healthUrl }, options) {
      const { url, host, choice, sizing, readyDelayMs } = supervisor;
      const { restartsMax, restartWindowMs } = options;
      const facts = {
        url,
        host,
        choice,
        sizing,
        tasks: tasksText(options, sizing),
        healthUrl,
        readyDelayMs,
        restartsMax,
        restartWindowMs,
        pid: process.pid,
      };
      for (const line of startTable(facts, terminal)) terminal.out(line);
      terminal.out(`listening ${url}`);
    },
    signal(signal, isFirst) {
      terminal.error(
        isFirst ? `${signal}: finishing what was begun (again to cut)` : `${signal}: cutting what is left`,
      );
    },
    hangup(hasTerminal) {
      terminal.error(hasTerminal ? "SIGHUP: restarting shard by shard" : "SIGHUP: the terminal is gone; stopping");
    },
    restarted(report) {
      terminal.out(
        `restarted: ${plural(report.shards, "shard")} in ${Math.round(report.ms)} ms, ` +
          `${plural(report.requestsFinished, "request")} finished by the old ones, ${report.connectionsCut} cut`,
      );
    },
    restartFailed(error) {
      terminal.error("the restart failed; shards that were not restarted go on as they were");
      terminal.error(errorText(error));
    },
    supervisorFailed(error) {
      terminal.error("the supervisor failed; the server stops");
      terminal.error(errorText(error));
    },
    shardLost(end, replacement) {
      terminal.error(`shard ${end.shard} ${howItEnded(end)}; ${whatFollows(replacement)}`);
      if (end.error !== undefined) terminal.error(errorText(fromShardError(end.error, "run")));
    },
    shardReplaced(shard, generation) {
      terminal.error(`shard ${shard} serves again: generation ${generation}`);
    },
    shardStuck(shard, silentMs) {
      terminal.error(
        `shard ${shard} is stuck: no heartbeat for ${Math.round(silentMs)} ms; it gets no new connections`,
      );
    },
    shardRecovered(shard) {
      terminal.error(`shard ${shard} has recovered`);
    },
    trouble({ shard, kind, error }) {
      const what = kind === "hook" ? "its ready hook failed" : "a rejection that nobody handled";
      terminal.error(`shard ${shard}: ${what}`);
      terminal.error(errorText(fromShardError(error, "run")));
    },
    stopped(report) {
      for (const { hook, shard, error } of report.hookFailures) {
        terminal.error(`${shard === undefined ? "supervisor" : `shard ${shard}`}: the ${hook} hook failed`);
        terminal.error(errorText(fromShardError(error, hook)));
      }
      terminal.out(summary(report));
    },
    failed(error) {
      terminal.error(errorText(error));
    },
  };
}

function howItEnded(end: ShardEnd): string {
  if (end.kind === "exited") return `called process.exit(${end.exitCode})`;
  if (end.kind === "terminated") return "was terminated";
  return `ended unexpectedly (exit code ${end.exitCode})`;
}

function whatFollows({ delayMs, used }: Replacement): string {
  if (delayMs === undefined) return "the server stops";
  const when = delayMs === 0 ? "now" : `in ${delayMs} ms`;
  return `it is replaced ${when} (restart ${used} within the window)`;
}

/** Everything is a record of the log, on descriptor 1. `shard` in a record is the thread that wrote it, so what a record is about is `ofShard`. */
function jsonVoice(): Voice {
  configureLog(resolveLogSettings("json", logSettings().level));
  function print(event: string, fields: object, { level = "info", msg = event }: PrintOptions = {}): void {
    writeLog(level, msg, { event, ...fields });
  }
  return {
    listening: (server, options) =>
      print("listening", listeningFields(server, options), { msg: `listening ${server.supervisor.url}` }),
    signal: (signal, isFirst) => print("signal", { signal, isFirst }),
    hangup: (hasTerminal) => print("signal", { signal: "SIGHUP", isFirst: true, hasTerminal }),
    restarted: (report) => print("restarted", report),
    restartFailed: (error) => print("restart-failed", errorFields(error), { level: "error" }),
    supervisorFailed: (error) => print("supervisor-failed", errorFields(error), { level: "fatal" }),
    shardLost: (end, replacement) =>
      print(
        "shard-lost",
        { ...end, ofShard: end.shard, replacement },
        { level: "error", msg: `shard ${end.shard} ${howItEnded(end)}; ${whatFollows(replacement)}` },
      ),
    shardReplaced: (shard, generation) => print("shard-replaced", { ofShard: shard, generation }),
    shardStuck: (shard, silentMs) => print("shard-stuck", { ofShard: shard, silentMs }, { level: "warn" }),
    shardRecovered: (shard) => print("shard-recovered", { ofShard: shard }),
    trouble: (trouble) => print("trouble", { ...trouble, ofShard: trouble.shard }, { level: "error" }),
    stopped: (report) => print("stopped", report, { msg: summary(report) }),
    failed: (error) =>
      print("failed", errorFields(error), {
        level: "fatal",
        msg: error instanceof Error ? error.message : String(error),
      }),
  };
}

function listeningFields({ supervisor, healthUrl }: Supervised, options: RuntimeOptions): object {
  const { url, host, port, path, choice, sizing, readyDelayMs } = supervisor;
  return {
    url,
    host,
    port,
    path,
    healthUrl,
    driver: choice.name,
    driverReason: choice.reason,
    shards: sizing.shards,
    shardsReason: sizing.shardsReason,
    topology: options.topology,
    tasks: tasksText(options, sizing),
    connectionsMax: sizing.connectionsMax,
    spin: sizing.spin,
    spinReason: sizing.spinReason,
    memory: sizing.memory,
    readyDelayMs,
    restartsMax: options.restartsMax,
    restartWindowMs: options.restartWindowMs,
  };
}

function tasksText(options: RuntimeOptions, sizing: Sizing): string {
  return describeTaskThreads(taskThreads(options, sizing), options.computeNice, sizing.computeReason);
}

function errorFields(error: unknown): object {
  const isOurs = error instanceof RingloomError;
  return {
    code: isOurs ? error.code : undefined,
    message: error instanceof Error ? error.message : String(error),
    text: errorText(error),
  };
}

/** `stopped: 3 shards drained in 120 ms, 12 requests finished, 0 cut`. */
function summary(report: StopReport): string {
  const drained =
    report.shardsDrained === report.shards
      ? `${plural(report.shards, "shard")} drained`
      : `${report.shardsDrained} of ${report.shards} shards drained`;
  const { readyDelayMs, listenersMs, drainMs } = report.phases;
  const waited = readyDelayMs < 1 ? "" : `${Math.round(readyDelayMs)} ms not ready, `;
  const total =
    `stopped: ${drained} in ${Math.round(report.ms)} ms, ` +
    `${plural(report.requestsFinished, "request")} finished, ${report.connectionsCut} cut`;
  const phases = `(${waited}${Math.round(listenersMs)} ms to stop listening, ${Math.round(drainMs)} ms to drain)`;
  return `${total} ${phases}${whyStopped(report)}`;
}

function whyStopped({ cause, exitCode }: StopReport): string {
  if (cause === "restarts-spent") return `; shards died too often, exit code ${exitCode}`;
  if (cause === "shard-exit") return `; the module called process.exit(${exitCode})`;
  return "";
}
