/** `ringloom serve` as a process of its own, the way users start it. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

export interface ServeProcess {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly process: ChildProcess;
  /** Sends SIGTERM and resolves with the exit code, or the signal that ended it. */
  stop(): Promise<number | NodeJS.Signals | null>;
}

/**
 * Starts `ringloom serve <module> --port 0 …` and waits for its `listening` line. Rejects with its output when it
 * exits before.
 */
export async function startServe(module: string, args: readonly string[] = []): Promise<ServeProcess> {
  const child = spawn(process.execPath, ["bin/ringloom.js", "serve", module, "--port", "0", ...args], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1" },
  });
  const exited = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  let output = "";
  child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      output += `${line}\n`;
      const [, found] = /^listening (http:\/\/\S+)$/.exec(line) ?? [];
      if (found !== undefined) resolve(found);
    });
    void exited.then(([code, signal]) =>
      reject(new Error(`ringloom serve exited with ${String(code ?? signal)}:\n${output}`)),
    );
  });
  return {
    url,
    process: child,
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      const [code, signal] = await exited;
      return code ?? signal;
    },
  };
}

/** Where the first of these programs is, or undefined when none is installed. */
export function findProgram(...names: readonly string[]): string | undefined {
  for (const name of names) {
    try {
      return execFileSync("/bin/sh", ["-c", 'command -v "$1"', "sh", name], { encoding: "utf8" }).trim();
    } catch {
      // Not this one.
    }
  }
  return undefined;
}

export interface Ran {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs a program to its end, and kills it after `guardMs`. */
export async function run(
  program: string,
  args: readonly string[],
  options: { readonly input?: Buffer; readonly guardMs?: number } = {},
): Promise<Ran> {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  child.stdin.on("error", () => undefined); // A program that needs no input may close it first.
  child.stdin.end(options.input);
  const guard = setTimeout(() => child.kill("SIGKILL"), options.guardMs ?? 60_000);
  const [code] = (await once(child, "close")) as [number | null];
  clearTimeout(guard);
  return { code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() };
}
