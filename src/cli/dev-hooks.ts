/** The loader hooks of `ringloom dev` for Node 20 and 22.0 to 22.14, where they run on a thread of their own. */
import { BroadcastChannel } from "node:worker_threads";
import { isOwnFile } from "./dev-files.js";

let channel: BroadcastChannel | undefined;

/** Called by Node with what was registered: the name of the channel that the command listens to. */
export function initialize(data: { readonly channelName: string }): void {
  channel = new BroadcastChannel(data.channelName);
  channel.unref();
}

/** Called by Node for each ES module, before its text is parsed: one with a syntax error is known too. */
export function load<Context, Result>(
  url: string,
  context: Context,
  next: (url: string, context: Context) => Result,
): Result {
  if (isOwnFile(url)) channel?.postMessage(url);
  return next(url, context);
}
