/** `ringloom doctor`: which driver serves here, for which reason, and what to change. */
import {
  type DriverEnvironment,
  type EpollAvailability,
  epollAvailability,
  type UringAvailability,
  uringAvailability,
} from "../driver/availability.js";
import { chooseDriver, type DriverChoice, systemEnvironment } from "../driver/choose.js";
import type { DriverName } from "../driver/contract.js";
import { KERNEL_LADDER } from "../driver/kernel-ladder.js";
import { type FileReader, readTextFile } from "../driver/system-files.js";
import { RingloomError } from "../errors.js";
import type { CgroupLimits } from "../runtime/cgroup.js";
import { resolveRuntimeOptions } from "../runtime/options.js";
import { type MachineFacts, readMachineFacts, type Sizing, sizeRuntime } from "../runtime/sizing.js";
import { parseArguments, UsageError } from "./arguments.js";
import { type Check, type DoctorInput, runChecks } from "./doctor-checks.js";
import { paint, type Terminal } from "./terminal.js";

/** Memory in which any server starts, in bytes. */
const AMPLE_BYTES = 2 ** 40;

/** Runs the command; resolves with the exit code. */
export async function doctor(args: readonly string[], terminal: Terminal): Promise<number> {
  const { switches, positionals } = parseArguments(args, {
    valued: [],
    switches: ["json", "help"],
    short: { h: "help" },
  });
  if (positionals[0] !== undefined) throw new UsageError(`Unexpected argument ${positionals[0]}: doctor takes none.`);
  const findings = examine(systemUnderExamination());
  if (switches.has("json")) terminal.out(JSON.stringify({ ...findings, kernelLadder: KERNEL_LADDER }));
  else for (const line of reportLines(findings, terminal)) terminal.out(line);
  return findings.canServe ? 0 : 1;
}

/** What is looked at: this machine, or one that a test made up. */
export interface ExaminedSystem {
  readonly environment: DriverEnvironment;
  readonly facts: MachineFacts;
  readonly read: FileReader;
  /** `RINGLOOM_DRIVER`, else `auto`. */
  readonly driver: string;
  /** `RINGLOOM_TOPOLOGY`, else the default. */
  readonly topology?: string | undefined;
}

/** What `doctor` finds. */
export interface Findings {
  readonly verdict: string;
  /** Null when servers do not start. */
  readonly driver: DriverName | null;
  readonly driverReason: string;
  readonly uring: UringAvailability;
  readonly epoll: EpollAvailability;
  readonly checks: readonly Check[];
  readonly sizing: Sizing;
  readonly cgroup: CgroupLimits;
  readonly canServe: boolean;
}

/** Examines a system. */
export function examine({ environment, facts, read, driver, topology }: ExaminedSystem): Findings {
  const uring = uringAvailability(environment);
  const epoll = epollAvailability(environment);
  const { choice, refusal } = choose(driver, environment);
  const { sizing, memoryProblem } = size(facts, choice?.name ?? "portable");
  const byDriver = verdictText(choice, uring, refusal, driver);
  return {
    verdict: memoryProblem === undefined ? byDriver : `servers do not start: ${memoryProblem.text}`,
    driver: choice?.name ?? null,
    driverReason: choice?.reason ?? refusal,
    uring,
    epoll,
    checks: runChecks({ read, facts, uring, epoll, sizing, memoryProblem, topology }),
    sizing,
    cgroup: facts.cgroup,
    canServe: choice !== undefined && memoryProblem === undefined,
  };
}

function systemUnderExamination(): ExaminedSystem {
  return {
    environment: systemEnvironment(),
    facts: readMachineFacts(),
    read: readTextFile,
    driver: process.env.RINGLOOM_DRIVER || "auto",
    topology: process.env.RINGLOOM_TOPOLOGY || undefined,
  };
}

/** The sizes of a server that is started here with every default; where memory is too short for one, those without that limit. */
function size(facts: MachineFacts, driver: DriverName): Pick<DoctorInput, "sizing" | "memoryProblem"> {
  const options = resolveRuntimeOptions({});
  try {
    return { sizing: sizeRuntime(facts, options, driver), memoryProblem: undefined };
  } catch (error) {
    if (!(error instanceof RingloomError) || error.code !== "ERR_RINGLOOM_MEMORY_LIMIT") throw error;
    const [text = "", fix = ""] = error.message.split(" To change: ");
    const ample = { ...facts, cgroup: { ...facts.cgroup, memoryLimitBytes: undefined }, memoryTotalBytes: AMPLE_BYTES };
    return { sizing: sizeRuntime(ample, options, driver), memoryProblem: { text, fix: `To start one, ${fix}` } };
  }
}

/** The driver that a server started with this environment would get, or why it would not start. */
function choose(forced: string, environment: DriverEnvironment): { choice: DriverChoice | undefined; refusal: string } {
  try {
    return { choice: chooseDriver(forced, environment), refusal: "" };
  } catch (error) {
    if (error instanceof RingloomError) return { choice: undefined, refusal: error.message };
    throw error;
  }
}

function verdictText(
  choice: DriverChoice | undefined,
  uring: UringAvailability,
  refusal: string,
  forced: string,
): string {
  if (choice === undefined) return `servers do not start with RINGLOOM_DRIVER=${forced}: ${refusal}`;
  if (choice.name === "uring") return "servers run on the uring driver.";
  if (choice.uring !== undefined) return `servers run, on the ${choice.name} driver: ${choice.reason}`;
  const better = uring.verdict === "available" ? "; uring would be available" : "";
  return `servers run on the ${choice.name} driver, as asked${better}.`;
}

const MARKS = {
  good: ["ok", "green"],
  info: ["--", "dim"],
  warning: ["!!", "yellow"],
  problem: ["no", "red"],
} as const;

/** The report for people. */
export function reportLines({ checks, driver, driverReason, verdict }: Findings, terminal: Terminal): string[] {
  const lines: string[] = [];
  const width = Math.max(...checks.map((check) => check.name.length), "driver".length);
  const told = new Set<string>();
  for (const { name, status, text, fix } of checks) {
    const [mark, style] = MARKS[status];
    lines.push(`  ${paint(terminal, style, mark)}  ${name.padEnd(width)}  ${text}`);
    // One cause can show in several checks; its remedy is said once.
    if (fix === "" || told.has(fix)) continue;
    told.add(fix);
    lines.push(`      ${" ".repeat(width)}  ${paint(terminal, "bold", "change:")} ${fix}`);
  }
  if (driver !== null) lines.push(`      ${"driver".padEnd(width)}  ${driver}: ${driverReason}`);
  return [...lines, "", `verdict: ${verdict}`];
}
