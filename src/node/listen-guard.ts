/** While a shard loads the user's module, a HTTP server that listens is a mistake: the port belongs to the supervisor, and each shard would want it. */
import { Server as NetServer } from "node:net";
import type { RingloomError } from "../errors.js";
import { listensItself } from "./listen-error.js";

/**
 * Runs `load`; a HTTP server that it has listen throws `ERR_RINGLOOM_LISTENS_ITSELF`, and so does this, whatever became of that error on its way.
 * Other servers listen as always, and everybody may when `load` is over.
 */
export async function withoutListening<T>(load: () => Promise<T>): Promise<T> {
  const original = NetServer.prototype.listen;
  let refused: RingloomError | undefined;
  function guarded(this: NetServer, ...args: unknown[]): unknown {
    if (this.listenerCount("request") === 0) return Reflect.apply(original, this, args);
    refused = listensItself("a server listens while the module is loaded");
    throw refused;
  }
  NetServer.prototype.listen = guarded as typeof original;
  try {
    return await load();
  } catch (error) {
    throw refused ?? error;
  } finally {
    NetServer.prototype.listen = original;
  }
}
