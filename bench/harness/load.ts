/** Driving load at an HTTP server: our own generator `http-load`, and `wrk` as a second opinion or where no compiler is present. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Cores, cacheDirectory, pinned } from "./machine.js";
import { programPath } from "./prepare.js";
import { type RunningServer, run } from "./processes.js";

/** One kind of load and the only right answer to it. */
export interface HttpCase {
  readonly name: string;
  readonly about: string;
  readonly connections: number;
  /** Requests that a connection sends in one piece, before it waits for their answers. */
  readonly depth: number;
  readonly path: string;
  readonly headers: readonly string[];
  /** A POST with a body of so many bytes; undefined for a GET. */
  readonly bodyBytes: number | undefined;
  /** What each response's body must be, byte for byte. */
  readonly expectBody: string;
  readonly expectType: string;
}

export interface LoadOptions {
  readonly core: Cores | undefined;
  readonly warmupSeconds: number;
  /** How long to count; with `requests`, the time limit. */
  readonly seconds: number;
  /** Stop after exactly so many responses. */
  readonly requests?: number;
  /** A command to run the generator under, such as `perf stat … --`. */
  readonly wrapper?: readonly string[];
}

/** What a load run saw. */
export interface LoadResult {
  readonly requests: number;
  /** With the warm-up. */
  readonly totalRequests: number;
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** CPU time of the server in the counted window; undefined when the generator cannot tell. */
  readonly serverCpuUs: number | undefined;
  /** The share of a core that generator and server used, 0 to 1. */
  readonly loadBusy: number | undefined;
  readonly serverBusy: number | undefined;
}

/** Thrown when a run produced anything but right answers. */
export class LoadError extends Error {
  override readonly name: string = "LoadError";
}

/** Thrown when the generator stopped early because most of what came was wrong, or connections broke one after the other. */
export class GaveUpError extends LoadError {
  override readonly name = "GaveUpError";
}

interface GeneratorOutput {
  requests: number;
  seconds: number;
  rps: number;
  p50us: number;
  p99us: number;
  errors: number;
  badStatus: number;
  badLength: number;
  badBody: number;
  totalRequests: number;
  serverCpuUs: number;
  loadCpuUs: number;
}

/** Runs `http-load`. Rejects with {@link LoadError} when a single response was wrong or a connection broke. */
export async function runHttpLoad(
  server: RunningServer,
  httpCase: HttpCase,
  options: LoadOptions,
): Promise<LoadResult> {
  const command = [
    programPath("http-load"),
    ...[server.host, server.port, httpCase.connections, httpCase.depth, options.seconds, httpCase.path].map(String),
    ...[
      "--warmup",
      String(options.warmupSeconds),
      "--expect-body",
      httpCase.expectBody,
      "--cpu-of",
      String(server.pid),
    ],
    ...httpCase.headers.flatMap((header) => ["--header", header]),
    ...(httpCase.bodyBytes === undefined ? [] : ["--body", String(httpCase.bodyBytes)]),
    ...(options.requests === undefined ? [] : ["--requests", String(options.requests)]),
  ];
  const timeoutMs = (options.warmupSeconds + options.seconds) * 1_000 + 10_000;
  const wrapped = [...(options.wrapper ?? []), ...pinned(options.core, command)];
  const { code, stdout, stderr } = await run(wrapped, { timeoutMs });
  if (code !== 0) throw new LoadError(lastLine(stderr) ?? `http-load ended with code ${code}`);
  const output = JSON.parse(stdout) as GeneratorOutput;
  const wrong = output.errors + output.badStatus + output.badLength + output.badBody;
  if (wrong > 0) {
    const counts = `${output.errors} broken connections, ${output.badStatus} wrong statuses, ${output.badLength} wrong lengths, ${output.badBody} wrong bodies`;
    throw new LoadError(`${counts} in ${output.requests} responses; first: ${stderr.trim().split("\n")[0]}`);
  }
  if (stderr.trim() !== "") throw new LoadError(`during the warm-up: ${stderr.trim().split("\n")[0]}`);
  if (output.requests === 0) throw new LoadError("no response came");
  return {
    requests: output.requests,
    totalRequests: output.totalRequests,
    requestsPerSecond: output.rps,
    p50Us: output.p50us,
    p99Us: output.p99us,
    serverCpuUs: output.serverCpuUs,
    loadBusy: output.loadCpuUs / 1e6 / output.seconds,
    serverBusy: output.serverCpuUs / 1e6 / output.seconds,
  };
}

/** A constant rate of two kinds of requests. */
export interface PacedLoad {
  readonly connections: number;
  readonly path: string;
  readonly expectBody: string;
  /** One of every so many requests, at an irregular place, asks for something else. */
  readonly second: { readonly every: number; readonly path: string; readonly expectBody: string };
  /** Requests a second, of both kinds. */
  readonly rate: number;
  readonly warmupSeconds: number;
  readonly seconds: number;
  /** How long to wait for the last answers; without one by then a request has failed. */
  readonly drainSeconds: number;
}

/** What a paced run saw. Latencies count from the moment at which a request was due, and include the failed ones at their age. */
export interface PacedResult {
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly due: number;
  /** Wrong, lost or not answered in time, of the first kind and of the second. */
  readonly failed: number;
  readonly secondFailed: number;
  readonly secondP99Us: number;
  /** By how much the generator itself was late in sending, though a connection was idle. */
  readonly lateP99Us: number;
}

