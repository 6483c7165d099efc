/** The suite `mixed`: light requests beside a few that burn CPU, at a constant rate, and the rate at which each server breaks. */
import { burn, stepNs, stepsOf } from "../harness/kernel.js";
import { GaveUpError, type PacedLoad, runPacedLoad } from "../harness/load.js";
import { bothCores, type Cores } from "../harness/machine.js";
import { select } from "../harness/options.js";
import { prepare } from "../harness/prepare.js";
import type { RunningServer } from "../harness/processes.js";
import { progress } from "../harness/progress.js";
import { type Run, runRounds } from "../harness/rounds.js";
import type { Metric } from "../harness/rows.js";
import { missingFrom, type StartOptions, startSubject, useServer, withServer } from "../harness/servers.js";
import type { Subject } from "../harness/subjects.js";
import { availableSubjects, type Context, type Goal, QUICK_SECONDS_MAX, type Suite } from "../harness/suite.js";
import { mixedSubjects } from "./mixed-subjects.js";

const CONNECTIONS = 64;
/** One of so many requests is `GET /work`. */
const WORK_EVERY = 100;
const WORK_MS = 20;
/** The rate of the case `light`: the work alone takes 0.4 of a core, so a server of one thread still keeps up. */
const LIGHT_RATE = 2_000;
/** A server is broken when a request fails, or the light requests' p99 exceeds this. */
const P99_MS_MAX = 50;
/** At 10,000 requests a second the work alone would take both cores. */
const RATE_MAX = 20_000;
/** A generator later than this says more about the machine than about the server. */
const LATE_US_MAX = 5_000;

const cases = [
  {
    name: "light",
    about: `${LIGHT_RATE.toLocaleString("en")} requests a second on ${CONNECTIONS} connections, 99 % GET /hello, 1 % GET /work?ms=${WORK_MS}; the GET /hello`,
  },
  {
    name: "breaking",
    about: `the same mix, faster and faster: the highest rate with no failure and a p99 of GET /hello within ${P99_MS_MAX} ms`,
  },
] as const;

const p50: Metric = { name: "p50", unit: "µs", better: "lower", decimals: 0 };
const p99: Metric = { name: "p99", unit: "µs", better: "lower", decimals: 0 };
const p999: Metric = { name: "p99.9", unit: "µs", better: "lower", decimals: 0 };
const failed: Metric = { name: "failed", unit: "requests", better: "lower", decimals: 0 };
const workP99: Metric = { name: "work-p99", unit: "µs", better: "lower", decimals: 0 };
const workFailed: Metric = { name: "work-failed", unit: "requests", better: "lower", decimals: 0 };
const breakingRate: Metric = { name: "break-req/s", unit: "req/s", better: "higher", decimals: 0 };

/** The suite. */
export const mixedSuite: Suite = {
  name: "mixed",
  about: "light requests beside 1 % that burn 20 ms of CPU, at a constant rate, and the rate that breaks",
  cases,
  subjects: mixedSubjects,
  metrics: [p50, p99, p999, failed, workP99, workFailed, breakingRate],
  comparisons: [
    { metric: p99.name, base: "node-http" },
    { metric: p99.name, base: "go" },
    { metric: breakingRate.name, base: "node-http" },
  ],
  plotted: [p99.name, breakingRate.name],
  goals: ["ringloom", "ringloom-epoll"].flatMap((subject) => [
    // Who turns requests away, or never does the work, has a fine p99.
    goal("light", failed, subject, undefined, "at most", 0),
    goal("light", workFailed, subject, undefined, "at most", 0),
    goal("light", p99, subject, "go", "at most", 1),
    goal("light", p99, subject, "node-http", "at most", 0.1),
    goal("light", p99, subject, "node-piscina", "at most", 1 / 3),
    ...["node-http", "node26-http", "node-piscina", "cluster"].map((base) =>
      goal("breaking", breakingRate, subject, base, "at least", 1.3),
    ),
  ]),
  run,
};

function goal(
  caseName: string,
  metric: Metric,
  subject: string,
  base: string | undefined,
  relation: Goal["relation"],
  value: number,
): Goal {
  return { suite: "mixed", case: caseName, metric: metric.name, subject, base, relation, value };
}

