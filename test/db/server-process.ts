/** A server of Debian's packages for one test run: its own folder, a free port of the loopback, ended by its process id. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Of `nobody` on Debian: PostgreSQL and MariaDB refuse to run as root. */
const NOBODY = 65_534;
const READY_MS_MAX = 30_000;
const STOP_MS_MAX = 20_000;
const LOG_CHARACTERS_MAX = 20_000;
/** Where Debian's packages put servers beside the PATH. */
const SYSTEM_FOLDER = "/usr/sbin";
/** It has a folder for each version. */
const POSTGRES_FOLDER = "/usr/lib/postgresql";

/** How a server is run. */
export interface ServerCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** What it prints when it can be used. */
  readonly ready: RegExp;
  /** Ends it without waiting for its clients. */
  readonly stopSignal: NodeJS.Signals;
}

/** The full path of a program; undefined when it is not installed. */
export function findProgram(name: string): string | undefined {
  const versions = existsSync(POSTGRES_FOLDER) ? readdirSync(POSTGRES_FOLDER) : [];
  const folders = [
    ...(process.env.PATH ?? "").split(delimiter),
    SYSTEM_FOLDER,
    ...versions.map((version) => join(POSTGRES_FOLDER, version, "bin")),
  ];
  return folders.map((folder) => join(folder, name)).find(existsSync);
}

/** Who the servers run as. */
export function serverUser(): { readonly uid: number; readonly gid: number } | undefined {
  return process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : undefined;
}

/** One server, which can be stopped and started again. */
export class ServerProcess {
  readonly #command: ServerCommand;
  #child: ChildProcess | undefined;
  #log = "";

  constructor(command: ServerCommand) {
    this.#command = command;
  }

  /** Starts it and waits until it can be used. */
  async start(): Promise<void> {
    const { command, args, ready } = this.#command;
    const path = findProgram(command);
    if (path === undefined) throw new Error(`${command} is not installed`);
    this.#log = "";
    const child = spawn(path, args, { ...serverUser(), cwd: "/", stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      const failed = (why: string) => {
        clearTimeout(timer);
        reject(new Error(`${command} ${why}\n${this.#log}`));
      };
      const timer = setTimeout(() => failed(`was not ready after ${READY_MS_MAX} ms`), READY_MS_MAX);
      child.once("error", (error) => failed(error.message));
      child.once("exit", (code) => failed(`ended with ${code} before it was ready`));
      const heard = (text: Buffer) => {
        this.#log = (this.#log + text).slice(-LOG_CHARACTERS_MAX);
        if (!ready.test(this.#log)) return;
        clearTimeout(timer);
        resolve();
      };
      child.stdout?.on("data", heard);
      child.stderr?.on("data", heard);
    });
  }

  /** Ends it and waits for that. Again it does nothing. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
    child.kill(this.#command.stopSignal);
    await exited;
    clearTimeout(timer);
  }

  /** Ends it at once, for the end of this process. */
  kill(): void {
    this.#child?.kill("SIGKILL");
  }
}
