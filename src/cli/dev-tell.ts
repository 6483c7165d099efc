/**
 * Telling the command which files a thread loads, so that it watches them.
 *
 * Files are told by URL on a broadcast channel. Node 22.15 and newer tell a hook of the same thread about every module, CommonJS ones included; before, a hook thread hears of ES modules, and CommonJS ones
 * stand in `require.cache`.
 */
import * as nodeModule from "node:module";
import { pathToFileURL } from "node:url";
import { BroadcastChannel } from "node:worker_threads";
import { isOwnFile } from "./dev-files.js";

type LoadHook = (url: string, context: unknown, next: (url: string, context: unknown) => unknown) => unknown;

interface HooksApi {
  /** Node 22.15 and newer. */
  readonly registerHooks?: (hooks: { readonly load: LoadHook }) => unknown;
}

/** Tells, on the channel of that name, every module that this thread loads from now on. The result tells the CommonJS modules that were loaded until it is called. */
export function tellLoadedFiles(channelName: string): () => void {
  const channel = new BroadcastChannel(channelName);
  channel.unref();
  function tell(url: string): void {
    if (isOwnFile(url)) channel.postMessage(url);
  }
  const { registerHooks } = nodeModule as HooksApi;
  if (registerHooks === undefined) {
    nodeModule.register(new URL("./dev-hooks.js", import.meta.url), { data: { channelName } });
  } else {
    registerHooks({
      load(url, context, next) {
        tell(url);
        return next(url, context);
      },
    });
  }
  return () => {
    const { cache } = nodeModule.createRequire(import.meta.url);
    for (const path of Object.keys(cache)) tell(pathToFileURL(path).href);
  };
}
