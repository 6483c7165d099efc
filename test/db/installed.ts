/** The clients in test/db/node_modules: installed by their lock file the first time that they are needed. */
import { execFileSync } from "node:child_process";
import { existsSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../../test/db", import.meta.url));
const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const INSTALL_MS_MAX = 300_000;

/** The path of one of the programs. */
export function program(name: string): string {
  return join(FOLDER, "programs", name);
}

/** Installs what is missing. Throws when that is not possible. */
export function installClients(): void {
  const installed = join(FOLDER, "node_modules/.package-lock.json");
  const lock = join(FOLDER, "package-lock.json");
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
    const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    execFileSync("npm", args, { cwd: FOLDER, timeout: INSTALL_MS_MAX, stdio: "pipe" });
  }
  // The programs import "ringloom" as its users do; npm ci has emptied the folder.
  const link = join(FOLDER, "node_modules/ringloom");
  if (!existsSync(link)) symlinkSync(ROOT, link, "dir");
}