/** How long one load lasts. */
type LoadTimes = Pick<PacedLoad, "warmupSeconds" | "seconds" | "drainSeconds">;

/** How long things take; `--quick` gives a rough picture of the breaking rate, in steps of a third. */
interface Plan {
  readonly rounds: number;
  readonly light: LoadTimes;
  /** Its drain is short, for what a server can only answer by catching up afterwards is more than it can hold. */
  readonly step: LoadTimes;
  /** What a server that was just started gets before its first step, at the lowest rate. */
  readonly freshWarmup: LoadTimes;
  readonly search: SearchPlan;
  readonly deadlineMs: number;
}

/** How the breaking rate is looked for: from `first`, `factor` times as much until it breaks, then so many halvings of the last gap. */
export interface SearchPlan {
  readonly first: number;
  readonly factor: number;
  readonly halvings: number;
  /** A step is broken when it breaks so many times in a row, so that one hiccup of the machine does not end the search. */
  readonly tries: number;
}

function makePlan({ options }: Context): Plan {
  const { isQuick } = options;
  const seconds = options.seconds ?? (isQuick ? 1 : 5);
  const rounds = options.rounds ?? (isQuick ? 1 : 3);
  if (isQuick) {
    return {
      rounds,
      light: { warmupSeconds: 0.4, seconds, drainSeconds: 0.2 },
      step: { warmupSeconds: 0.1, seconds: Math.min(seconds, 0.5), drainSeconds: 0.1 },
      freshWarmup: { warmupSeconds: 0, seconds: 0.3, drainSeconds: 0.1 },
      search: { first: 1_500, factor: 1.8, halvings: 1, tries: 1 },
      deadlineMs: performance.now() + (QUICK_SECONDS_MAX - 5) * 1_000,
    };
  }
  return {
    rounds,
    light: { warmupSeconds: 1, seconds, drainSeconds: 1 },
    step: { warmupSeconds: 0.5, seconds: Math.min(seconds, 3), drainSeconds: 0.3 },
    freshWarmup: { warmupSeconds: 0, seconds: 1, drainSeconds: 0.3 },
    search: { first: 1_000, factor: 1.4, halvings: 3, tries: 2 },
    deadlineMs: Number.POSITIVE_INFINITY,
  };
}

async function run(context: Context): Promise<void> {
  const { options, results, notes, placement } = context;
  const reason = await prepare("load-generator");
  if (reason !== undefined) {
    results.miss({ suite: "mixed", case: undefined, subject: "all", kind: "failed", reason: `no load: ${reason}` });
    return;
  }
  const subjects = await availableSubjects("mixed", select(mixedSubjects, options.subjects), results);
  const plan = makePlan(context);
  const place = bothCores(placement) ?? "of this machine, unpinned";
  notes.add(`mixed: server and load generator share the cores ${place}`);
  notes.add(
    `mixed: ${WORK_MS} ms are ${stepsOf(WORK_MS * 1_000).toLocaleString("en")} steps of ${stepNs().toFixed(3)} ns`,
  );
  await runRounds(context, {
    cases: select(cases, options.cases),
    subjects,
    rounds: plan.rounds,
    deadlineMs: plan.deadlineMs,
    measure: (one) => (one.runCase.name === "light" ? measureLight : measureBreaking)(context, plan, one),
    explain: (error, { runCase, subject }) => missingFrom(error, "mixed", runCase.name, subject),
  });
}

type MixedRun = Run<(typeof cases)[number], Subject>;

async function measureLight(context: Context, plan: Plan, { subject, round }: MixedRun): Promise<void> {
  const { results, notes } = context;
  const cores = bothCores(context.placement);
  const load = loadAt(LIGHT_RATE, plan.light);
  const result = await withServer(subject, startOptions(context), (server) => runPacedLoad(server, load, cores));
  const add = (metric: Metric, value: number): void =>
    results.add("mixed", "light", subject.name, metric, round, value);
  add(p50, result.p50Us);
  add(p99, result.p99Us);
  add(p999, result.p999Us);
  add(failed, result.failed);
  add(workP99, result.secondP99Us);
  add(workFailed, result.secondFailed);
  if (result.lateP99Us > LATE_US_MAX) {
    notes.add("the generator was over 5 ms late for 1 % of its requests, because nothing left it a core", subject.name);
  }
  progress(`round ${round + 1} light ${subject.name}: p99 ${(result.p99Us / 1e3).toFixed(2)} ms`);
}

