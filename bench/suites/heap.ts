/**
 * The suite `heap`: millions of requests against one server, its heap after full collections along the way, and the bytes it allocated.
 *
 * The server runs with `--expose-gc --trace-gc-nvp`. `GET /__heap` collects everything and answers with the heap of the thread
 * that serves, so growth is what survives a full collection. V8's trace reports, at each collection, the bytes
 * allocated since the collection before; the forced collections at both ends make the sum exact.
 */
import { setTimeout as delay } from "node:timers/promises";
import { type HttpCase, LoadError, runHttpLoad } from "../harness/load.js";
import { AllocationMeter, lineBuffered } from "../harness/observe.js";
import { select } from "../harness/options.js";
import { prepare } from "../harness/prepare.js";
import type { RunningServer } from "../harness/processes.js";
import { progress } from "../harness/progress.js";
import { type Run, runRounds } from "../harness/rounds.js";
import type { Metric } from "../harness/rows.js";
import { missingFrom, withServer } from "../harness/servers.js";
import { slope } from "../harness/statistics.js";
import { httpSubjects, type Subject } from "../harness/subjects.js";
import { availableSubjects, type Context, type Suite } from "../harness/suite.js";
import { heapCases } from "./http-cases.js";

const SUBJECTS = ["ringloom", "ringloom-fetch", "ringloom-portable", "node-http"];
const SAMPLES = 10;
/** The requests of a full run. A tenth of it, as warm-up, comes first and is not counted. */
const REQUESTS_FULL = 5_000_000;
/** Over fewer requests, a slope per million would be mostly extrapolated noise. */
const GROWTH_REQUESTS_MIN = 1_000_000;
const REQUESTS_QUICK = 300_000;
/** A slow server gets fewer requests, so that a case ends within this time. */
const CASE_SECONDS_MAX = 40;
const CASE_SECONDS_MAX_QUICK = 3;

const heapBytes: Metric = { name: "heap-bytes/req", unit: "B", better: "lower", decimals: 0 };
const heapUsed: Metric = { name: "heap-used", unit: "KiB", better: "lower", decimals: 0 };
const heapGrowth: Metric = { name: "heap-growth", unit: "B/Mreq", better: "lower", decimals: 0 };
const requests: Metric = { name: "requests", unit: "req", better: "higher", decimals: 0 };

const subjects = select(httpSubjects, SUBJECTS);

/** The suite. */
export const heapSuite: Suite = {
  name: "heap",
  about: "heap growth over 5 million requests, and bytes allocated for one",
  cases: heapCases,
  subjects,
  metrics: [heapBytes, heapUsed, heapGrowth, requests],
  comparisons: [{ metric: heapBytes.name, base: "node-http" }],
  plotted: [heapBytes.name],
  goals: [
    {
      suite: "heap",
      case: "static-p16",
      metric: heapBytes.name,
      subject: "ringloom",
      base: undefined,
      relation: "at most",
      value: 300,
    },
    // 20 kB in a million requests is 0.02 bytes a request: less than any object, so what is left is the noise of compiled code.
    {
      suite: "heap",
      case: "static-p16",
      metric: heapGrowth.name,
      subject: "ringloom",
      base: undefined,
      relation: "at most",
      value: 20_000,
    },
  ],
  run,
};

async function run(context: Context): Promise<void> {
  const { options, results } = context;
  const reason =
    (await prepare("load-generator")) ?? (lineBuffered([]) === undefined ? "there is no stdbuf" : undefined);
  if (reason !== undefined) {
    results.miss({
      suite: "heap",
      case: undefined,
      subject: "all",
      kind: "failed",
      reason: `cannot measure: ${reason}`,
    });
    return;
  }
  await runRounds(context, {
    cases: select(heapCases, options.cases),
    subjects: await availableSubjects("heap", select(subjects, options.subjects), results),
    rounds: 1,
    deadlineMs: Number.POSITIVE_INFINITY,
    measure: (run) => measure(context, run),
    explain: (error, { runCase, subject }) => missingFrom(error, "heap", runCase.name, subject),
  });
}

async function measure(context: Context, { runCase: httpCase, subject }: Run<HttpCase, Subject>): Promise<void> {
  const { placement, results, options } = context;
  const start = {
    cores: placement.serverCore,
    httpCase,
    nodeFlags: ["--expose-gc", "--trace-gc-nvp"],
    wrap: (command: string[]) => lineBuffered(command) ?? command,
  };
  await withServer(subject, start, async (server) => {
    const meter = new AllocationMeter(server);
    const total = await warmUp(server, httpCase, context);
    const load = { core: placement.loadCore, warmupSeconds: 0, seconds: 120, requests: Math.round(total / SAMPLES) };
    const points: [number, number][] = [[0, await heapAfterCollection(server)]];
    await delay(50);
    meter.reset();
    let sent = 0;
    for (let sample = 0; sample < SAMPLES; sample++) {
      sent += (await runHttpLoad(server, httpCase, load)).requests;
      points.push([sent / 1e6, await heapAfterCollection(server)]);
    }
    // The last lines travel through a pipe.
    await delay(50);
    const add = (metric: Metric, round: number, value: number): void =>
      results.add("heap", httpCase.name, subject.name, metric, round, value);
    add(heapBytes, 0, meter.bytes / sent);
    points.forEach(([, bytes], index) => {
      add(heapUsed, index, bytes / 1024);
    });
    // The first sample still holds what the first forced collection itself left behind.
    if (sent >= GROWTH_REQUESTS_MIN) add(heapGrowth, 0, slope(points.slice(1)));
    add(requests, 0, sent);
    const series = points.map(([, bytes]) => (bytes / 1024).toFixed(0)).join(" ");
    progress(
      `heap ${httpCase.name} ${subject.name}: ${sent.toLocaleString("en")} requests, KiB after collections: ${series}`,
    );
    if (sent < REQUESTS_FULL && !options.isQuick) {
      const run = `heap ${httpCase.name} ${subject.name}`;
      context.notes.add("too slow for 5 million requests in the time of a case, so it got fewer", run);
    }
  });
}

/** Lets code be compiled and pools be filled, and returns how many requests this server can answer in the time of a case. */
async function warmUp(server: RunningServer, httpCase: HttpCase, { placement, options }: Context): Promise<number> {
  const wanted = options.isQuick ? REQUESTS_QUICK : REQUESTS_FULL;
  const seconds = options.seconds ?? (options.isQuick ? CASE_SECONDS_MAX_QUICK : CASE_SECONDS_MAX);
  const load = { core: placement.loadCore, warmupSeconds: 0, seconds: seconds / 10 };
  const { requestsPerSecond, requests: done } = await runHttpLoad(server, httpCase, load);
  const left = wanted / 10 - done;
  if (left > 0 && requestsPerSecond * seconds >= wanted) {
    await runHttpLoad(server, httpCase, { ...load, seconds: 60, requests: Math.round(left) });
  }
  return Math.min(wanted, Math.round(requestsPerSecond * seconds));
}

async function heapAfterCollection(server: RunningServer): Promise<number> {
  const response = await fetch(`http://${server.host}:${server.port}/__heap`);
  if (response.status !== 200) throw new LoadError(`GET /__heap was answered with ${response.status}`);
  const body: unknown = await response.json();
  if (typeof body === "object" && body !== null && "heapUsed" in body && typeof body.heapUsed === "number")
    return body.heapUsed;
  throw new LoadError("GET /__heap has no number heapUsed");
}
