/** The suite `http`: one server process on one core under closed-loop load, in alternating rounds. */
import { type HttpCase, type LoadResult, runHttpLoad, runWrk } from "../harness/load.js";
import { type Cores, findTool } from "../harness/machine.js";
import {
  allocatedBytesPerRequest,
  allocationFlags,
  cpuTimeUs,
  lineBuffered,
  residentMiB,
  systemCallsPerRequest,
} from "../harness/observe.js";
import { select } from "../harness/options.js";
import { prepare } from "../harness/prepare.js";
import type { RunningServer } from "../harness/processes.js";
import { progress } from "../harness/progress.js";
import { Dead, type Rounds, type Run, runRounds } from "../harness/rounds.js";
import type { Metric } from "../harness/rows.js";
import { missingFrom, ServerPool, withServer } from "../harness/servers.js";
import { median } from "../harness/statistics.js";
import { httpSubjects, type Subject } from "../harness/subjects.js";
import { availableSubjects, type Context, type Goal, QUICK_SECONDS_MAX, type Suite } from "../harness/suite.js";
import { httpCases } from "./http-cases.js";

const ROUNDS_DEFAULT = 5;
const SECONDS_DEFAULT = 1.5;
/** V8 needs about this long to compile a server's hot code when its compiler threads share the server's core. */
const WARMUP_SECONDS = 1;
/** `--quick` keeps servers between cases: they warm up once at length, then a little for each case. */
const WARMUP_SECONDS_QUICK = 0.1;
/** What starting and ending one server takes, roughly. */
const START_SECONDS = 0.4;
/** `--quick` plans for less than its limit, so that a slow machine keeps it too. */
const QUICK_SECONDS_PLANNED = 37;
const SYSTEM_CALL_SECONDS = 0.5;
const ALLOCATION_SECONDS = 1.5;

const requestRate: Metric = { name: "req/s", unit: "req/s", better: "higher", decimals: 0 };
const p50: Metric = { name: "p50", unit: "µs", better: "lower", decimals: 1 };
const p99: Metric = { name: "p99", unit: "µs", better: "lower", decimals: 0 };
const cpu: Metric = { name: "cpu-us/req", unit: "µs", better: "lower", decimals: 2 };
const systemCalls: Metric = { name: "syscalls/req", unit: "calls", better: "lower", decimals: 3 };
const heapBytes: Metric = { name: "heap-bytes/req", unit: "B", better: "lower", decimals: 0 };
const resident: Metric = { name: "rss", unit: "MiB", better: "lower", decimals: 0 };
const wrkRate: Metric = { name: "wrk-req/s", unit: "req/s", better: "higher", decimals: 0 };
const wrkP50: Metric = { name: "wrk-p50", unit: "µs", better: "lower", decimals: 0 };
const wrkP99: Metric = { name: "wrk-p99", unit: "µs", better: "lower", decimals: 0 };

function goal(
  caseName: string,
  metric: Metric,
  subject: string,
  base: string,
  relation: Goal["relation"],
  value: number,
): Goal {
  return { suite: "http", case: caseName, metric: metric.name, subject, base, relation, value };
}

/** The suite. */
export const httpSuite: Suite = {
  name: "http",
  about: "throughput, latency, CPU time, system calls and memory of one server on one core",
  cases: httpCases,
  subjects: httpSubjects,
  metrics: [requestRate, p50, p99, cpu, systemCalls, heapBytes, resident, wrkRate, wrkP50, wrkP99],
  comparisons: [
    { metric: requestRate.name, base: "node-http" },
    { metric: requestRate.name, base: "c-io_uring" },
    { metric: cpu.name, base: "c-io_uring" },
  ],
  plotted: [requestRate.name, p99.name, cpu.name],
  goals: [
    goal("hello-c64", requestRate, "ringloom", "node-http", "at least", 2.2),
    goal("hello-c64", cpu, "ringloom", "c-io_uring", "at most", 1.15),
    goal("hello-c64", p99, "ringloom", "node-http", "at most", 1),
    goal("hello-p16", requestRate, "ringloom", "node-http", "at least", 20),
    goal("hello-p16", requestRate, "ringloom", "c-io_uring", "at least", 0.65),
    goal("hello-c1", requestRate, "ringloom", "node-http", "at least", 1),
    goal("hello-c64", requestRate, "ringloom-fetch", "node-http", "at least", 1.3),
    goal("hello-c64", requestRate, "ringloom-epoll", "ringloom", "at least", 0.9),
    goal("hello-p16", requestRate, "ringloom-epoll", "ringloom", "at least", 0.9),
    goal("hello-c64", requestRate, "ringloom-epoll", "node-http", "at least", 2),
    goal("hello-c64", requestRate, "ringloom-epoll", "node26-http", "at least", 1.5),
    goal("hello-c64", requestRate, "ringloom-portable", "node-http", "at least", 0.9),
  ],
  run: (context) => runServers(context, httpCases, httpSubjects),
};

