/** Running one of the servers that are measured for a while. */
import { setTimeout as delay } from "node:timers/promises";
import { type HttpCase, LoadError } from "./load.js";
import { type Cores, pinned, root } from "./machine.js";
import { type RunningServer, ServerStartError, startServer } from "./processes.js";
import type { Missing } from "./rows.js";
import { commandOf, type Subject } from "./subjects.js";

const START_TIMEOUT_MS = 20_000;
/** The generator notices a server's end before the harness hears of it. */
const EXIT_NOTICE_MS = 200;

/** How a subject is started. */
export interface StartOptions {
  /** Where it runs; anywhere when undefined. */
  readonly cores: Cores | undefined;
  /** For subjects whose arguments depend on the case. */
  readonly httpCase?: HttpCase;
  /** Beside the subject's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** V8 flags in front of its script. */
  readonly nodeFlags?: readonly string[];
  /** A command around all. */
  readonly wrap?: (command: string[]) => string[];
}

/** Starts a subject; the caller ends it. Rejects with {@link ServerStartError}. */
export function startSubject(subject: Subject, options: StartOptions): Promise<RunningServer> {
  const { cores, httpCase, env, nodeFlags = [], wrap } = options;
  const command = commandOf(subject, httpCase, nodeFlags);
  return startServer(pinned(cores, wrap === undefined ? command : wrap(command)), {
    cwd: root,
    env: { ...process.env, ...subject.env, ...env },
    timeoutMs: START_TIMEOUT_MS,
  });
}

/** Lets `use` work with a server. A server that has ended by then is an Error with its last words, whatever `use` made of it. */
export async function useServer<T>(server: RunningServer, use: (server: RunningServer) => Promise<T>): Promise<T> {
  let result: T;
  try {
    result = await use(server);
  } catch (error) {
    if (!(error instanceof LoadError)) throw error;
    await delay(EXIT_NOTICE_MS);
    mustLive(server);
    throw error;
  }
  mustLive(server);
  return result;
}

function mustLive(server: RunningServer): void {
  if (!server.hasExited()) return;
  throw new Error(`the server ended during the run: ${server.errorText().trim().slice(-300)}`);
}

/** Starts a subject, lets `use` work with it, and ends it whatever happens. */
export async function withServer<T>(
  subject: Subject,
  options: StartOptions,
  use: (server: RunningServer) => Promise<T>,
): Promise<T> {
  const server = await startSubject(subject, options);
  try {
    return await useServer(server, use);
  } finally {
    await server.stop();
  }
}

/** Servers that keep running between cases, for runs too short to warm up a new one each time. */
export class ServerPool {
  readonly #servers = new Map<string, RunningServer>();
  readonly #warmUp: (server: RunningServer, httpCase: HttpCase) => Promise<unknown>;

  /** `warmUp` is called once for each server, when it was just started. */
  constructor(warmUp: (server: RunningServer, httpCase: HttpCase) => Promise<unknown>) {
    this.#warmUp = warmUp;
  }

  /** Like {@link withServer}, but the server stays. */
  async use<T>(
    subject: Subject,
    options: StartOptions & { readonly httpCase: HttpCase },
    use: (server: RunningServer) => Promise<T>,
  ): Promise<T> {
    // A server whose arguments depend on the case cannot be kept; none of these needs a warm-up.
    if (subject.argsFor !== undefined) return withServer(subject, options, use);
    let server = this.#servers.get(subject.name);
    if (server === undefined) {
      server = await startSubject(subject, options);
      this.#servers.set(subject.name, server);
      await this.#warmUp(server, options.httpCase);
    }
    return useServer(server, use);
  }

  /** Ends all servers. */
  async stop(): Promise<void> {
    await Promise.all([...this.#servers.values()].map((server) => server.stop()));
    this.#servers.clear();
  }
}

/** What an error of a server's run means: the machine cannot have the subject, or it went wrong. */
export function missingFrom(error: unknown, suite: string, caseName: string, subject: Subject): Missing {
  const message = error instanceof Error ? error.message : String(error);
  const isUnavailable = error instanceof ServerStartError && subject.unavailable?.test(message) === true;
  return isUnavailable
    ? { suite, case: undefined, subject: subject.name, kind: "unavailable", reason: message }
    : { suite, case: caseName, subject: subject.name, kind: "failed", reason: message };
}
