/** Finding the user's module, and loading it on a shard. */
import { statSync } from "node:fs";
import { extname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { RingloomError } from "../errors.js";
import { type LoaderFacts, startTypeScriptLoader } from "./typescript-loader.js";

export type { LoaderFacts };

const TYPESCRIPT_EXTENSIONS: readonly string[] = [".ts", ".mts", ".cts", ".tsx"];

/** The facts of this process. */
export function loaderFacts(): LoaderFacts {
  const feature: unknown = Reflect.get(process.features, "typescript");
  return {
    typescriptFeature: typeof feature === "string" || typeof feature === "boolean" ? feature : undefined,
    nodeVersion: process.versions.node,
    flags: [...process.execArgv, ...(process.env.NODE_OPTIONS ?? "").split(/\s+/)],
  };
}

/**
 * The file URL of the module to serve. `specifier` is a path relative to `folder`, or a file URL. Where `x.js` does not exist
 * and `x.ts` does, the latter is meant, because before a build only sources exist.
 * Throws `ERR_RINGLOOM_MODULE_LOAD` when there is no such file, or when this Node cannot load TypeScript.
 */
export function resolveModule(specifier: string, folder: string, facts: LoaderFacts = loaderFacts()): URL {
  const path = specifier.startsWith("file:") ? fileURLToPath(specifier) : resolve(folder, specifier);
  const found = isFile(path) ? path : typescriptSibling(path);
  if (found === undefined) {
    throw loadError(path, isFolder(path) ? "it is a folder; name the file" : "there is no such file");
  }
  const extension = extname(found);
  if (TYPESCRIPT_EXTENSIONS.includes(extension)) checkTypeScript(found, extension, facts);
  return pathToFileURL(found);
}

/** What a module exports. */
export interface LoadedModule {
  /** The default export; for CommonJS that is `module.exports`, or `exports.default` of transpiled code. */
  readonly defaultExport: unknown;
  /** The export of that name, undefined when there is none. */
  readonly named: (name: string) => unknown;
}

/**
 * Imports the module that is to be served.
 * Throws `ERR_RINGLOOM_MODULE_LOAD` with the user's error as `cause`, and `ERR_RINGLOOM_NOT_AN_APP` when there is no default export.
 */
export async function loadModule(module: URL): Promise<LoadedModule> {
  const loaded = await importModule(module);
  if (loaded.defaultExport !== undefined) return loaded;
  const path = fileURLToPath(module);
  const { names } = loaded;
  throw new RingloomError(
    "ERR_RINGLOOM_NOT_AN_APP",
    `Cannot serve ${path}: it has no default export${names.length === 0 ? "" : ` (only ${names.join(", ")})`}.`,
    { operation: "load", details: { module: path } },
  );
}

/** Imports a module, whatever it exports. Throws `ERR_RINGLOOM_MODULE_LOAD` with the user's error as `cause`. */
export async function importModule(module: URL): Promise<LoadedModule & { readonly names: readonly string[] }> {
  const path = fileURLToPath(module);
  await startTypeScriptLoader(module, loaderFacts());
  const namespace: unknown = await import(module.href).catch((error: unknown) => {
    // V8 keeps the place of a syntax error to itself; only Node's own printer can show it.
    const place = error instanceof SyntaxError ? ` ("node ${path}" shows the place)` : "";
    throw loadError(path, `it threw ${describe(error)}${place}`, error);
  });
  const exported = property(namespace, "default");
  const isTranspiled = property(exported, "__esModule") === true;
  return {
    defaultExport: isTranspiled ? property(exported, "default") : exported,
    named: (name) => property(isTranspiled ? exported : namespace, name),
    names: Object.keys(namespace ?? {}).filter((name) => name !== "module.exports"),
  };
}

function checkTypeScript(path: string, extension: string, facts: LoaderFacts): void {
  if (hasLoader(facts.flags)) return;
  const strips = facts.typescriptFeature === undefined ? stripsByVersion(facts.nodeVersion) : facts.typescriptFeature;
  if (strips && extension !== ".tsx") return;
  const why = strips ? "Node does not load .tsx files" : `Node ${facts.nodeVersion} does not load TypeScript`;
  throw loadError(
    path,
    `${why}. Compile it and serve the .js file, use Node 22.18 or newer, or give a loader such as NODE_OPTIONS="--import tsx"`,
  );
}

/** Whether a flag brings a loader that the shards inherit. Whether that loader knows TypeScript shows when it loads. */
function hasLoader(flags: readonly string[]): boolean {
  return flags.some((flag) => /^(--import|--loader|--experimental-loader|--require|-r)(=|$)/.test(flag));
}

/** Type stripping is on by default since 22.18 and 23.6. */
function stripsByVersion(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 23 || (major === 23 && minor >= 6) || (major === 22 && minor >= 18);
}

function typescriptSibling(path: string): string | undefined {
  const sibling = path.replace(/\.([cm]?)js$/, ".$1ts");
  return sibling !== path && isFile(sibling) ? sibling : undefined;
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function loadError(path: string, why: string, cause?: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_MODULE_LOAD", `Cannot load ${path}: ${why}.`, {
    operation: "load",
    details: { module: path },
    ...(cause === undefined ? {} : { cause }),
  });
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return `${typeof error} ${String(error)}`;
  return `${error.name}: ${error.message.replace(/\.\s*$/, "")}`;
}

function property(value: unknown, name: string): unknown {
  return (typeof value === "object" && value !== null) || typeof value === "function"
    ? Reflect.get(value, name)
    : undefined;
}
