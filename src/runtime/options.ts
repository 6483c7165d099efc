/** The options of the runtime: what the supervisor and the shards can be told. Those of HTTP stand in `src/http/`. */
import { CONNECTIONS_MAX, RING_ENTRIES_DEFAULT, SPIN_MICROS_DEFAULT } from "../constants.js";
import { MESSAGE_OPTIONS } from "../messages/message-options.js";
import type { LogSettings } from "../observe/log.js";
import { TASK_OPTIONS } from "../scheduler/task-options.js";
import type { Topology } from "../scheduler/topology.js";
import { ENDPOINT_OPTIONS } from "./endpoint-options.js";
import { OPERATION_OPTIONS } from "./operation-options.js";
import {
  choiceOption,
  integerOption,
  integerOrAutoOption,
  type OptionDefinition,
  type OptionSources,
  parseInteger,
  rejectUnknownOptions,
  resolveOption,
  textOption,
} from "./option.js";

/** Every option of the runtime, resolved. `auto` is settled later, by sizing. */
export interface RuntimeOptions {
  readonly host: string;
  readonly port: number;
  /** How many shards (threads that serve). */
  readonly shards: number | "auto";
  readonly driver: "auto" | "uring" | "epoll" | "portable";
  /** `none`, `auto` (shard i on the i-th allowed CPU), or one CPU per shard, used in turn. */
  readonly cpu: "none" | "auto" | readonly number[];
  readonly spin: "auto" | "off" | "fixed" | "adaptive";
  readonly spinMicrosMax: number;
  /** How long a stop may take before connections are cut, in milliseconds. */
  readonly drainMs: number;
  /** How long an idle keep-alive connection may still send a request during a stop, in milliseconds. */
  readonly drainGraceMs: number;
  /** How long a shard may take to load the module and listen, in milliseconds; 0 is no limit. */
  readonly startMs: number;
  /** Connection slots of one shard. */
  readonly connections: number | "auto";
  /** Write memory of one shard, in MiB. */
  readonly writePoolMib: number | "auto";
  /** Receive memory of one shard, in MiB. */
  readonly receiveSlabMib: number | "auto";
  /** Old-generation heap of one shard, in MiB; `auto` leaves it to Node. */
  readonly heapMib: number | "auto";
  readonly ringEntries: number;
  readonly loop: "inverted" | "uv";
  readonly backlog: number;
  /** How records look and where they go; see docs/operations.md. */
  readonly log: "auto" | "text" | "json";
  readonly logLevel: LogSettings["level"];
  readonly accessLog: "off" | "on";
  /** How long a shard's event loop may stand still before it is reported, in milliseconds; 0 turns the watchdog off. */
  readonly watchdogMs: number;
  /** Whether stacks of the shards point to the sources that source maps name. */
  readonly sourceMaps: "off" | "on";
  /** A Unix socket in place of host and port, a path; `none` is none. */
  readonly unix: string;
  /** The mode of its file, octal; `auto` is what the umask leaves. */
  readonly unixMode: string;
  /** Certificates, paths of PEM files with commas between them; `none` is no TLS. */
  readonly tlsCert: string;
  /** Their keys, in the same order. */
  readonly tlsKey: string;
  /** Whose client certificates are trusted, a path; `none` is those that Node trusts. */
  readonly tlsCa: string;
  /** Whether clients are asked for a certificate. */
  readonly tlsRequestCert: "off" | "optional" | "required";
  /** The lowest version of TLS that is spoken. */
  readonly tlsMinVersion: "TLSv1.2" | "TLSv1.3";
  /** How long a TLS handshake may take, in milliseconds. */
  readonly tlsHandshakeMs: number;
  /** Whether other processes may listen on the same port, as in a rollout. */
  readonly reusePort: "off" | "on";
  /** Port of `/livez` and `/readyz`. */
  readonly healthPort: number | "off";
  /** Address of the health port; `auto` is that of the server. */
  readonly healthHost: string;
  /** Without a heartbeat for so long a shard counts as stuck, in milliseconds. */
  readonly stuckMs: number;
  /** A shard stuck for so long is terminated and replaced, in milliseconds; 0 is never. */
  readonly stuckReplaceMs: number;
  /** A shard stuck for so long makes `/livez` fail, in milliseconds; 0 is never. */
  readonly liveMs: number;
  /** How long a server that was told to stop still serves everybody, in milliseconds. */
  readonly readyDelayMs: number | "auto";
  /** Shards that may be replaced within the window. */
  readonly restartsMax: number;
  readonly restartWindowMs: number;
  readonly restartBackoffMs: number;
  /** How long one hook of the module may take, in milliseconds; 0 is no limit. */
  readonly hookMs: number;
  /** Whether a rejection that nobody handles ends its shard, or is only reported. */
  readonly unhandledRejections: "shard" | "report";
  /** Whether a shard whose module calls `process.exit` is replaced, or stops the server. */
  readonly shardExit: "replace" | "stop";
  /** A module with hooks for the process, a path; `none` is none. */
  readonly supervisorModule: string;
  /** Which threads run tasks. */
  readonly topology: Topology;
  /** Compute threads; 0 is no tasks. */
  readonly compute: number | "auto";
  /** JavaScript heap of one of those threads, in MiB. */
  readonly computeHeapMib: number | "auto";
  /** Their scheduling priority, 0 to 19: the kernel prefers threads with a lower number. */
  readonly computeNice: number;
  /** Threads for tasks that block, at most. */
  readonly blocking: number | "auto";
  /** Tasks that one thread may have in flight. */
  readonly tasksMax: number;
  /** Values by port that may be under way from one thread to another, in MiB. */
  readonly taskPortMib: number;
  /** Messages that may wait from one shard to one other. */
  readonly messagesMax: number;
  /** What a hot counter collects while its receiver still has something to take. */
  readonly hotThreshold: number;
}

