/** What a suite is, and the parts that every suite of servers shares: which subjects can be had, and running one of them for a while. */
import { existsSync } from "node:fs";
import type { HttpCase } from "./load.js";
import { type Placement, pinned, root } from "./machine.js";
import type { Options } from "./options.js";
import { type Need, prepare } from "./prepare.js";
import { type RunningServer, ServerStartError, startServer } from "./processes.js";
import type { Metric, Missing, Notes, Results } from "./rows.js";
import { commandOf, type Subject } from "./subjects.js";

const START_TIMEOUT_MS = 20_000;

/** A suite may take this long with `--quick`. */
export const QUICK_SECONDS_MAX = 45;

/** Something that a figure should be, relative to a subject of the same run or absolute. */
export interface Goal {
  readonly suite: string;
  readonly case: string;
  readonly metric: string;
  readonly subject: string;
  /** The figure is the ratio to this subject's; undefined for an absolute figure. */
  readonly base: string | undefined;
  readonly relation: "at least" | "at most";
  readonly value: number;
}

/** A column of the report that compares with one subject. */
export interface Comparison {
  readonly metric: string;
  readonly base: string;
}

export interface Context {
  /** Name of the suite that runs. */
  readonly suite: string;
  readonly options: Options;
  readonly placement: Placement;
  readonly results: Results;
  readonly notes: Notes;
}

export interface Suite {
  readonly name: string;
  readonly about: string;
  readonly cases: readonly { readonly name: string; readonly about: string }[];
  /** What the report and the command line need of a subject; servers are {@link Subject}s, other suites have their own kind. */
  readonly subjects: readonly { readonly name: string; readonly about: () => string }[];
  readonly metrics: readonly Metric[];
  readonly comparisons: readonly Comparison[];
  /** The metrics that `--plot` draws. */
  readonly plotted: readonly string[];
  readonly goals: readonly Goal[];
  run(context: Context): Promise<void>;
}

/** Meets the needs of the subjects and returns those that can be had; the others are noted as unavailable. */
export async function availableSubjects<T extends Requirements>(
  suite: string,
  subjects: readonly T[],
  results: Results,
): Promise<T[]> {
  const available: T[] = [];
  for (const subject of subjects) {
    const reason = await unmetNeed(subject);
    if (reason === undefined) available.push(subject);
    else results.miss({ suite, case: undefined, subject: subject.name, kind: "unavailable", reason });
  }
  return available;
}

/** What must be there before a subject can run. */
export interface Requirements {
  readonly name: string;
  readonly needs: readonly Need[];
  readonly executable: string;
}

async function unmetNeed(subject: Requirements): Promise<string | undefined> {
  for (const need of subject.needs) {
    const reason = await prepare(need);
    if (reason !== undefined) return reason;
  }
  return existsSync(subject.executable) ? undefined : `${subject.executable} does not exist`;
}

/** How a subject is started in a special way: V8 flags in front of its script, a command around all. */
export interface StartOptions {
  readonly nodeFlags?: readonly string[];
  readonly wrap?: (command: string[]) => string[];
}

/** Starts a subject on the server's core, lets `use` work with it, and ends it whatever happens. */
export async function withServer<T>(
  subject: Subject,
  httpCase: HttpCase,
  placement: Placement,
  use: (server: RunningServer) => Promise<T>,
  how: StartOptions = {},
): Promise<T> {
  const server = await startSubject(subject, httpCase, placement, how);
  try {
    return await useServer(server, use);
  } finally {
    await server.stop();
  }
}

/** Servers that keep running between cases, for runs too short to warm up a new one each time. */
export class ServerPool {
  readonly #servers = new Map<string, RunningServer>();
  readonly #placement: Placement;

  constructor(placement: Placement) {
    this.#placement = placement;
  }

  /** Like {@link withServer}, but the server stays; `warmUp` is called once, when it was just started. */
  async use<T>(
    subject: Subject,
    httpCase: HttpCase,
    warmUp: (server: RunningServer) => Promise<unknown>,
    use: (server: RunningServer) => Promise<T>,
  ): Promise<T> {
    // A server whose arguments depend on the case cannot be kept; none of these needs a warm-up.
    if (subject.argsFor !== undefined) return withServer(subject, httpCase, this.#placement, use);
    let server = this.#servers.get(subject.name);
    if (server === undefined) {
      server = await startSubject(subject, httpCase, this.#placement, {});
      this.#servers.set(subject.name, server);
      await warmUp(server);
    }
    return useServer(server, use);
  }

  /** Ends all servers. */
  async stop(): Promise<void> {
    await Promise.all([...this.#servers.values()].map((server) => server.stop()));
    this.#servers.clear();
  }
}

function startSubject(
  subject: Subject,
  httpCase: HttpCase,
  placement: Placement,
  how: StartOptions,
): Promise<RunningServer> {
  const command = commandOf(subject, httpCase, how.nodeFlags ?? []);
  const wrapped = how.wrap === undefined ? command : how.wrap(command);
  const env = { ...process.env, ...subject.env };
  return startServer(pinned(placement.serverCore, wrapped), { cwd: root, env, timeoutMs: START_TIMEOUT_MS });
}

async function useServer<T>(server: RunningServer, use: (server: RunningServer) => Promise<T>): Promise<T> {
  const result = await use(server);
  if (!server.hasExited()) return result;
  throw new Error(`the server ended during the run: ${server.errorText().trim().slice(-300)}`);
}

/** What an error of {@link withServer} means: the machine cannot have the subject, or it went wrong. */
export function missingFrom(error: unknown, suite: string, caseName: string, subject: Subject): Missing {
  const message = error instanceof Error ? error.message : String(error);
  const isUnavailable = error instanceof ServerStartError && subject.unavailable?.test(message) === true;
  return isUnavailable
    ? { suite, case: undefined, subject: subject.name, kind: "unavailable", reason: message }
    : { suite, case: caseName, subject: subject.name, kind: "failed", reason: message };
}
