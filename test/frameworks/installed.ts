/** The frameworks in test/frameworks/node_modules: installed once, by their lock file, the first time that a test needs them. */
import { execFileSync } from "node:child_process";
import { existsSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../../test/frameworks", import.meta.url));
const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const INSTALL_MS_MAX = 300_000;

/** The path of one of the programs. */
export function program(name: string): string {
  return join(FOLDER, "programs", name);
}

/** False when the frameworks are there, else why they are not: for the `skip` option of a test. */
export function frameworksMissing(): string | false {
  const installed = join(FOLDER, "node_modules/.package-lock.json");
  const lock = join(FOLDER, "package-lock.json");
  try {
    if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) install();
    // The programs import "ringloom" as its users do; npm ci has emptied the folder.
    const link = join(FOLDER, "node_modules/ringloom");
    if (!existsSync(link)) symlinkSync(ROOT, link, "dir");
    return false;
  } catch (error) {
    return `the frameworks cannot be installed: ${(error as Error).message.split("\n")[0]}`;
  }
}

function install(): void {
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
  execFileSync("npm", args, { cwd: FOLDER, timeout: INSTALL_MS_MAX, stdio: "pipe" });
}
