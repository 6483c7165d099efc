/** Which files `ringloom dev` looks at, and what they looked like. */
import { readdirSync, statSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Entries of a folder tree that are looked at, roughly, at most: a mistaken `--watch-path /` must not read a whole disk. */
const TREE_ENTRIES_MAX = 20_000;

const SOURCE_EXTENSIONS: readonly string[] = [
  ".js",
  ".mjs",
  ".cjs",
  ".jsx",
  ".ts",
  ".mts",
  ".cts",
  ".tsx",
  ".json",
  ".wasm",
];
const PACKAGES = "node_modules";
/** npm rewrites it with each installation, so that a package that was missing is noticed. */
const INSTALLED = join(PACKAGES, ".package-lock.json");

/** The signature of a file that is not there. */
export const MISSING = "missing";

/** Whether a module's URL names a file that its author edits: no package, nothing of Node's own, nothing of this package. */
export function isOwnFile(url: string): boolean {
  // An addon stays loaded for the life of the process, so that another one would not be seen.
  if (!url.startsWith("file:") || url.includes(`/${PACKAGES}/`) || url.endsWith(".node")) return false;
  return !url.startsWith(OWN_PACKAGE);
}

// dist/src/cli/dev-files.js: what is compiled from `src` lies one level up.
const OWN_PACKAGE = new URL("../", import.meta.url).href;

/** The path of a module's URL, without the query that some loaders add. */
export function pathOf(url: string): string {
  const parsed = new URL(url);
  parsed.search = "";
  parsed.hash = "";
  return fileURLToPath(parsed);
}

/** The nearest folder at or above `folder` that has a package.json, else `folder`. */
export function packageFolder(folder: string): string {
  for (let at = folder; ; at = dirname(at)) {
    if (isFile(join(at, "package.json"))) return at;
    if (dirname(at) === at) return folder;
  }
}

/** Text that differs when the file was written, replaced, made or taken away. */
export function signatureOf(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false, bigint: true });
  return found === undefined ? MISSING : `${found.mtimeNs}:${found.size}:${found.ino}`;
}

/** What is below a path: the files that count, and every folder that could get more of them. */
export interface Tree {
  readonly files: readonly string[];
  readonly folders: readonly string[];
}

/**
 * What is below `root`, or `root` itself where it is a file, without packages and hidden folders. `sourcesOnly` takes the files that a module may be
 * made of, and npm's record of what is installed.
 */
export function treeBelow(root: string, sourcesOnly: boolean): Tree {
  if (isFile(root)) return { files: [root], folders: [] };
  const files: string[] = sourcesOnly ? [join(root, INSTALLED)] : [];
  const folders = [root];
  // The list grows while it is walked.
  for (const folder of folders) {
    if (files.length + folders.length > TREE_ENTRIES_MAX) break;
    for (const entry of entriesOf(folder)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (entry.name !== PACKAGES && !entry.name.startsWith(".")) folders.push(path);
      } else if (!sourcesOnly || SOURCE_EXTENSIONS.includes(extname(entry.name))) {
        files.push(path);
      }
    }
  }
  return { files, folders };
}

/** A folder that cannot be read has no files to watch; it may have gone while we looked. */
function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