/** The metrics of {@link runServers}. */
export const serverMetrics: readonly Metric[] = httpSuite.metrics;

interface Plan {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmupSeconds: number;
  /** No run starts after this time (`performance.now()`). */
  readonly deadlineMs: number;
}

/** Runs servers under load, one at a time in alternating rounds, and collects every metric of this suite. */
export async function runServers(
  context: Context,
  allCases: readonly HttpCase[],
  allSubjects: readonly Subject[],
): Promise<void> {
  const { options, results, suite } = context;
  const cases = select(allCases, options.cases);
  const wanted = select(allSubjects, options.subjects);
  const generator = await chooseGenerator(context);
  if (generator === undefined) return;
  const subjects = await availableSubjects(suite, wanted, results);
  const plan = makePlan(context, subjects.length, cases.length);
  const { rounds, seconds, warmupSeconds } = plan;
  const size = `${subjects.length} subjects, ${cases.length} cases, ${rounds} rounds`;
  progress(`${suite}: ${size} of ${seconds.toFixed(2)} s after ${warmupSeconds.toFixed(2)} s of warm-up`);
  if (options.isQuick) context.notes.add("--quick: short runs on servers that stay up between cases; a rough picture");
  const pool = options.isQuick ? new ServerPool((server, httpCase) => warmUp(server, httpCase, session)) : undefined;
  const session: Session = { context, plan, generator, pool };
  const all: Omit<ServerRounds, "measure"> = {
    cases,
    subjects,
    rounds,
    deadlineMs: plan.deadlineMs,
    explain: (error, { runCase, subject }) => missingFrom(error, suite, runCase.name, subject),
  };
  const dead = new Dead();
  try {
    await runRounds(context, { ...all, measure: (run) => measureOnce(session, run) }, dead);
  } finally {
    await pool?.stop();
  }
  if (options.isQuick || generator === "wrk") return;
  await runRounds(context, { ...all, rounds: 1, measure: (run) => measureExtras(context, run) }, dead);
}

type ServerRun = Run<HttpCase, Subject>;
type ServerRounds = Rounds<HttpCase, Subject>;

/** What every run of the rounds shares. */
interface Session {
  readonly context: Context;
  readonly plan: Plan;
  readonly generator: "http-load" | "wrk";
  /** Undefined: each run gets a server of its own. */
  readonly pool: ServerPool | undefined;
}

/** Our own generator; wrk where it cannot be built; nothing where there is neither. */
async function chooseGenerator({ suite, results, notes, options }: Context): Promise<"http-load" | "wrk" | undefined> {
  const hasWrk = findTool("wrk") !== undefined;
  if (options.isUsingWrk && !hasWrk) notes.add("--wrk: wrk is not installed, so there is no second opinion");
  const reason = await prepare("load-generator");
  if (reason === undefined) return "http-load";
  if (hasWrk) {
    notes.add(`load from wrk, because http-load is ${reason}: wrk checks no lengths and saturates near 150,000 req/s`);
    return "wrk";
  }
  results.miss({
    suite,
    case: undefined,
    subject: "all",
    kind: "failed",
    reason: `no load generator: http-load is ${reason}, and there is no wrk`,
  });
  return undefined;
}

function makePlan({ options }: Context, subjectCount: number, caseCount: number): Plan {
  const rounds = options.rounds ?? (options.isQuick ? 1 : ROUNDS_DEFAULT);
  if (!options.isQuick) {
    const seconds = options.seconds ?? SECONDS_DEFAULT;
    return { rounds, seconds, warmupSeconds: WARMUP_SECONDS, deadlineMs: Number.POSITIVE_INFINITY };
  }
  const loadSeconds = QUICK_SECONDS_PLANNED - subjectCount * (START_SECONDS + WARMUP_SECONDS);
  const runs = Math.max(1, subjectCount * caseCount * rounds);
  const affordable = loadSeconds / runs - WARMUP_SECONDS_QUICK;
  const seconds = options.seconds ?? Math.min(1, Math.max(0.1, affordable));
  const deadlineMs = performance.now() + (QUICK_SECONDS_MAX - 3) * 1_000;
  return { rounds, seconds, warmupSeconds: WARMUP_SECONDS_QUICK, deadlineMs };
}