type Definitions = { readonly [Name in keyof RuntimeOptions]: OptionDefinition<RuntimeOptions[Name]> };

/** The definition of each runtime option: flag, variables, default, bounds, one sentence. */
export const RUNTIME_OPTIONS: Definitions = {
  host: textOption({
    flag: "host",
    environment: ["RINGLOOM_HOST"],
    placeholder: "HOST",
    fallback: "127.0.0.1",
    fallbackText: "127.0.0.1",
    allowed: "an IP address or a host name",
    description: "Address to listen on. 0.0.0.0 or :: is every interface.",
  }),
  port: integerOption({
    flag: "port",
    environment: ["RINGLOOM_PORT", "PORT"],
    placeholder: "PORT",
    fallback: 9090,
    fallbackText: "9090",
    min: 0,
    max: 65535,
    description: "Port to listen on. 0 lets the system choose a free one.",
  }),
  shards: integerOrAutoOption({
    flag: "shards",
    environment: ["RINGLOOM_SHARDS"],
    placeholder: "N",
    fallback: "auto",
    fallbackText: "1 per allowed CPU, at most the CPU quota rounded up",
    min: 1,
    max: 256,
    description: "Threads that serve, each with its own ring, event loop and instance of the module.",
  }),
  driver: choiceOption({
    flag: "driver",
    environment: ["RINGLOOM_DRIVER"],
    placeholder: "NAME",
    fallback: "auto",
    fallbackText: "uring where the system allows it, else epoll on Linux, else portable",
    choices: ["auto", "uring", "epoll", "portable"],
    description: "How sockets are driven. A forced driver that is not available is an error.",
  }),
  cpu: {
    flag: "cpu",
    environment: ["RINGLOOM_CPU"],
    placeholder: "LIST",
    fallback: "none",
    fallbackText: "none",
    allowed: "none, auto, or CPU numbers such as 0,1 or 0-3",
    description: "Pins each shard to one CPU: auto takes the allowed ones in order. Needs the addon.",
    parse: parseCpus,
  },
  spin: choiceOption({
    flag: "spin",
    environment: ["RINGLOOM_SPIN"],
    placeholder: "MODE",
    fallback: "auto",
    fallbackText: "adaptive; off under a tight CPU quota or with fewer CPUs than shards",
    choices: ["auto", "off", "fixed", "adaptive"],
    description: "Whether a shard watches for work before it sleeps. Watching costs CPU time and saves wake-ups.",
  }),
  spinMicrosMax: integerOption({
    flag: "spin-us",
    environment: ["RINGLOOM_SPIN_US"],
    placeholder: "US",
    fallback: SPIN_MICROS_DEFAULT,
    fallbackText: String(SPIN_MICROS_DEFAULT),
    min: 1,
    max: 10_000,
    description: "The longest time that a shard watches before it sleeps, in microseconds.",
  }),
  drainMs: integerOption({
    flag: "drain-ms",
    environment: ["RINGLOOM_DRAIN_MS"],
    placeholder: "MS",
    fallback: 30_000,
    fallbackText: "30000",
    min: 0,
    max: 86_400_000,
    description: "How long a stop may take before the connections that are left are cut, in milliseconds.",
  }),
  drainGraceMs: integerOption({
    flag: "drain-grace-ms",
    environment: ["RINGLOOM_DRAIN_GRACE_MS"],
    placeholder: "MS",
    fallback: 250,
    fallbackText: "250",
    min: 0,
    max: 86_400_000,
    description:
      "How long idle connections stay open during a stop, for requests already on their way, in milliseconds.",
  }),
  startMs: integerOption({
    flag: "start-ms",
    environment: ["RINGLOOM_START_MS"],
    placeholder: "MS",
    fallback: 60_000,
    fallbackText: "60000",
    min: 0,
    max: 86_400_000,
    description: "How long a shard may take to load the module and listen, in milliseconds. 0 is no limit.",
  }),
  connections: integerOrAutoOption({
    flag: "connections",
    environment: ["RINGLOOM_CONNECTIONS"],
    placeholder: "N",
    fallback: "auto",
    fallbackText: "from the memory limit and the descriptor limit, at most 65536",
    min: 1,
    max: CONNECTIONS_MAX,
    description: "Connections that one shard holds at once. Further ones are refused and counted.",
  }),
  writePoolMib: integerOrAutoOption({
    flag: "write-pool-mib",
    environment: ["RINGLOOM_WRITE_POOL_MIB"],
    placeholder: "MIB",
    fallback: "auto",
    fallbackText: "from the memory limit, at most 64",
    min: 1,
    max: 1_024,
    description: "Memory of one shard for bytes that wait to be sent, in MiB.",
  }),
  receiveSlabMib: integerOrAutoOption({
    flag: "receive-slab-mib",
    environment: ["RINGLOOM_RECEIVE_SLAB_MIB"],
    placeholder: "MIB",
    fallback: "auto",
    fallbackText: "from the memory limit, at most 64",
    min: 1,
    max: 64,
    description: "Memory of one shard that the kernel receives into, in MiB (not on portable).",
  }),
  heapMib: integerOrAutoOption({
    flag: "heap-mib",
    environment: ["RINGLOOM_HEAP_MIB"],
    placeholder: "MIB",
    fallback: "auto",
    fallbackText: "from the memory limit, at most 4096",
    min: 16,
    max: 1_048_576,
    description: "JavaScript heap (old generation) of one shard, in MiB. A shard that exceeds it ends.",
  }),
  ringEntries: integerOption({
    flag: "ring-entries",
    environment: ["RINGLOOM_RING_ENTRIES"],
    placeholder: "N",
    fallback: RING_ENTRIES_DEFAULT,
    fallbackText: String(RING_ENTRIES_DEFAULT),
    min: 64,
    max: 32_768,
    extra: { test: (value) => (value & (value - 1)) === 0, text: "a power of two" },
    description: "Submission entries of one shard's ring (uring only).",
  }),
  loop: choiceOption({
    flag: "loop",
    environment: ["RINGLOOM_LOOP"],
    placeholder: "MODE",
    fallback: "inverted",
    fallbackText: "inverted",
    choices: ["inverted", "uv"],
    description: "Who sleeps: inverted sleeps in the ring or in epoll, uv in libuv's own poll (not on portable).",
  }),
  backlog: integerOption({
    flag: "backlog",
    environment: ["RINGLOOM_BACKLOG"],
    placeholder: "N",
    fallback: 4_096,
    fallbackText: "4096",
    min: 1,
    max: 65_535,
    description: "Connections that may wait to be accepted, per shard. The kernel caps it at net.core.somaxconn.",
  }),
  log: choiceOption({
    flag: "log",
    environment: ["RINGLOOM_LOG"],
    placeholder: "FORMAT",
    fallback: "auto",
    fallbackText: "text on a terminal, else JSON, on descriptor 2",
    choices: ["auto", "text", "json"],
    description: "How log records look. json prints nothing but records, one object per line, on descriptor 1.",
  }),
  logLevel: choiceOption({
    flag: "log-level",
    environment: ["RINGLOOM_LOG_LEVEL"],
    placeholder: "LEVEL",
    fallback: "info",
    fallbackText: "info",
    choices: ["trace", "debug", "info", "warn", "error", "fatal", "silent"],
    description: "The least important records that are written.",
  }),
  accessLog: choiceOption({
    flag: "access-log",
    environment: ["RINGLOOM_ACCESS_LOG"],
    placeholder: "MODE",
    fallback: "off",
    fallbackText: "off",
    choices: ["off", "on"],
    description: "Whether each request is logged: method, path, status, bytes, duration.",
  }),
  watchdogMs: integerOption({
    flag: "watchdog-ms",
    environment: ["RINGLOOM_WATCHDOG_MS"],
    placeholder: "MS",
    fallback: 1_000,
    fallbackText: "1000",
    min: 0,
    max: 86_400_000,
    extra: { test: (value) => value === 0 || value >= 200, text: "and 0 or at least 200" },
    description: "How long a shard's event loop may stand still before its stack is logged, in milliseconds. 0 is off.",
  }),
  sourceMaps: choiceOption({
    flag: "source-maps",
    environment: ["RINGLOOM_SOURCE_MAPS"],
    placeholder: "MODE",
    fallback: "off",
    fallbackText: "off; on under dev",
    choices: ["off", "on"],
    description: "Whether stacks point to the sources of compiled files. Each map is read once; each stack costs more.",
  }),
  ...ENDPOINT_OPTIONS,
  ...OPERATION_OPTIONS,
  ...TASK_OPTIONS,
  ...MESSAGE_OPTIONS,
};

