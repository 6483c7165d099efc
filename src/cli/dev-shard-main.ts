/**
 * What the shard's thread runs under `ringloom dev`: the same as under `serve`, after it has arranged to say which files the module
 * consists of. The command watches those.
 *
 * Files are told by URL on a broadcast channel whose name the command puts among the service's options. Node 22.15 and newer tell a hook of the same
 * thread about every module, CommonJS ones included; before, a hook thread hears of ES modules, and CommonJS ones stand in `require.cache`.
 */
import * as nodeModule from "node:module";
import { pathToFileURL } from "node:url";
import { BroadcastChannel, workerData } from "node:worker_threads";
import type { ShardAssignment } from "../runtime/shard-protocol.js";
import { isOwnFile } from "./dev-files.js";
import { CHANNEL_OPTION } from "./dev-service.js";

type LoadHook = (url: string, context: unknown, next: (url: string, context: unknown) => unknown) => unknown;

interface HooksApi {
  /** Node 22.15 and newer. */
  readonly registerHooks?: (hooks: { readonly load: LoadHook }) => unknown;
}

// The cast is safe because the supervisor of the same build makes it.
const { service } = workerData as ShardAssignment;
const channelName = String(service[CHANNEL_OPTION]);
const channel = new BroadcastChannel(channelName);
channel.unref();

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

await import("../http/shard-main.js");
const { cache } = nodeModule.createRequire(import.meta.url);
for (const path of Object.keys(cache)) tell(pathToFileURL(path).href);

function tell(url: string): void {
  if (isOwnFile(url)) channel.postMessage(url);
}
