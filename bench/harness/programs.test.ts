/** What the harness makes of a pool that loses a promise, before and behind the measurement. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { root } from "./machine.js";
import { parseOptions } from "./options.js";
import type { Need } from "./prepare.js";
import { type ProgramSubject, runPrograms } from "./programs.js";
import { Notes, Results } from "./rows.js";

const directory = mkdtempSync(join(tmpdir(), "ringloom-pools-"));
const time = { name: "us/task", unit: "µs", better: "lower", decimals: 3 } as const;

function pool(name: string, members: string, needs: readonly Need[] = []): ProgramSubject {
  const module = join(directory, `${name}.mjs`);
  writeFileSync(module, `export const open = () => (${members});\n`);
  const main = join(root, "bench/peers/pools/main.js");
  return { name, about: () => name, needs, executable: process.execPath, args: [main, module, "2"] };
}

async function measure(subject: ProgramSubject) {
  const options = parseOptions(["tasks", "--rounds", "1", "--seconds", "0.05"], ["tasks"]);
  assert.ok(options !== "help");
  const placement = { serverCore: undefined, loadCore: undefined, description: "" };
  const results = new Results();
  const notes = new Notes();
  await runPrograms(
    { suite: "tasks", options, placement, results, notes },
    {
      cases: [{ name: "empty-1" }],
      subjects: [subject],
      argsFor: () => ["1", "0", "0", "0", "0.05"],
      accept: ({ runCase, round }) => {
        results.add("tasks", runCase.name, subject.name, time, round, 1);
        return "";
      },
    },
  );
  const [missing] = results.missing;
  return { rows: results.rows().length, failure: missing?.reason, notes: notes.lines().join("\n") };
}

describe("runPrograms()", () => {
  after(() => rmSync(directory, { recursive: true }));

  it("keeps what was measured of a pool whose close() never settles, and says so", async () => {
    const lost = pool("lost", "{ run: async () => 0, close: () => new Promise(() => {}) }");
    const { rows, failure, notes } = await measure(lost);
    assert.deepEqual([rows, failure], [1, undefined]);
    assert.match(notes, /left a promise of close\(\) unsettled: empty-1 lost/);
  });

  it("ends a pool whose threads outlive its close()", async () => {
    const outliving = pool(
      "alive",
      "{ run: async () => 0, close: () => new Promise(() => setInterval(() => {}, 1e6)) }",
    );
    const { rows, notes } = await measure(outliving);
    assert.equal(rows, 1);
    assert.match(notes, /left a promise of close\(\) unsettled/);
  });

  it("does not keep it of Ringloom", async () => {
    const own = pool("own", "{ run: async () => 0, close: () => new Promise(() => {}) }", ["ringloom"]);
    const { rows, failure } = await measure(own);
    assert.deepEqual([rows, failure], [0, "the pool left a promise of close() unsettled"]);
  });

  it("keeps nothing of a pool whose tasks never settle", async () => {
    const { rows, failure } = await measure(pool("stuck", "{ run: () => new Promise(() => {}), close: () => {} }"));
    assert.deepEqual([rows, failure], [0, "error: the pool left a promise of run() unsettled"]);
  });
});
