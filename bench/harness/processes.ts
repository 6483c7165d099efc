/**
 * Starting, awaiting and ending other programs. Each gets a process group of its own, and with a program its whole group ends: a killed npm, perf or cluster leaves nobody behind who uses the cores of the next run, or
 * keeps a pipe open that the harness would wait for. The same happens when the harness itself is interrupted.
 */
import { type ChildProcess, spawn } from "node:child_process";

const STOP_TIMEOUT_MS = 3_000;
const OUTPUT_BYTES_MAX = 64 * 1024;

const running = new Set<ChildProcess>();

/** Ends every program that is still running when the harness itself ends or is told to. */
export function endChildrenOnExit(): void {
  process.once("exit", killAll);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      killAll();
      process.exit(130);
    });
  }
}

/** The programs that run now. */
export function childPids(): number[] {
  return [...running].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
}

function killAll(): void {
  for (const child of running) killGroup(child);
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nobody is left in it.
  }
}

/** How a program ended and what it wrote. */
export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** After this many milliseconds the program is killed. */
  readonly timeoutMs: number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs a program to its end. Never rejects: a program that cannot be started ends with code null and the reason in `stderr`. */
export function run(command: readonly string[], options: RunOptions): Promise<Finished> {
  const { promise, resolve } = withResolvers<Finished>();
  const child = start(command, options.cwd, options.env);
  let stdout = "";
  let stderr = "";
  let isSettled = false;
  const timer = setTimeout(() => {
    stderr += `\nkilled after ${options.timeoutMs} ms`;
    killGroup(child);
  }, options.timeoutMs);
  const settle = (code: number | null, signal: NodeJS.Signals | null): void => {
    if (isSettled) return;
    isSettled = true;
    clearTimeout(timer);
    resolve({ code, signal, stdout, stderr });
  };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-OUTPUT_BYTES_MAX);
  });
  child.once("error", (error) => {
    stderr += error.message;
    settle(null, null);
  });
  child.once("close", settle);
  return promise;
}

/** A server that has said where it listens. */
export interface RunningServer {
  readonly pid: number;
  readonly host: string;
  readonly port: number;
  /** Every line that it writes to stdout after this call goes to `listener`. */
  onLine(listener: (line: string) => void): void;
  /** What it last wrote to stderr. */
  errorText(): string;
  hasExited(): boolean;
  /** Sends SIGTERM, and SIGKILL if that did not end it within three seconds. */
  stop(): Promise<void>;
}

/** Thrown by {@link startServer} with the server's own last words. */
export class ServerStartError extends Error {
  override readonly name = "ServerStartError";
  readonly exitCode: number | null;

  constructor(message: string, exitCode: number | null) {
    super(message);
    this.exitCode = exitCode;
  }
}

/**
 * Starts a server and waits for its line `listening http://<host>:<port>` on stdout.
 * Rejects with {@link ServerStartError} when it ends first, or says nothing within `timeoutMs`.
 */
export async function startServer(command: readonly string[], options: RunOptions): Promise<RunningServer> {
  const child = start(command, options.cwd, options.env);
  const exited = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  let hasExited = false;
  let stderr = "";
  const listeners: ((line: string) => void)[] = [];
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-OUTPUT_BYTES_MAX);
  });
  const { promise: address, resolve: resolveAddress, reject: rejectAddress } = withResolvers<[string, number]>();
  forEachLine(child, (line) => {
    const match = /listening http:\/\/([\w.]+):(\d+)/.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined) resolveAddress([match[1], Number(match[2])]);
    for (const listener of listeners) listener(line);
  });
  child.once("error", (error) => rejectAddress(new ServerStartError(error.message, null)));
  exited.then(() => {
    hasExited = true;
    rejectAddress(new ServerStartError(lastWords(stderr, child), child.exitCode));
  });
  const timer = setTimeout(() => {
    rejectAddress(new ServerStartError(`did not say where it listens within ${options.timeoutMs} ms`, null));
  }, options.timeoutMs);
  const stop = (): Promise<void> => stopChild(child, exited);
  try {
    const [host, port] = await address;
    const pid = child.pid ?? 0;
    const onLine = (listener: (line: string) => void): void => void listeners.push(listener);
    return { pid, host, port, onLine, errorText: () => stderr, hasExited: () => hasExited, stop };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function start(command: readonly string[], cwd: string | undefined, env: NodeJS.ProcessEnv | undefined): ChildProcess {
  const [file = "", ...args] = command;
  const child = spawn(file, args, { cwd, env: env ?? process.env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  running.add(child);
  child.once("exit", () => {
    running.delete(child);
    // What it has started and not awaited.
    killGroup(child);
  });
  child.once("error", () => running.delete(child));
  return child;
}

async function stopChild(child: ChildProcess, exited: Promise<void>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
  const timer = setTimeout(() => killGroup(child), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
}

function forEachLine(child: ChildProcess, listener: (line: string) => void): void {
  let rest = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) listener(line);
  });
}

/** The most telling line of a failed program: the first that names an error, else the last one. */
function lastWords(stderr: string, child: ChildProcess): string {
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  const line = lines.find((text) => /error|cannot/i.test(text)) ?? lines.at(-1);
  return line?.trim() ?? `ended with ${child.signalCode ?? `code ${child.exitCode}`} before it listened`;
}

/** `Promise.withResolvers`, which Node 20 lacks. */
function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void } {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((resolvePromise, rejectPromise) => {
    resolve = resolvePromise;
    reject = rejectPromise;
  });
  return { promise, resolve, reject };
}
