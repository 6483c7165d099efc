/** Brings about what a subject needs: the C programs, the packages of the peers, the built project. Each answer is cached for the run. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory, findTool, peersDirectory, root } from "./machine.js";
import { run } from "./processes.js";
import { progress } from "./progress.js";

/** What a subject or the harness may need. */
export type Need =
  | "responder"
  | "load-generator"
  | "ws-load"
  | "idle-load"
  | "peers"
  | "ringloom"
  | "lane"
  | "futex"
  | "msg-ring"
  | "net-echo"
  | "net-ring"
  | "file-read"
  | "tokio"
  | "go";

/** Undefined when the need is met, else the reason why it cannot be. */
export type Unmet = string | undefined;

const COMPILE_TIMEOUT_MS = 60_000;
const PROBE_TIMEOUT_MS = 5_000;
/** How the C programs say that this machine has no io_uring for them (ring.h). */
const EXIT_UNAVAILABLE = 3;
const INSTALL_TIMEOUT_MS = 600_000;
const CARGO_TIMEOUT_MS = 300_000;
/** Where Debian's librust-*-dev packages put their crates. */
const DEBIAN_CRATES = "/usr/share/cargo/registry";

const answers = new Map<Need, Promise<Unmet>>();

/** Meets a need once per run. */
export function prepare(need: Need): Promise<Unmet> {
  let answer = answers.get(need);
  if (answer === undefined) {
    answer = meet(need);
    answers.set(need, answer);
  }
  return answer;
}

function meet(need: Need): Promise<Unmet> {
  switch (need) {
    case "responder":
      return compile("http-responder");
    case "ws-load":
    case "idle-load":
      return compile(need);
    case "load-generator":
      return compileLoadGenerator();
    case "peers":
      return installPeers();
    case "ringloom":
      return Promise.resolve(findRingloom());
    case "lane":
      return Promise.resolve(findFile("dist/src/shared/lane.js"));
    case "futex":
      return compile("futex-pair");
    case "msg-ring":
      return compile("msg-ring-pair");
    case "net-echo":
    case "net-ring":
      return compile(need);
    case "file-read":
      return compile("file-read");
    case "tokio":
      return buildTokio();
    case "go":
      return buildGo();
  }
}

/** The path of a compiled C program, whether or not it exists yet. */
export function programPath(name: string): string {
  return join(cacheDirectory, name);
}

/** The generator must also run: a container may deny io_uring, which shows before it tries to connect (to a port where nobody is). */
async function compileLoadGenerator(): Promise<Unmet> {
  const reason = await compile("http-load");
  if (reason !== undefined) return reason;
  const probe = [programPath("http-load"), "127.0.0.1", "1", "1", "1", "1", "/"];
  const { code, stderr } = await run(probe, { timeoutMs: PROBE_TIMEOUT_MS });
  return code === EXIT_UNAVAILABLE ? `not usable: ${firstLine(stderr)}` : undefined;
}

async function compile(name: string): Promise<Unmet> {
  const source = join(peersDirectory, `${name}.c`);
  const headers = ["ring.h", "pair.h"].map((header) => modifiedMs(join(peersDirectory, header)));
  const output = programPath(name);
  if (process.platform !== "linux") return `not built: io_uring is part of Linux, this is ${process.platform}`;
  if (existsSync(output) && modifiedMs(output) > Math.max(modifiedMs(source), ...headers)) return undefined;
  const compiler = process.env.CC ?? ["cc", "gcc", "clang"].find((candidate) => findTool(candidate) !== undefined);
  if (compiler === undefined) return "not built: no C compiler";
  progress(`compiling ${name}.c`);
  mkdirSync(cacheDirectory, { recursive: true });
  const result = await run([compiler, "-O2", "-Wall", "-Wextra", "-pthread", "-o", output, source], {
    timeoutMs: COMPILE_TIMEOUT_MS,
  });
  if (result.code === 0) return undefined;
  return `not built: ${firstLine(result.stderr)}`;
}

/**
 * Builds the Rust peer against Debian's packaged crates (librust-tokio-dev) where they are, else against what cargo reaches by itself. No lock file is kept: the two
 * have different versions, and the report says which Tokio was built.
 */
