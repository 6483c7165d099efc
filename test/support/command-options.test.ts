import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

test("the commands behind npm's test scripts say what they take", () => {
  for (const command of ["ops", "stress", "db"]) {
    const run = (...args: string[]): ReturnType<typeof spawnSync> => {
      const main = fileURLToPath(new URL(`../${command}/main.js`, import.meta.url));
      return spawnSync(process.execPath, [main, ...args], { encoding: "utf8", timeout: 30_000 });
    };
    const help = run("--help");
    assert.equal(help.status, 0, `${command} --help: ${help.stderr}`);
    assert.match(String(help.stdout), /^Options: --/);
    const wrong = run("--no-such-option");
    assert.equal(wrong.status, 2);
    assert.match(String(wrong.stderr), /^Unknown option '--no-such-option'.*\nOptions: --[^\n]*\n$/);
  }
});
