/** How often and with which seed a random test runs. */
import { parseArgs } from "node:util";

export interface RandomRun {
  readonly seed: number;
  readonly numRuns: number;
}

/**
 * The parameters of a random test: `smokeRuns` cases with a fresh seed, unless `RINGLOOM_SEED` replays one, and unless
 * `--runs N` (of the test file, run directly) or `RINGLOOM_FUZZ_RUNS` asks for more. The seed is printed, so that
 * every failure can be repeated.
 */
export function randomRun(what: string, smokeRuns: number): RandomRun {
  const seed = wholeNumber("RINGLOOM_SEED", process.env.RINGLOOM_SEED) ?? Date.now() % 0x7fff_ffff;
  const { values } = parseArgs({ options: { runs: { type: "string" } }, strict: false });
  const asked = typeof values.runs === "string" ? values.runs : process.env.RINGLOOM_FUZZ_RUNS;
  const numRuns = wholeNumber("runs", asked) ?? smokeRuns;
  console.log(`${what}: RINGLOOM_SEED=${seed}, ${numRuns} runs`);
  return { seed, numRuns };
}

function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`Cannot use ${name}=${text}: a whole number is needed`);
  return value;
}