async function measureOnce(session: Session, { runCase: httpCase, subject, round }: ServerRun): Promise<void> {
  const { context, plan, generator, pool } = session;
  const { placement, results, options } = context;
  const start = { cores: placement.serverCore, httpCase };
  const load = { core: placement.loadCore, warmupSeconds: plan.warmupSeconds, seconds: plan.seconds };
  const add = (metric: Metric, value: number | undefined): void => {
    if (value !== undefined) results.add(context.suite, httpCase.name, subject.name, metric, round, value);
  };
  const measure = async (server: RunningServer): Promise<void> => {
    const result =
      generator === "wrk" ? await wrkWithCpu(server, httpCase, load) : await runHttpLoad(server, httpCase, load);
    add(requestRate, result.requestsPerSecond);
    add(p50, result.p50Us);
    add(p99, result.p99Us);
    if (result.serverCpuUs !== undefined) add(cpu, result.serverCpuUs / result.requests);
    add(resident, residentMiB(server.pid));
    noteSaturation(context, subject, httpCase, result);
    const rate = Math.round(result.requestsPerSecond).toLocaleString("en");
    progress(`round ${round + 1} ${httpCase.name} ${subject.name}: ${rate} req/s`);
    if (options.isUsingWrk && generator === "http-load" && findTool("wrk") !== undefined) {
      const second = await runWrk(server, httpCase, { ...load, warmupSeconds: 0 });
      add(wrkRate, second.requestsPerSecond);
      add(wrkP50, second.p50Us);
      add(wrkP99, second.p99Us);
    }
  };
  return pool === undefined ? withServer(subject, start, measure) : pool.use(subject, start, measure);
}

async function warmUp(server: RunningServer, httpCase: HttpCase, { context, generator }: Session): Promise<void> {
  const load = { core: context.placement.loadCore, warmupSeconds: 0, seconds: WARMUP_SECONDS };
  await (generator === "wrk" ? runWrk(server, httpCase, load) : runHttpLoad(server, httpCase, load));
}

/** wrk cannot read another process's CPU time, so it is read around a run without warm-up. */
async function wrkWithCpu(
  server: RunningServer,
  httpCase: HttpCase,
  load: { core: Cores | undefined; warmupSeconds: number; seconds: number },
): Promise<LoadResult> {
  const before = cpuTimeUs(server.pid);
  const result = await runWrk(server, httpCase, { ...load, warmupSeconds: 0 });
  const after = cpuTimeUs(server.pid);
  return { ...result, serverCpuUs: before === undefined || after === undefined ? undefined : after - before };
}

/** Says when a figure is not the server's own because the generator was the limit. */
function noteSaturation({ notes }: Context, subject: Subject, httpCase: HttpCase, result: LoadResult): void {
  const { loadBusy, serverBusy } = result;
  if (loadBusy === undefined || serverBusy === undefined || serverBusy > 0.9 || loadBusy <= 0.95) return;
  const run = keyOf(subject, httpCase);
  notes.add("limited by the load generator, so req/s is too low and cpu-us/req is what counts", run);
}

/** System calls and allocated bytes, each in a server of its own, because measuring them disturbs the rest. */
async function measureExtras(context: Context, { runCase: httpCase, subject }: ServerRun): Promise<void> {
  const { placement, results, suite } = context;
  const load = { core: placement.loadCore, warmupSeconds: 0, seconds: SYSTEM_CALL_SECONDS };
  const calls = await withServer(subject, { cores: placement.serverCore, httpCase }, (server) =>
    systemCallsPerRequest(server, httpCase, load),
  );
  if (calls !== undefined) results.add(suite, httpCase.name, subject.name, systemCalls, 0, calls);
  const bytes = subject.isNode ? await measureAllocation(context, subject, httpCase) : undefined;
  if (bytes !== undefined) results.add(suite, httpCase.name, subject.name, heapBytes, 0, bytes);
  progress(
    `extras ${httpCase.name} ${subject.name}: ${calls?.toFixed(3) ?? "-"} system calls, ${bytes?.toFixed(0) ?? "-"} heap bytes a request`,
  );
}

async function measureAllocation(
  { suite, placement, results, notes }: Context,
  subject: Subject,
  httpCase: HttpCase,
): Promise<number | undefined> {
  if (lineBuffered([]) === undefined) {
    notes.add("no heap-bytes/req: there is no stdbuf");
    return undefined;
  }
  const rates = results
    .rows()
    .filter(
      (row) =>
        row.suite === suite &&
        row.case === httpCase.name &&
        row.subject === subject.name &&
        row.metric === requestRate.name,
    );
  const rate = rates.length === 0 ? 10_000 : median(rates.map((row) => row.median));
  const load = {
    core: placement.loadCore,
    warmupSeconds: 0,
    seconds: 30,
    requests: Math.min(1_000_000, Math.max(20_000, Math.round(rate * ALLOCATION_SECONDS))),
  };
  const start = {
    cores: placement.serverCore,
    httpCase,
    nodeFlags: allocationFlags,
    wrap: (command: string[]) => lineBuffered(command) ?? command,
  };
  return withServer(subject, start, (server) => allocatedBytesPerRequest(server, httpCase, load));
}

function keyOf(subject: Subject, httpCase: HttpCase): string {
  return `${httpCase.name} ${subject.name}`;
}
