/** A seccomp profile in Docker's JSON form, made into a program that runs others under it (test/tools/with-seccomp-profile.c). */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("../../../test/tools/with-seccomp-profile.c", import.meta.url));
/** What a filter can compare here: the low 32 bits of an argument. */
const VALUE_MAX = 0xffff_ffff;

interface ArgumentRule {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: string;
}

interface SyscallRule {
  readonly names: readonly string[];
  readonly action: string;
  readonly errnoRet?: number;
  readonly args?: readonly ArgumentRule[];
}

/** The fields of a profile that Docker, containerd and Kubernetes read. */
export interface SeccompProfile {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly syscalls: readonly SyscallRule[];
}

export function readProfile(path: string): SeccompProfile {
  return JSON.parse(readFileSync(path, "utf8")) as SeccompProfile;
}

/** The same profile without some system calls, as if it had never named them. */
export function without(profile: SeccompProfile, names: readonly string[]): SeccompProfile {
  const syscalls = profile.syscalls.map((rule) => ({
    ...rule,
    names: rule.names.filter((name) => !names.includes(name)),
  }));
  return { ...profile, syscalls };
}

/** Compiles the launcher for `profile` into `folder`. Returns its path, or undefined where there is no C compiler or no Linux header. */
export function buildLauncher(profile: SeccompProfile, folder: string, name: string): string | undefined {
  const rules = join(folder, `${name}.inc`);
  const launcher = join(folder, name);
  writeFileSync(rules, profile.syscalls.flatMap(linesOf).join("\n"));
  const fallback = actionOf(profile.defaultAction, profile.defaultErrnoRet);
  const defines = [`-DPROFILE_FILE="${rules}"`, `-DDEFAULT_ACTION=(${fallback})`];
  const { status, error, stderr } = spawnSync("cc", ["-O1", "-Wall", "-Werror", ...defines, SOURCE, "-o", launcher], {
    encoding: "utf8",
  });
  if (status === 0) return launcher;
  if (error !== undefined || /linux\/seccomp\.h: No such file/.test(stderr)) return undefined;
  throw new Error(`The profile does not compile:\n${stderr}`);
}

/** A system call that this machine does not have is left out, as container runtimes do. */
function linesOf(rule: SyscallRule): string[] {
  const { args = [] } = rule;
  if (args.length > 1) throw new Error("This translation knows rules with one argument at most");
  const action = actionOf(rule.action, rule.errnoRet);
  const comparison = args[0] === undefined ? "0, ANY, 0, 0" : comparisonOf(args[0]);
  return rule.names.flatMap((name) => [`#ifdef __NR_${name}`, `{__NR_${name}, ${action}, ${comparison}},`, "#endif"]);
}

function comparisonOf({ index, value, valueTwo = 0, op }: ArgumentRule): string {
  if (value > VALUE_MAX || valueTwo > VALUE_MAX) throw new Error("This translation compares 32 bits");
  const kinds: Readonly<Record<string, string>> = {
    SCMP_CMP_EQ: "EQ",
    SCMP_CMP_NE: "NE",
    SCMP_CMP_MASKED_EQ: "MASKED_EQ",
  };
  const kind = kinds[op];
  if (kind === undefined) throw new Error(`Unknown comparison ${op}`);
  return `${index}, ${kind}, ${value}u, ${valueTwo}u`;
}

function actionOf(action: string, errno = 1): string {
  if (action === "SCMP_ACT_ALLOW") return "SECCOMP_RET_ALLOW";
  if (action === "SCMP_ACT_ERRNO") return `SECCOMP_RET_ERRNO | ${errno}`;
  throw new Error(`Unknown action ${action}`);
}