/**
 * Resolves every runtime option: command line, else `RINGLOOM_*` (and `PORT`), else code, else the default.
 * Throws `ERR_RINGLOOM_INVALID_OPTION` at the first one that is not allowed.
 */
export function resolveRuntimeOptions(sources: OptionSources): RuntimeOptions {
  if (sources.config !== undefined) rejectUnknownOptions(sources.config, Object.keys(RUNTIME_OPTIONS));
  function pick<Name extends keyof RuntimeOptions>(name: Name): RuntimeOptions[Name] {
    return resolveOption(name, RUNTIME_OPTIONS[name], sources);
  }
  return {
    host: pick("host"),
    port: pick("port"),
    shards: pick("shards"),
    driver: pick("driver"),
    cpu: pick("cpu"),
    spin: pick("spin"),
    spinMicrosMax: pick("spinMicrosMax"),
    drainMs: pick("drainMs"),
    drainGraceMs: pick("drainGraceMs"),
    startMs: pick("startMs"),
    connections: pick("connections"),
    writePoolMib: pick("writePoolMib"),
    receiveSlabMib: pick("receiveSlabMib"),
    heapMib: pick("heapMib"),
    ringEntries: pick("ringEntries"),
    loop: pick("loop"),
    backlog: pick("backlog"),
    log: pick("log"),
    logLevel: pick("logLevel"),
    accessLog: pick("accessLog"),
    watchdogMs: pick("watchdogMs"),
    sourceMaps: pick("sourceMaps"),
    unix: pick("unix"),
    unixMode: pick("unixMode"),
    tlsCert: pick("tlsCert"),
    tlsKey: pick("tlsKey"),
    tlsCa: pick("tlsCa"),
    tlsRequestCert: pick("tlsRequestCert"),
    tlsMinVersion: pick("tlsMinVersion"),
    tlsHandshakeMs: pick("tlsHandshakeMs"),
    reusePort: pick("reusePort"),
    healthPort: pick("healthPort"),
    healthHost: pick("healthHost"),
    stuckMs: pick("stuckMs"),
    stuckReplaceMs: pick("stuckReplaceMs"),
    liveMs: pick("liveMs"),
    readyDelayMs: pick("readyDelayMs"),
    restartsMax: pick("restartsMax"),
    restartWindowMs: pick("restartWindowMs"),
    restartBackoffMs: pick("restartBackoffMs"),
    hookMs: pick("hookMs"),
    unhandledRejections: pick("unhandledRejections"),
    shardExit: pick("shardExit"),
    supervisorModule: pick("supervisorModule"),
    topology: pick("topology"),
    compute: pick("compute"),
    computeHeapMib: pick("computeHeapMib"),
    computeNice: pick("computeNice"),
    blocking: pick("blocking"),
    tasksMax: pick("tasksMax"),
    taskPortMib: pick("taskPortMib"),
    messagesMax: pick("messagesMax"),
    hotThreshold: pick("hotThreshold"),
  };
}

/** Parses the kernel's list form, `0-2,5`, as in /proc/self/status. Undefined when it is not one. Numbers are below 1024. */
export function parseCpuList(text: string): number[] | undefined {
  const cpus: number[] = [];
  for (const part of text.trim().split(",")) {
    const [first, last, ...rest] = part.split("-");
    const from = parseInteger(first, 0, 1023);
    const to = last === undefined ? from : parseInteger(last, 0, 1023);
    if (from === undefined || to === undefined || to < from || rest.length > 0) return undefined;
    for (let cpu = from; cpu <= to; cpu++) cpus.push(cpu);
  }
  return cpus;
}

function parseCpus(value: unknown): RuntimeOptions["cpu"] | undefined {
  if (value === "none" || value === "auto") return value;
  if (typeof value === "string") return parseCpuList(value);
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const cpus = value.map((cpu) => parseInteger(cpu, 0, 1023));
  return cpus.every((cpu) => cpu !== undefined) ? cpus : undefined;
}