async function buildTokio(): Promise<Unmet> {
  if (findTool("cargo") === undefined) return "not built: no cargo (Debian: cargo, librust-tokio-dev)";
  const directory = join(peersDirectory, "tokio");
  const isPackaged = hasPackagedTokio();
  // One that another version of cargo made may be unreadable to this one.
  rmSync(join(directory, "Cargo.lock"), { force: true });
  const debian = [
    "--offline",
    ...["--config", 'source.crates-io.replace-with="debian"'],
    ...["--config", `source.debian.directory="${DEBIAN_CRATES}"`],
  ];
  const target = ["--target-dir", join(cacheDirectory, "tokio")];
  progress("building the Tokio peer (cargo build --release)");
  const result = await run(["cargo", "build", "--release", "--quiet", ...target, ...(isPackaged ? debian : [])], {
    cwd: directory,
    timeoutMs: CARGO_TIMEOUT_MS,
  });
  return result.code === 0 ? undefined : `not built: ${firstLine(result.stderr)}`;
}

/** The path of the Rust peer, whether or not it exists yet. */
export const tokioPath: string = join(cacheDirectory, "tokio/release/ringloom-bench-tokio");

/** The version of Tokio that {@link prepare} built. */
export function tokioVersion(): string {
  try {
    const lock = readFileSync(join(peersDirectory, "tokio/Cargo.lock"), "utf8");
    return /name = "tokio"\nversion = "([^"]+)"/.exec(lock)?.[1] ?? "of unknown version";
  } catch {
    return "of unknown version";
  }
}

function hasPackagedTokio(): boolean {
  return existsSync(DEBIAN_CRATES) && readdirSync(DEBIAN_CRATES).some((name) => name.startsWith("tokio-1"));
}

async function buildGo(): Promise<Unmet> {
  if (findTool("go") === undefined) return "not built: no go (Debian: golang-go)";
  progress("building the Go peer (go build)");
  const result = await run(["go", "build", "-o", programPath("go-peer"), "."], {
    cwd: join(peersDirectory, "go"),
    // It has no dependencies, so nothing may be downloaded for it.
    env: { ...process.env, GOPROXY: "off", GOTOOLCHAIN: "local", GOFLAGS: "-mod=mod" },
    timeoutMs: CARGO_TIMEOUT_MS,
  });
  return result.code === 0 ? undefined : `not built: ${firstLine(result.stderr)}`;
}

/** What `go version` says, such as `go1.19.8`. */
export function goVersion(): string {
  try {
    return / (go\S+)/.exec(execFileSync("go", ["version"], { encoding: "utf8" }))?.[1] ?? "of unknown version";
  } catch {
    return "of unknown version";
  }
}

/**
 * Installs bench/peers by its lock file, unless that has been done. `npm ci` would be stricter, but it refuses a lock file
 * made while a package of another platform, which nobody here needs, was not published yet.
 */
async function installPeers(): Promise<Unmet> {
  const stamp = join(peersDirectory, "node_modules/.ringloom-bench");
  const files = ["package.json", "package-lock.json"].map((name) => readFileSync(join(peersDirectory, name)));
  const hash = createHash("sha256").update(Buffer.concat(files)).digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return undefined;
  progress("installing the peers into bench/peers/node_modules (npm install, about 400 MB)");
  const command = ["npm", "install", "--no-save", "--no-audit", "--no-fund"];
  const result = await run(command, { cwd: peersDirectory, timeoutMs: INSTALL_TIMEOUT_MS });
  if (result.code !== 0) return `the peers cannot be installed: ${firstLine(errorLines(result.stderr))}`;
  writeFileSync(stamp, hash);
  return undefined;
}

function findRingloom(): Unmet {
  return findFile("bin/ringloom.js") ?? findFile("dist/src/http/index.js");
}

function findFile(path: string): Unmet {
  return existsSync(join(root, path)) ? undefined : `${path} does not exist`;
}

/** The version of a package in bench/peers/node_modules, or undefined. */
export function peerVersion(name: string): string | undefined {
  try {
    const manifest: unknown = JSON.parse(
      readFileSync(join(peersDirectory, "node_modules", name, "package.json"), "utf8"),
    );
    if (typeof manifest !== "object" || manifest === null || !("version" in manifest)) return undefined;
    return String(manifest.version);
  } catch {
    return undefined;
  }
}

function modifiedMs(path: string): number {
  return statSync(path).mtimeMs;
}

function errorLines(text: string): string {
  const lines = text.split("\n").filter((line) => line.startsWith("npm error"));
  return lines.length === 0 ? text : lines.join("\n");
}

function firstLine(text: string): string {
  return text.trim().split("\n")[0] ?? "unknown reason";
}