async function measureBreaking(context: Context, plan: Plan, { subject, round }: MixedRun): Promise<void> {
  const cores = bothCores(context.placement);
  let server: RunningServer | undefined;
  const holds = async (rate: number): Promise<boolean> => {
    if (server === undefined) {
      server = await startSubject(subject, startOptions(context));
      // Else the steps behind one that broke would meet a server that has compiled nothing, and the steps before it one that has.
      await useServer(server, (fresh) => holdsLoad(fresh, loadAt(plan.search.first, plan.freshWarmup), cores));
    }
    const isHeld = await useServer(server, (warm) => holdsLoad(warm, loadAt(rate, plan.step), cores));
    progress(`round ${round + 1} breaking ${subject.name}: ${isHeld ? "holds" : "breaks at"} ${Math.round(rate)}`);
    if (isHeld) return true;
    // What a broken server has queued up must not weigh on the next step.
    await server.stop();
    server = undefined;
    return false;
  };
  try {
    const rate = await searchBreakingRate(holds, plan.search);
    context.results.add("mixed", "breaking", subject.name, breakingRate, round, rate);
  } finally {
    await server?.stop();
  }
}

/** The highest rate that holds, or 0 when the first one already breaks. */
export async function searchBreakingRate(
  holds: (rate: number) => Promise<boolean>,
  { first, factor, halvings, tries }: SearchPlan,
): Promise<number> {
  const isHeld = async (rate: number): Promise<boolean> => {
    // That the first one breaks ends everything and says next to nothing, so it is never believed at once.
    const count = rate === first ? Math.max(2, tries) : tries;
    for (let i = 0; i < count; i++) if (await holds(rate)) return true;
    return false;
  };
  let held = 0;
  let broken = first;
  while (await isHeld(broken)) {
    held = broken;
    if (held >= RATE_MAX) return held;
    broken *= factor;
  }
  if (held === 0) return 0;
  for (let i = 0; i < halvings; i++) {
    // Half-way in ratios, since the steps are.
    const middle = Math.sqrt(held * broken);
    if (await isHeld(middle)) held = middle;
    else broken = middle;
  }
  return held;
}

/** Whether everything is answered, and the light requests in time. A server that ends is no server that breaks: that is thrown. */
async function holdsLoad(server: RunningServer, load: PacedLoad, cores: Cores | undefined): Promise<boolean> {
  try {
    const result = await runPacedLoad(server, load, cores);
    return result.failed === 0 && result.secondFailed === 0 && result.p99Us <= P99_MS_MAX * 1e3;
  } catch (error) {
    // It turns away or drops most of what comes. That it has not ended is looked at behind each step.
    if (error instanceof GaveUpError && !server.hasExited()) return false;
    throw error;
  }
}

function loadAt(rate: number, { warmupSeconds, seconds, drainSeconds }: LoadTimes): PacedLoad {
  return {
    connections: CONNECTIONS,
    path: "/hello",
    expectBody: "hello",
    second: { every: WORK_EVERY, path: `/work?ms=${WORK_MS}`, expectBody: expectedWork() },
    rate,
    warmupSeconds,
    seconds,
    drainSeconds,
  };
}

function startOptions({ placement }: Context): StartOptions {
  return { cores: bothCores(placement), env: { BENCH_STEPS_PER_MS: String(stepsPerMs()) } };
}

function stepsPerMs(): number {
  return stepsOf(1_000);
}

let workResult: string | undefined;

/** What `/work` must answer: the kernel's result, so that a server that did not do the work is found out. */
function expectedWork(): string {
  workResult ??= String(burn(WORK_MS, WORK_MS * stepsPerMs()));
  return workResult;
}
