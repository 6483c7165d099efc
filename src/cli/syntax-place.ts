/** Where a syntax error is. V8 keeps the place to itself when a module is imported; `node --check` prints it. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Files that are checked, at most: each one is a process. */
const FILES_MAX = 40;
/** What one check may take, in milliseconds. */
const CHECK_MS_MAX = 10_000;

const runFile = promisify(execFile);

/**
 * What Node prints about the first of `paths` that does not parse: the file and line, the text and a caret below it. Undefined when all do, or
 * are no JavaScript.
 */
export async function syntaxPlace(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths.filter((one) => /\.[cm]?js$/.test(one)).slice(0, FILES_MAX)) {
    try {
      // Without the flags of this process: a loader or an inspector has nothing to do there.
      await runFile(process.execPath, ["--check", path], {
        env: { ...process.env, NODE_OPTIONS: "" },
        timeout: CHECK_MS_MAX,
      });
    } catch (error) {
      const printed: unknown = error instanceof Error ? Reflect.get(error, "stderr") : undefined;
      if (typeof printed !== "string") continue;
      const [place] = printed.split(/\n\n| {4}at /);
      if (place?.includes(path)) return place.trimEnd();
    }
  }
  return undefined;
}
