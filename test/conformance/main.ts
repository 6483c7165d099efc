/**
 * `npm run conformance`: how the server does by other people's measures. Prints the scores and writes them to `docs/conformance.md`.
 *
 *     npm run conformance -- --llhttp ../llhttp         all; llhttp's cases are read from a checkout of its repository
 *     npm run conformance -- --only golden,smuggling    some of golden, smuggling, websocket; nothing is written
 *     npm run conformance -- --driver uring --no-write  WebSockets on one driver; print only
 *
 * Without `--llhttp` the repository is cloned for the run. Where a part cannot run the reason is printed, and what is published stays as it is. Exit code 1 for
 * anything that is unexplained, 2 for a wrong option.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { commandOptions } from "../support/command-options.js";
import { driversUnderTest } from "../support/drivers.js";
import { readGoldenCases } from "./golden/golden-cases.js";
import { runGolden } from "./golden/golden-run.js";
import * as report from "./report.js";
import { smugglingCorpus } from "./smuggling/corpus.js";
import { runDirectly } from "./smuggling/direct-run.js";
import { type FrontScore, runThroughProxy } from "./smuggling/front-run.js";
import { PROXIES } from "./smuggling/fronts.js";
import { webSocketCases } from "./websocket/case-list.js";
import { runLibrary } from "./websocket/library-run.js";
import { runList } from "./websocket/list-run.js";
import { startOurs, startWs } from "./websocket/servers.js";

const PARTS = ["golden", "smuggling", "websocket"] as const;
const USAGE = `Options: --llhttp FOLDER (default: a clone), --only ${PARTS.join(",")}, --driver NAME, --no-write, --help`;
const OPTIONS = {
  llhttp: { type: "string" },
  only: { type: "string", default: PARTS.join(",") },
  driver: { type: "string" },
  "no-write": { type: "boolean", default: false },
} as const;
/** The release whose cases the reasons in golden/differences.ts were written for. */
const LLHTTP_TAG = "v9.4.2";
const LLHTTP_REPOSITORY = "https://github.com/nodejs/llhttp.git";
const CLONE_MS_MAX = 60_000;
const DOCUMENT = fileURLToPath(new URL("../../../docs/conformance.md", import.meta.url));
const INTRODUCTION = `# Conformance

How the server does by other people's measures. \`npm run conformance\` runs all of it and writes this page; it ends with an error for anything that is not explained here. It needs a checkout of
llhttp's repository (\`-- --llhttp FOLDER\`, else it clones one), Debian's \`nginx\` and \`haproxy\`, and some two minutes. A short form is part of \`npm test\`.
`;

const values = commandOptions(OPTIONS, USAGE);

process.exitCode = await main();

async function main(): Promise<number> {
  const wanted = values.only.split(",");
  const drivers = driversUnderTest.filter(({ name }) => values.driver === undefined || name === values.driver);
  if (drivers.length === 0 || wanted.some((part) => !(PARTS as readonly string[]).includes(part))) {
    console.error(USAGE);
    return 2;
  }
  const parts: report.Part[] = [];
  if (wanted.includes("golden")) parts.push(await golden());
  if (wanted.includes("smuggling")) parts.push(await smuggling(drivers));
  if (wanted.includes("websocket")) parts.push(await webSockets(drivers));
  const text = [INTRODUCTION, ...parts.map(({ lines }) => `${lines.join("\n")}\n`)].join("\n");
  console.log(text);
  const unexplained = parts.flatMap((part) => part.unexplained);
  const skipped = parts.flatMap((part) => part.skipped);
  for (const problem of unexplained) console.log(`UNEXPLAINED ${problem}`);
  for (const why of skipped) console.log(`skipped ${why}`);
  const isWhole = wanted.length === PARTS.length && skipped.length === 0 && values.driver === undefined;
  if (isWhole && unexplained.length === 0 && !values["no-write"]) writeFileSync(DOCUMENT, text);
  else console.log("docs/conformance.md stays as it is.");
  return unexplained.length === 0 ? 0 : 1;
}

async function golden(): Promise<report.Part> {
  const temporary = mkdtempSync(join(tmpdir(), "ringloom-llhttp-"));
  try {
    const folder = values.llhttp ?? clone(temporary);
    if (folder === undefined)
      return report.skippedPart(
        report.GOLDEN_TITLE,
        `${LLHTTP_REPOSITORY} cannot be cloned; name a checkout with --llhttp`,
      );
    const { version, cases } = readGoldenCases(folder);
    return report.goldenPart(version, cases, await runGolden(cases));
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

function clone(folder: string): string | undefined {
  const args = ["clone", "--quiet", "--depth", "1", "--branch", LLHTTP_TAG, LLHTTP_REPOSITORY, folder];
  try {
    execFileSync("git", args, {
      stdio: "ignore",
      timeout: CLONE_MS_MAX,
      env: { ...process.env, GIT_TERMINAL_PROMPT: "0" },
    });
    return folder;
  } catch {
    return undefined;
  }
}

async function smuggling(drivers: typeof driversUnderTest): Promise<report.Part> {
  const corpus = smugglingCorpus();
  const direct = [await runDirectly(corpus, true), await runDirectly(corpus, false)];
  const driver = drivers.findLast(({ skip }) => skip === false);
  const scores: FrontScore[] = [];
  const skipped: string[] = [];
  for (const proxy of PROXIES) {
    if (driver === undefined) skipped.push(`${proxy.name}: no driver runs here`);
    else if (proxy.program === undefined) skipped.push(`${proxy.name} is not installed`);
    else scores.push(...(await runThroughProxy(proxy, driver, corpus)));
  }
  return report.smugglingPart(direct, scores, skipped);
}

async function webSockets(drivers: typeof driversUnderTest): Promise<report.Part> {
  const cases = webSocketCases();
  const servers: report.ServerResults[] = [];
  const library: Parameters<typeof report.webSocketPart>[1][number][] = [];
  const skipped: string[] = [];
  const version = versionOf("ws");
  for (const driver of drivers) {
    if (driver.skip !== false) {
      skipped.push(`${driver.name}: ${driver.skip}`);
      continue;
    }
    const server = await startOurs(driver);
    servers.push({ name: server.name, version: "", results: await runList(server, cases) });
    library.push({ name: server.name, version, ...(await runLibrary(server)) });
    await server.stop();
  }
  const peer = await startWs();
  servers.push({ name: peer.name, version, results: await runList(peer, cases) });
  await peer.stop();
  return report.webSocketPart(servers, library, skipped);
}

function versionOf(name: string): string {
  const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
  return (JSON.parse(readFileSync(manifest, "utf8")) as { version: string }).version;
}