/**
 * Runs `http-load` at a constant rate, without coordinated omission. Failed requests are counted, not thrown: a server that is overloaded is the subject of the run.
 * Rejects with {@link GaveUpError} when little but failures came, and with {@link LoadError} when the generator could not do its work.
 */
export async function runPacedLoad(
  server: RunningServer,
  load: PacedLoad,
  cores: Cores | undefined,
): Promise<PacedResult> {
  const { connections, path, expectBody, second, rate, warmupSeconds, seconds, drainSeconds } = load;
  const command = [
    programPath("http-load"),
    ...[server.host, server.port, connections, 1, seconds, path].map(String),
    ...["--expect-body", expectBody, "--rate", String(rate), "--warmup", String(warmupSeconds)],
    ...["--drain", String(drainSeconds), "--second", `${second.every} ${second.path} ${second.expectBody}`],
  ];
  const timeoutMs = (warmupSeconds + seconds + drainSeconds) * 1_000 + 15_000;
  const { code, stdout, stderr } = await run(pinned(cores, command), { timeoutMs });
  const words = lastLine(stderr);
  if (code !== 0 && words?.startsWith("gave up") === true) throw new GaveUpError(words);
  if (code !== 0) throw new LoadError(words ?? `http-load ended with code ${code}`);
  const output = JSON.parse(stdout) as PacedOutput;
  if (output.due === 0) throw new LoadError("no request was due");
  return {
    p50Us: output.p50us,
    p99Us: output.p99us,
    p999Us: output.p999us,
    due: output.due,
    failed: output.failed,
    secondFailed: output.secondFailed,
    secondP99Us: output.secondP99us,
    lateP99Us: output.lateP99us,
  };
}

interface PacedOutput {
  p50us: number;
  p99us: number;
  p999us: number;
  due: number;
  failed: number;
  secondFailed: number;
  secondP99us: number;
  lateP99us: number;
}

/** Runs `wrk`, which checks statuses only and is itself the limit above about 150,000 requests a second. */
export async function runWrk(server: RunningServer, httpCase: HttpCase, options: LoadOptions): Promise<LoadResult> {
  const script = join(cacheDirectory, `wrk-${httpCase.name}.lua`);
  mkdirSync(cacheDirectory, { recursive: true });
  writeFileSync(script, wrkScript(httpCase));
  const url = `http://${server.host}:${server.port}${httpCase.path}`;
  if (options.warmupSeconds > 0) await runWrkOnce(script, url, httpCase, options.warmupSeconds, options.core);
  const text = await runWrkOnce(script, url, httpCase, options.seconds, options.core);
  const figure = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? Number.NaN);
  const failed = /Socket errors:.*|Non-2xx or 3xx responses:.*/.exec(text);
  if (failed !== null) throw new LoadError(`wrk: ${failed[0].trim()}`);
  const requests = figure(/(\d+) requests in/);
  if (!(requests > 0)) throw new LoadError(`wrk: no response came; ${lastLine(text) ?? "no output"}`);
  return {
    requests,
    totalRequests: requests,
    requestsPerSecond: figure(/ringloom rps ([\d.]+)/),
    p50Us: figure(/ringloom p50 ([\d.]+)/),
    p99Us: figure(/ringloom p99 ([\d.]+)/),
    serverCpuUs: undefined,
    loadBusy: undefined,
    serverBusy: undefined,
  };
}

async function runWrkOnce(
  script: string,
  url: string,
  httpCase: HttpCase,
  seconds: number,
  core: Cores | undefined,
): Promise<string> {
  // wrk counts in whole seconds.
  const duration = Math.max(1, Math.round(seconds));
  const command = ["wrk", "-t1", `-c${httpCase.connections}`, `-d${duration}s`, "-s", script, url];
  const { code, stdout, stderr } = await run(pinned(core, command), { timeoutMs: duration * 1_000 + 10_000 });
  if (code !== 0) throw new LoadError(`wrk: ${lastLine(stderr) ?? `ended with code ${code}`}`);
  return stdout;
}

function wrkScript(httpCase: HttpCase): string {
  const headers = httpCase.headers.map((header) => {
    const colon = header.indexOf(":");
    return `wrk.headers[${lua(header.slice(0, colon))}] = ${lua(header.slice(colon + 1).trim())}`;
  });
  const body =
    httpCase.bodyBytes === undefined
      ? []
      : [`wrk.method = "POST"`, `wrk.body = string.rep("x", ${httpCase.bodyBytes})`];
  return `${[
    ...headers,
    ...body,
    "local all",
    "init = function()",
    "  local parts = {}",
    `  for i = 1, ${httpCase.depth} do parts[i] = wrk.format() end`,
    "  all = table.concat(parts)",
    "end",
    "request = function() return all end",
    "done = function(summary, latency)",
    '  print("ringloom rps " .. summary.requests / summary.duration * 1e6)',
    '  print("ringloom p50 " .. latency:percentile(50))',
    '  print("ringloom p99 " .. latency:percentile(99))',
    "end",
  ].join("\n")}\n`;
}

/** A string as Lua writes it: JSON's escapes of quotes and backslashes are the same, and headers hold nothing else to escape. */
function lua(text: string): string {
  return JSON.stringify(text);
}

function lastLine(text: string): string | undefined {
  const line = text.trim().split("\n").at(-1);
  return line === "" ? undefined : line;
}
