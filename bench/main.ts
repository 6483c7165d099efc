/** `npm run bench -- <suite…|all> [options]`: measures Ringloom and its peers in one run. `--help` lists the options, bench/README.md the method. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { schedulerSuite } from "./experiments/scheduler.js";
import { topologiesSuite } from "./experiments/topologies.js";
import { place, root } from "./harness/machine.js";
import { checkNames, helpText, type Options, parseOptions, UsageError } from "./harness/options.js";
import { barChart } from "./harness/plot.js";
import { endChildrenOnExit } from "./harness/processes.js";
import { progress } from "./harness/progress.js";
import { report } from "./harness/report.js";
import { Notes, Results } from "./harness/rows.js";
import type { Suite } from "./harness/suite.js";
import { exitCodeOf } from "./harness/verdict.js";
import { clientSuite } from "./suites/client.js";
import { dbSuite } from "./suites/db.js";
import { frameworksSuite } from "./suites/frameworks.js";
import { fsSuite } from "./suites/fs.js";
import { heapSuite } from "./suites/heap.js";
import { httpSuite } from "./suites/http.js";
import { memorySuite } from "./suites/memory.js";
import { messagesSuite } from "./suites/messages.js";
import { mixedSuite } from "./suites/mixed.js";
import { netSuite } from "./suites/net.js";
import { syncSuite } from "./suites/sync.js";
import { syncSharedSuite } from "./suites/sync-shared.js";
import { tasksSuite } from "./suites/tasks.js";
import { timersSuite } from "./suites/timers.js";
import { wsSuite } from "./suites/ws.js";

const SUITES: readonly Suite[] = [
  httpSuite,
  heapSuite,
  frameworksSuite,
  tasksSuite,
  messagesSuite,
  mixedSuite,
  wsSuite,
  memorySuite,
  timersSuite,
  netSuite,
  fsSuite,
  dbSuite,
  clientSuite,
  syncSuite,
  syncSharedSuite,
  schedulerSuite,
  topologiesSuite,
];

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options: Options | "help";
  try {
    options = readOptions(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\nnpm run bench -- --help lists what there is.\n`);
    return 2;
  }
  if (options === "help") {
    process.stdout.write(helpText(SUITES));
    return 0;
  }
  endChildrenOnExit();
  const { suites: names, jsonPath, isPlotting } = options;
  const suites = SUITES.filter(({ name }) => names.includes(name));
  const results = new Results();
  const notes = new Notes();
  const placement = place();
  for (const suite of suites) await suite.run({ suite: suite.name, options, placement, results, notes });

  const text = report(suites, { results, notes, placement, selection: options });
  process.stdout.write(text);
  if (jsonPath !== undefined) writeResults(jsonPath, results, text);
  if (isPlotting) writePlots(jsonPath ?? join(root, "bench/results", `${names.join("-")}.json`), suites, results);
  return exitCodeOf(suites, results, options);
}

function readOptions(args: readonly string[]): Options | "help" {
  const options = parseOptions(
    args,
    SUITES.map(({ name }) => name),
  );
  if (options === "help") return options;
  const suites = SUITES.filter(({ name }) => options.suites.includes(name));
  checkNames(
    "subject",
    options.subjects,
    suites.flatMap((suite) => suite.subjects.map(({ name }) => name)),
  );
  checkNames(
    "case",
    options.cases,
    suites.flatMap((suite) => suite.cases.map(({ name }) => name)),
  );
  return options;
}

function writeResults(path: string, results: Results, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const rows = results.rows().map((row) => `  ${JSON.stringify(row)}`);
  writeFileSync(path, `[\n${rows.join(",\n")}\n]\n`);
  writeFileSync(`${withoutExtension(path)}.txt`, text);
  progress(`wrote ${path}`);
}

function writePlots(path: string, suites: readonly Suite[], results: Results): void {
  mkdirSync(dirname(path), { recursive: true });
  for (const suite of suites) {
    for (const metric of suite.plotted) {
      const rows = results.rows().filter((row) => row.suite === suite.name && row.metric === metric);
      if (rows.length === 0) continue;
      const slug = metric.replaceAll(/[^a-z0-9]+/g, "-");
      const prefix = suites.length === 1 ? withoutExtension(path) : `${withoutExtension(path)}-${suite.name}`;
      writeFileSync(`${prefix}-${slug}.svg`, barChart(`${suite.name}: ${metric}`, rows));
      progress(`wrote ${prefix}-${slug}.svg`);
    }
  }
}

function withoutExtension(path: string): string {
  return path.replace(/\.json$/, "");
}
