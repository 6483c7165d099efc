/**
 * TypeScript by the loader tsx, on Node versions that do not load it themselves. `--import tsx` works on the main thread there and leaves worker threads
 * alone, so a shard has to start it, through the interface that tsx offers for that.
 */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { isMainThread } from "node:worker_threads";

/** What of this process decides whether TypeScript can be loaded. A parameter, so that tests can be another Node. */
export interface LoaderFacts {
  /** `process.features.typescript`: what Node itself can do, where it says so. */
  readonly typescriptFeature: string | boolean | undefined;
  readonly nodeVersion: string;
  /** Flags that worker threads inherit, those of NODE_OPTIONS included. */
  readonly flags: readonly string[];
}

/** `tsx`, `tsx/esm`, or a path that leads to it. */
const TSX = /(^|[/=\\])tsx([/\\]|$)/;

interface LoaderApi {
  readonly register: () => unknown;
}

/**
 * Starts tsx on this thread where the flags ask for it and it does not start itself. Without it, or without such a flag, nothing happens: the import then
 * fails and says why.
 *
 * @param module The module that is about to be loaded; tsx is looked for from there.
 */
export async function startTypeScriptLoader(module: URL, facts: LoaderFacts): Promise<void> {
  const isNeeded = !isMainThread && facts.typescriptFeature === undefined && facts.flags.some((flag) => TSX.test(flag));
  if (!isNeeded) return;
  const require = createRequire(module);
  for (const name of ["tsx/cjs/api", "tsx/esm/api"]) {
    const path = resolveFrom(require, name);
    if (path === undefined) return;
    // `require` finds the CommonJS form; that of the ES module loader looks for its hooks beside the other form.
    const form = name.includes("/esm/") ? path.replace(/\.cjs$/, ".mjs") : path;
    const api = (await import(pathToFileURL(form).href)) as LoaderApi;
    api.register();
  }
}

function resolveFrom(require: NodeJS.Require, name: string): string | undefined {
  try {
    return require.resolve(name);
  } catch {
    return undefined;
  }
}
