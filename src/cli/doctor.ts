/** `ringloom doctor`: which driver serves here, for which reason, and what to change. */
import { epollAvailability, type UringAvailability, uringAvailability } from "../driver/availability.js";
import { chooseDriver, type DriverChoice, systemEnvironment } from "../driver/choose.js";
import { KERNEL_LADDER } from "../driver/kernel-ladder.js";
import { readTextFile } from "../driver/system-files.js";
import { RingloomError } from "../errors.js";
import { resolveRuntimeOptions } from "../runtime/options.js";
import { readMachineFacts, sizeRuntime } from "../runtime/sizing.js";
import { parseArguments, UsageError } from "./arguments.js";
import { type Check, runChecks } from "./doctor-checks.js";
import { paint, type Terminal } from "./terminal.js";

/** Runs the command; resolves with the exit code. */
export async function doctor(args: readonly string[], terminal: Terminal): Promise<number> {
  const { switches, positionals } = parseArguments(args, {
    valued: [],
    switches: ["json", "help"],
    short: { h: "help" },
  });
  if (positionals[0] !== undefined) throw new UsageError(`Unexpected argument ${positionals[0]}: doctor takes none.`);
  const environment = systemEnvironment();
  const uring = uringAvailability(environment);
  const epoll = epollAvailability(environment);
  const forced = process.env.RINGLOOM_DRIVER || "auto";
  const { choice, refusal } = choose(forced);
  const facts = readMachineFacts();
  const sizing = sizeRuntime(facts, resolveRuntimeOptions({}), choice?.name ?? "portable");
  const checks = runChecks({ read: readTextFile, facts, uring, epoll, sizing });
  const verdict = verdictText(choice, uring, refusal, forced);
  if (switches.has("json")) {
    terminal.out(
      JSON.stringify({
        verdict,
        driver: choice?.name ?? null,
        driverReason: choice?.reason ?? refusal,
        uring,
        epoll,
        checks,
        sizing,
        cgroup: facts.cgroup,
        kernelLadder: KERNEL_LADDER,
      }),
    );
  } else {
    print(terminal, checks, verdict, choice);
  }
  return choice === undefined ? 1 : 0;
}

/** The driver that a server started with this environment would get, or why it would not start. */
function choose(forced: string): { choice: DriverChoice | undefined; refusal: string } {
  try {
    return { choice: chooseDriver(forced), refusal: "" };
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

function print(terminal: Terminal, checks: readonly Check[], verdict: string, choice: DriverChoice | undefined): void {
  const width = Math.max(...checks.map((check) => check.name.length), "driver".length);
  const told = new Set<string>();
  for (const { name, status, text, fix } of checks) {
    const [mark, style] = MARKS[status];
    terminal.out(`  ${paint(terminal, style, mark)}  ${name.padEnd(width)}  ${text}`);
    // One cause can show in several checks; its remedy is said once.
    if (fix === "" || told.has(fix)) continue;
    told.add(fix);
    terminal.out(`      ${" ".repeat(width)}  ${paint(terminal, "bold", "change:")} ${fix}`);
  }
  if (choice !== undefined) terminal.out(`      ${"driver".padEnd(width)}  ${choice.name}: ${choice.reason}`);
  terminal.out("");
  terminal.out(`verdict: ${verdict}`);
}
