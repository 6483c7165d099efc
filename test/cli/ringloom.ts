/** `ringloom` as a process, and what it said. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Signal } from "../support/signal.js";

const PROGRAM = fileURLToPath(new URL("../../../bin/ringloom.js", import.meta.url));
/** The module of the demo, an absolute path. */
export const DEMO = fileURLToPath(new URL("../../../examples/demo/app.js", import.meta.url));

/** The path of a module beside this test. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));
}

export interface Settings {
  /** Variables over those of this process; undefined takes one away. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** A program, with its arguments, that starts Node. */
  readonly launcher?: readonly string[];
  /** Flags of Node itself. */
  readonly nodeFlags?: readonly string[];
  /** A whole command line in place of this checkout's, beginning with `node`. */
  readonly command?: readonly string[];
  readonly cwd?: string;
  /** Default: standard input is at its end. */
  readonly stdin?: "pipe" | "ignore";
}

/** One run of the command line. */
export class Ringloom {
  readonly child: ChildProcess;
  stdout = "";
  stderr = "";
  readonly #signal = new Signal();
  readonly #ended: Promise<number | NodeJS.Signals | null>;
  #hasEnded = false;

  constructor(args: readonly string[], settings: Settings = {}) {
    const environment: Record<string, string | undefined> = {
      ...process.env,
      PORT: undefined,
      ...settings.environment,
    };
    const [program = process.execPath, ...before] = [...(settings.launcher ?? []), process.execPath];
    const [, ...command] = settings.command ?? ["node", PROGRAM];
    this.child = spawn(program, [...before, ...(settings.nodeFlags ?? []), ...command, ...args], {
      env: environment,
      ...(settings.cwd === undefined ? {} : { cwd: settings.cwd }),
      stdio: [settings.stdin ?? "ignore", "pipe", "pipe"],
    });
    this.child.stdout?.on("data", (chunk: Buffer) => this.#note(() => (this.stdout += chunk.toString())));
    this.child.stderr?.on("data", (chunk: Buffer) => this.#note(() => (this.stderr += chunk.toString())));
    this.#ended = once(this.child, "close").then(([code, signal]) => {
      this.#note(() => (this.#hasEnded = true));
      return code ?? signal;
    });
  }

  /** Resolves with the exit code, or the signal that ended it. */
  ended(): Promise<number | NodeJS.Signals | null> {
    return this.#ended;
  }

  /** The URL of the `listening` line, or of the record that says it, as soon as it is there. */
  async listening(): Promise<string> {
    const [, url] = await this.said(/^(?:listening|\{.*"msg":"listening) (http:\/\/[^\s"]+)/m);
    return url ?? "";
  }

  /** Resolves when standard output matches. */
  async said(pattern: RegExp): Promise<RegExpExecArray> {
    await this.#signal.until(`the output ${pattern}`, () => pattern.test(this.stdout) || this.#hasEnded);
    const match = pattern.exec(this.stdout);
    if (match === null) throw new Error(`It ended without ${pattern}:\n${this.stdout}\n${this.stderr}`);
    return match;
  }

  /** The `count`-th event of that name among the lines of `--json`, as soon as it is there. */
  async event(name: string, count = 1): Promise<Readonly<Record<string, unknown>>> {
    const mark = `"event":"${name}"`;
    const found = () =>
      this.stdout
        .slice(0, this.stdout.lastIndexOf("\n"))
        .split("\n")
        .filter((line) => line.startsWith("{") && line.includes(mark));
    await this.#signal.until(`event ${name} number ${count}`, () => found().length >= count || this.#hasEnded);
    const line = found()[count - 1];
    if (line === undefined) throw new Error(`It ended without event ${name}:\n${this.stdout}\n${this.stderr}`);
    return JSON.parse(line);
  }

  /** Resolves when standard error matches. */
  async complained(pattern: RegExp): Promise<void> {
    await this.#signal.until(`the message ${pattern}`, () => pattern.test(this.stderr) || this.#hasEnded);
    if (!pattern.test(this.stderr)) throw new Error(`It ended without ${pattern}:\n${this.stdout}\n${this.stderr}`);
  }

  /** Asks it to stop, and resolves as {@link ended}. */
  stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | NodeJS.Signals | null> {
    this.child.kill(signal);
    return this.#ended;
  }

  #note(change: () => void): void {
    change();
    this.#signal.notify();
  }
}

/** Runs a command that ends by itself. */
export async function run(args: readonly string[], settings: Settings = {}) {
  const ringloom = new Ringloom(args, settings);
  const code = await ringloom.ended();
  return { code, stdout: ringloom.stdout, stderr: ringloom.stderr };
}

/** Starts `serve` on a free port, hands it over, and ends it whatever happens. */
export async function withServe(
  args: readonly string[],
  settings: Settings,
  use: (server: Ringloom, url: string) => Promise<void>,
): Promise<void> {
  const server = new Ringloom(["serve", ...args], settings);
  try {
    await use(server, await server.listening());
  } finally {
    if (server.child.exitCode === null && server.child.signalCode === null) server.child.kill("SIGKILL");
    await server.ended();
  }
}
