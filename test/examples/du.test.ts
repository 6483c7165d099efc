/** The du example: it counts what the du of the system counts. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { driversUnderTest } from "../support/drivers.js";

const EXAMPLE = fileURLToPath(new URL("../../../examples/du/du.js", import.meta.url));

for (const { name, skip } of driversUnderTest) {
  test(`the du example agrees with du, on ${name}`, { skip }, () => {
    const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "ringloom-du-")));
    try {
      for (const branch of ["one", "two"]) {
        fs.mkdirSync(join(folder, branch, "below"), { recursive: true });
        for (let index = 0; index < 40; index++)
          fs.writeFileSync(join(folder, branch, "below", String(index)), Buffer.alloc(index * 500));
      }
      fs.linkSync(join(folder, "one/below/39"), join(folder, "one/again"));
      fs.symlinkSync("..", join(folder, "two/up"));
      const expected = execFileSync("du", ["--max-depth=1", "--block-size=1024", folder], { encoding: "utf8" });
      assert.deepEqual(rowsOf(du(name, [folder]).stdout), rowsOf(expected));
      const [apparent] = rowsOf(du(name, ["--apparent", "--depth", "0", folder]).stdout);
      const bytes = 2 * ((39 * 40) / 2) * 500 + "..".length;
      assert.deepEqual(apparent, [folder, Math.ceil(bytes / 1024)]);
      assert.match(du(name, [join(folder, "missing")]).stderr, /Cannot stat: ENOENT/);
      assert.equal(du(name, ["--jobs", "none", folder]).status, 2);
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });
}

function du(
  driver: string,
  args: readonly string[],
): ReturnType<typeof spawnSync> & { stdout: string; stderr: string } {
  const env = { ...process.env, RINGLOOM_DRIVER: driver };
  return spawnSync(process.execPath, [EXAMPLE, ...args], {
    encoding: "utf8",
    env,
    timeout: 60_000,
    killSignal: "SIGKILL",
  });
}

function rowsOf(output: string): [path: string, kibibytes: number][] {
  const rows = [...output.matchAll(/^\s*(\d+)(?: KiB)?\s+(.*)$/gm)];
  const found = rows.map(([, kibibytes, path]): [string, number] => [path ?? "", Number(kibibytes)]);
  return found.sort(([one], [other]) => (one < other ? -1 : 1));
}
