/**
 * `npm run test:db`: clients of databases over Ringloom's sockets, against real servers of Debian's packages, on every driver.
 *
 *     npm run test:db                               all servers, all drivers that run here
 *     npm run test:db -- --server Redis --driver uring    one of them
 *
 * Each server gets a folder and a port of its own, and is ended by its process id; the folders are removed, also after a failure. Exit code 1 when anything
 * failed or a server is not installed, 2 for a wrong option.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CERTIFICATE, CERTIFICATE_KEY } from "../support/certificate.js";
import { commandOptions } from "../support/command-options.js";
import { driversUnderTest } from "../support/drivers.js";
import { installClients, program } from "./installed.js";
import { findProgram, type ServerProcess } from "./server-process.js";
import { freePort, makeFolder, PASSWORD, type Ports, type Subject, subjects } from "./servers.js";

const PROGRAM_MS_MAX = 120_000;

const USAGE = `Options: --server ${subjects.map(({ name }) => name).join("|")}, --driver uring|epoll|portable, --help`;
const values = commandOptions({ server: { type: "string" }, driver: { type: "string" } }, USAGE);
const running = new Set<ServerProcess>();

process.exitCode = await main();

async function main(): Promise<number> {
  const wanted = subjects.filter(({ name }) => values.server === undefined || isSame(name, values.server));
  const drivers = driversUnderTest.filter(({ name }) => values.driver === undefined || name === values.driver);
  if (wanted.length === 0 || drivers.length === 0) {
    console.error(USAGE);
    return 2;
  }
  const missing = wanted.filter(({ needs }) => needs.some((name) => findProgram(name) === undefined));
  if (missing.length > 0) {
    console.error(`Not installed. apt-get install ${missing.map((subject) => subject.package).join(" ")}`);
    return 1;
  }
  for (const { name, skip } of drivers) if (skip !== false) console.log(`${name}: skipped: ${skip}`);
  const names = drivers.filter(({ skip }) => skip === false).map(({ name }) => name);
  installClients();
  const root = mkdtempSync(join(tmpdir(), "ringloom-db-"));
  // The servers' user has to come through.
  chmodSync(root, 0o755);
  const cleanUp = () => {
    for (const server of running) server.kill();
    rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  };
  process.once("exit", cleanUp);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(1));
  const failures = await Promise.all(wanted.map((subject) => tryServer(subject, join(root, subject.name), names)));
  const failed = failures.reduce((sum, count) => sum + count, 0);
  console.log(failed === 0 ? `all ${wanted.length * names.length} passed` : `${failed} failed`);
  return failed === 0 ? 0 : 1;
}

function isSame(name: string, word: string): boolean {
  return name.toLowerCase() === word.toLowerCase();
}

/** Returns how many drivers failed. */
async function tryServer(subject: Subject, path: string, drivers: readonly string[]): Promise<number> {
  const startedMs = performance.now();
  const folder = makeFolder(path);
  const ports = { plain: await freePort(), tls: await freePort() };
  const server = subject.prepare(folder, ports);
  running.add(server);
  let failed = 0;
  try {
    await server.start();
    console.log(`${subject.name} is ready after ${seconds(startedMs)}`);
    for (const driver of drivers) failed += await tryDriver(subject, server, { driver, ports, folder });
  } catch (error) {
    console.log(`FAILED ${subject.name}: ${(error as Error).message}`);
    failed++;
  } finally {
    await server.stop();
    running.delete(server);
  }
  return failed;
}

async function tryDriver(
  subject: Subject,
  server: ServerProcess,
  { driver, ports, folder }: { readonly driver: string; readonly ports: Ports; readonly folder: string },
): Promise<number> {
  const startedMs = performance.now();
  const child = fork(program(subject.program), [], {
    env: {
      ...process.env,
      RINGLOOM_DRIVER: driver,
      TRIAL_PORT: String(ports.plain),
      TRIAL_TLS_PORT: String(ports.tls),
      TRIAL_CERTIFICATE: CERTIFICATE,
      TRIAL_KEY: CERTIFICATE_KEY,
      TRIAL_FOLDER: folder,
      TRIAL_PASSWORD: PASSWORD,
    },
    silent: true,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (text: Buffer) => (output += text));
  child.on("message", async (message) => {
    // The programs end the connection to this process when they have no more to ask.
    try {
      if (message === "stop") await server.stop();
      else if (message === "start") await server.start();
      if (child.connected) child.send(`${String(message)} done`);
    } catch (error) {
      output += `\n${String(error)}`;
      child.kill("SIGKILL");
    }
  });
  const timer = setTimeout(() => {
    output += `\nnot done after ${PROGRAM_MS_MAX} ms`;
    child.kill("SIGKILL");
  }, PROGRAM_MS_MAX);
  const [code] = (await once(child, "exit")) as [number | null];
  clearTimeout(timer);
  const passed = /^# pass (\d+)|^ℹ pass (\d+)/m
    .exec(output)
    ?.slice(1)
    .find((count) => count !== undefined);
  const isOk = code === 0 && Number(passed ?? 0) > 0;
  const outcome = isOk ? `${passed} tests` : `exit code ${code}\n${output}`;
  console.log(`${isOk ? "ok    " : "FAILED"} ${subject.name} on ${driver} (${seconds(startedMs)}): ${outcome}`);
  return isOk ? 0 : 1;
}

function seconds(sinceMs: number): string {
  return `${((performance.now() - sinceMs) / 1_000).toFixed(1)} s`;
}
