/**
 * `npm run test:model`: runs the programs of `test/model/programs` through all their interleavings.
 *
 *     npm run test:model                                all but the deep ones
 *     npm run test:model -- --only injector             those with this text in their name; can be given more than once
 *     npm run test:model -- --deep                      the deep ones too, with larger budgets
 *     npm run test:model -- --list                      only the names
 *     npm run test:model -- --replay "name" a3ba2       one schedule, each access named
 *     npm run test:model -- --seconds 60                the most time for one program; 60, with --deep an hour
 *
 * Exit code 1 when a program fails, a planted bug is not found or a program was not explored to its end although it claims to be; 2 for a wrong option.
 */
import { readdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { checkProgram, replaySchedule, type Verdict } from "./check.js";
import type { ModelProgram } from "./program.js";

const FOLDER = new URL("./programs/", import.meta.url);
const SECONDS = 60;
const SECONDS_DEEP = 3600;

interface Command {
  readonly only: readonly string[];
  readonly isDeep: boolean;
  readonly isList: boolean;
  readonly secondsMax: number;
  readonly replay: readonly [name: string, schedule: string] | undefined;
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  let command: Command;
  try {
    command = parseCommand(args);
  } catch (error) {
    console.error(
      `${(error as Error).message}\nOptions: --only TEXT, --deep, --list, --seconds N, --replay NAME SCHEDULE`,
    );
    return 2;
  }
  const programs = await loadPrograms();
  if (command.replay !== undefined) return replay(programs, ...command.replay);
  const { only, isDeep } = command;
  const chosen = programs.filter(
    ({ name, isDeep: needsDeep }) =>
      (isDeep || command.isList || needsDeep !== true) &&
      (only.length === 0 || only.some((text) => name.includes(text))),
  );
  if (chosen.length === 0) {
    console.error(
      `No program has ${only.map((text) => JSON.stringify(text)).join(" or ")} in its name; --list shows all`,
    );
    return 2;
  }
  if (command.isList) {
    for (const { name, isDeep: needsDeep } of chosen) console.log(`${name}${needsDeep === true ? " (deep)" : ""}`);
    return 0;
  }
  return run(chosen, command);
}

function parseCommand(args: string[]): Command {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      only: { type: "string", multiple: true, default: [] },
      deep: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      seconds: { type: "string" },
      replay: { type: "string" },
    },
  });
  const isDeep = values.deep;
  const secondsMax = values.seconds === undefined ? (isDeep ? SECONDS_DEEP : SECONDS) : Number(values.seconds);
  if (!(secondsMax > 0)) throw new Error(`--seconds must be a positive number, not ${values.seconds}`);
  const [schedule, ...rest] = positionals;
  if (values.replay === undefined ? schedule !== undefined : schedule === undefined || rest.length > 0) {
    throw new Error(
      values.replay === undefined ? `Unknown argument ${schedule}` : "--replay needs a name and a schedule",
    );
  }
  const chosen = values.replay === undefined ? undefined : ([values.replay, schedule!] as const);
  return { only: values.only, isDeep, isList: values.list, secondsMax, replay: chosen };
}

async function loadPrograms(): Promise<ModelProgram[]> {
  const programs: ModelProgram[] = [];
  for (const file of readdirSync(FOLDER).sort()) {
    if (!/^[^.]+\.js$/.test(file)) continue;
    const loaded = (await import(new URL(file, FOLDER).href)) as { default?: unknown };
    if (!Array.isArray(loaded.default))
      throw new TypeError(`Cannot check ${file}: its default export is no array of programs`);
    programs.push(...(loaded.default as ModelProgram[]));
  }
  const names = new Set(programs.map(({ name }) => name));
  if (names.size < programs.length) throw new TypeError("Cannot check: two programs have the same name");
  return programs;
}

function run(programs: readonly ModelProgram[], { isDeep, secondsMax }: Command): number {
  const startedMs = performance.now();
  const total = { executions: 0, steps: 0, failed: 0 };
  for (const program of programs) {
    const verdict = checkProgram(program, { isDeep, timeMsMax: secondsMax * 1000 });
    print(program, verdict);
    total.executions += verdict.executions;
    total.steps += verdict.steps;
    total.failed += verdict.isOk ? 0 : 1;
  }
  const seconds = (performance.now() - startedMs) / 1000;
  const figures = `${count(total.executions)} executions, ${count(total.steps)} steps, ${seconds.toFixed(1)} s`;
  const rate = `${count(Math.round(total.steps / seconds / 1000))} k steps/s`;
  console.log(`\n${programs.length} programs, ${total.failed} failed: ${figures}, ${rate}`);
  return total.failed === 0 ? 0 : 1;
}

function print(program: ModelProgram, verdict: Verdict): void {
  const { isOk, summary, executions, redundant, deaths, elapsedMs, failure } = verdict;
  const figures = [
    `${count(executions)} executions`,
    redundant === 0 ? "" : `${count(redundant)} redundant`,
    deaths === 0 ? "" : `${deaths} deaths`,
    `${(elapsedMs / 1000).toFixed(2)} s`,
  ].filter((text) => text !== "");
  console.log(`${isOk ? "ok    " : "FAILED"} ${program.name}`);
  console.log(`         ${summary} (${figures.join(", ")})`);
  if (isOk || failure === undefined) return;
  console.log(`         schedule: ${failure.schedule}`);
  console.log(`         npm run test:model -- --replay ${JSON.stringify(program.name)} ${failure.schedule}`);
  console.log(replaySchedule(program, failure.schedule).lines.join("\n").replace(/^/gm, "         "));
}

function replay(programs: readonly ModelProgram[], name: string, schedule: string): number {
  const program = programs.find((one) => one.name === name);
  if (program === undefined) {
    console.error(`There is no program ${JSON.stringify(name)}; --list shows all`);
    return 2;
  }
  try {
    const { lines, failure } = replaySchedule(program, schedule);
    console.log(lines.join("\n"));
    console.log(failure === undefined ? "nothing failed" : `FAILED ${failure}`);
    return failure === undefined ? 0 : 1;
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    console.error(error.message);
    return 2;
  }
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
